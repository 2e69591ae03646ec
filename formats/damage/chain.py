"""The best chain of intervals: what salvage's dynamic programme works out.

Guarantees: the chain's intervals do not overlap, and no other chain scores more, where a chain's
score is its intervals' less the cost of each gap before, between and behind them. Intervals that
only follow each other are one step, so time is linear in the places where there is a choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _Segments(NamedTuple):
    """Rows of candidates that follow each other and overlap no other; a chain takes all or none."""

    heads: NDArray[np.int64]  # the index of each one's first candidate
    totals: list[int]  # its candidates' scores
    follower: list[int]  # the segment that starts where it ends, or the number of segments
    beyond: list[int]  # the first segment that starts behind its end
    at_end: list[bool]  # it ends where the data ends


def _segments(
    starts: NDArray[np.int64], ends: NDArray[np.int64], scores: NDArray[np.int64], end: int | None
) -> _Segments:
    import numpy as np

    count = len(starts)
    follower = np.searchsorted(starts, ends)
    linked = starts[follower.clip(max=count - 1)] == ends
    # Where two candidates overlap there is a choice, so each of them stands alone.
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
    """The indices of the chain with the greatest score.

    Args:
        starts, ends: of the candidates, by ascending start; none is empty.
        scores: of the candidates.
        gap: what one gap costs.
        end: where the data ends, or None where more follows, and so no gap is known there.
        follows: whether a record ends at offset 0; otherwise a gap goes on there.
    """
    import numpy as np

    if not len(starts):
        return np.zeros(0, np.int64)
    segments = _segments(starts, ends, scores, end)
    count = len(segments.heads)
    at_rest = 0 if end is None else -gap  # the score of taking nothing more before the end
    best = [0] * count  # of a chain that starts with this segment,
    then = [count] * count  # and its next segment
    # The best chain that starts here or later: its score and first segment.
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
    # Before the first record stands either a record or a gap, which is paid for already.
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
