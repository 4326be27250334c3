"""``python -m towerwatch`` is the same as ``towerwatch``."""

from towerwatch.cli import main

main()
