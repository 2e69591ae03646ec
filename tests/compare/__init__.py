"""Comparing and plotting experiments."""
