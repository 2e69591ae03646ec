"""Faults that a store must survive, as experiments: each module has `run(...) -> Figures`.

The quick forms run in the test suite (tests/test_faults.py). One command runs the long forms, with
the numbers that the README promises, and prints what was counted:

    python -m tests.faults --long [NAME ...]

If EXPSTORE_REFERENCE names the reference program, it is one of the writers where there are several.
"""
