"""Damage in a log without checksums: its end, its plausible records, and salvage."""
