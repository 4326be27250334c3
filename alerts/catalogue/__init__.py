"""The event catalogue: what the city handles, who does it, how fast, and when it counts as done.

Data in the shape of GB/T 30428: a category of two digits, an item of two more, and for each item its flows.
It comes from YAML, CSV or XLSX (:mod:`alerts.catalogue.read`), and lies in the database with a version.
"""
