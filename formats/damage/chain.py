"""The best chain of intervals: salvage's dynamic programme.

Guarantees: the chain's intervals do not overlap, and no other chain scores more. A chain's score is
the sum of its intervals' scores minus a cost for each gap before, between and after them. Adjacent
intervals without an alternative form one step, so time is linear in the number of choices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Segments(NamedTuple):
    """Rows of adjacent candidates that overlap no other; a chain takes all of a row or none."""

    heads: NDArray[np.int64]  # the index of each segment's first candidate
    totals: list[int]  # the sum of its candidates' scores
    follower: list[int]  # the segment that starts where it ends, or the number of segments
    beyond: list[int]  # the first segment that starts after its end
    at_end: list[bool]  # whether it ends where the data ends


def _segments(
    starts: NDArray[np.int64], ends: NDArray[np.int64], scores: NDArray[np.int64], end: int | None
) -> _Segments:
    import numpy as np

    count = len(starts)
    follower = np.searchsorted(starts, ends)
    linked = starts[follower.clip(max=count - 1)] == ends
    # Overlapping candidates are a choice, so each is a segment of its own.
    overlaps = np.maximum.accumulate(ends)[:-1] > starts[1:]
    alone = np.zeros(count, np.bool_)
    alone[1:] = overlaps
    alone[:-1] |= ends[:-1] > starts[1:]
    joined = (ends[:-1] == starts[1:]) & ~alone[1:] & ~alone[:-1]
    heads = np.concatenate((np.zeros(1, np.int64), np.flatnonzero(~joined) + 1))
    lasts = np.concatenate((heads[1:], np.full(1, count))) - 1
    number = np.full(count + 1, len(heads))
    number[heads] = np.arange(len(heads))
    return _Segments(
        heads,
        np.add.reduceat(scores, heads).tolist(),
        number[np.where(linked, follower, count)[lasts]].tolist(),
        np.searchsorted(starts[heads], ends[lasts], side="right").tolist(),
        (ends[lasts] == end).tolist() if end is not None else [False] * len(heads),
    )


def best_chain(
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    scores: NDArray[np.int64],
    gap: int,
    end: int | None,
    follows: bool,
) -> NDArray[np.int64]:
    """The indices of the chain with the highest score.

    Args:
        starts, ends: the candidates' offsets, by ascending start; no candidate is empty.
        scores: the candidates' scores.
        gap: the cost of a gap.
        end: where the data ends; None if more follows, so that a gap there is not yet known.
        follows: whether a record ends at offset 0; otherwise a gap continues there.
    """
    import numpy as np

    if not len(starts):
        return np.zeros(0, np.int64)
    segments = _segments(starts, ends, scores, end)
    count = len(segments.heads)
    at_rest = 0 if end is None else -gap  # the score of taking nothing more up to the end
    best = [0] * count  # the best score of a chain that starts with this segment
    then = [count] * count  # the next segment of that chain
    # The best chain that starts at this segment or later: its score and first segment.
    later: list[tuple[int, int]] = [(at_rest, count)] * (count + 1)
    for segment in range(count - 1, -1, -1):
        options = [(0 if segments.at_end[segment] else at_rest, count)]
        score, first = later[segments.beyond[segment]]
        options.append((score - gap, first))
        if segments.follower[segment] < count:
            options.append((best[segments.follower[segment]], segments.follower[segment]))
        score, then[segment] = max(options, key=_score)
        best[segment] = score + segments.totals[segment]
        later[segment] = max((best[segment], segment), later[segment + 1], key=_score)
    # The first record follows either a record or a gap that is already paid for.
    options = (
        [(at_rest, count), (later[0][0] - gap, later[0][1])] if follows else [(0, count), later[0]]
    )
    if follows and not starts[0]:
        options.append((best[0], 0))
    segment = max(options, key=_score)[1]
    chain = np.zeros(count, np.bool_)
    while segment < count:
        chain[segment] = True
        segment = then[segment]
    sizes = np.diff(segments.heads, append=len(starts))
    return np.flatnonzero(np.repeat(chain, sizes))


def _score(option: tuple[int, int]) -> int:
    return option[0]
