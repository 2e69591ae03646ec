"""The first script of each framework's documentation, written anew with one line for the store.

Each takes one setting as its argument. `python -m tests.integrations.examples.NAME` runs one.
"""
