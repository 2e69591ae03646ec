"""Benchmarks, run by `python -m tests.benchmarks`: measurements, not tests.

Each sample is one run in a process of its own, ours and the reference's in turn (A B A B), so that
other load on the machine affects both. A row compares medians.
"""
