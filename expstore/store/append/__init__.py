"""Appending to logs beside other programs, and what is needed for it to be safe."""
