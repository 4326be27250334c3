"""HTTP: the JSON API for people and scripts, evidence and artifacts for boxes, live events."""
