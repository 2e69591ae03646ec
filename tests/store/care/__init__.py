"""Checking, mending and pruning."""
