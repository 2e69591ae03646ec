"""Checking, repairing and pruning."""
