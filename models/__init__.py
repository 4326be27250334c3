"""Boxes out: detections, decoders, runtimes, manifests and the registry."""
