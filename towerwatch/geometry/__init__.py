"""From a pixel to a place on the ground, with an error ellipse that can be trusted."""
