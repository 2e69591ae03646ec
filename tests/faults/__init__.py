"""What a store must survive, as experiments that count: each module has `run(...) -> Figures`.

The quick forms run in the test suite (tests/test_faults.py). The long forms, with the numbers that
are promised, run by one command, which prints a table of what was counted:

    python -m tests.faults --long [NAME ...]

With EXPSTORE_REFERENCE naming the reference program, it takes part where several write.
"""
