"""Maintenance: checking, repairing and pruning experiments, and annotating their bytes."""
