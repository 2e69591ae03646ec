"""Benchmarks, run by `python -m tests.benchmarks`; a measurement, not a test.

Each sample is one run in a process of its own, ours and the reference's in turn (A B A B), so that
what else the machine does falls on both. A row compares medians.
"""
