"""How the shipped detectors err: measured on real pictures, and played on truth boxes."""
