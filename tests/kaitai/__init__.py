"""Readers generated from the Kaitai schemas, run in every language that is installed."""
