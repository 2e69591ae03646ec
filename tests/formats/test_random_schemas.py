"""Random declarations of every kind of field: the quick form of `python -m tests.schemas`."""

from __future__ import annotations

import pytest

from tests.schemas import check_one


@pytest.mark.parametrize("block", range(8))
def test_everything_derived_from_a_random_schema_equals_construct(block: int) -> None:
    """Building, parsing, columns, headers and annotations, for good and damaged bytes."""
    for number in range(25):
        seed = f"suite {block} {number}"
        try:
            check_one(seed)
        except Exception as error:
            error.add_note(f"tests.schemas.check_one({seed!r})")
            raise
