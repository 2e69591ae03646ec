"""Keeping a store in order: checked, mended, pruned, and what each byte of its files is."""
