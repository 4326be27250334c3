"""Where things are and who answers for the place: areas as polygons, and duty rosters."""
