"""Benchmarks: ``python -m benchmarks.NAME [--quick] --json OUT``.

Each writes one JSON document with ``benchmark``, ``quick``, ``machine`` (see
:mod:`benchmarks.machine`), what it measured, and ratios between things measured in the same run:
seconds of one machine mean little on another, ratios travel. The quick form ends within a minute
on two cores.
"""
