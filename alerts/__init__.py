"""The wire contract, and the central side that turns alerts into city incidents."""
