"""Damage in a log without checksums: how it ends, what can be believed, what can be salvaged."""
