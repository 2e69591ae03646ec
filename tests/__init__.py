"""The tests; a package, so that long forms run as `python -m tests...`."""
