"""Records that were found to columns: their numbers and texts, of all or of those wanted.

Guarantees: the columns have the records in the order of the stream, up to the first that its
declaration refuses. What is left out by a choice is counted, and its texts have codes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.brief import BriefWalk
from formats.columns.clock import NONE, Choice, Clock, joined
from formats.columns.output import Output
from formats.columns.plan import Plan
from formats.columns.repetition import Codes, Match
from formats.columns.starts import Bytes, Offsets, gather
from formats.columns.vocabulary import MAX_WORDS, WORD, Vocabulary
from formats.columns.wire import refusal, refused, to_column
from formats.errors import FormatError
from formats.fields import ENCODING, ERRORS

_NO_CODES: NDArray[np.bool_] = np.empty(0, np.bool_)


class Emission:
    """Writes the records of one stream to columns.

    Args:
        plan: of their declaration.
        vocabularies: of their texts, by name; they grow.
        clock: the field whose range is found.
        choice: which records are wanted; None: all.

    Attributes:
        count: records seen, wanted or not.
        clocks: the range of their clocks; whoever reads it may set it to NONE, to begin anew.
        error: why the next record is refused, if so.
    """

    def __init__(
        self,
        plan: Plan,
        vocabularies: dict[str, Vocabulary],
        clock: Clock | None,
        choice: Choice | None,
    ) -> None:
        self._plan, self._walk = plan, plan.walk
        self._vocabularies = vocabularies
        self._clock, self.choice = clock, choice
        self._wanted = _NO_CODES  # by code, of the texts chosen by
        self.count, self.clocks = 0, NONE
        self.error: FormatError | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plan": None}  # see ColumnParser

    def resume(self, plan: Plan) -> None:
        """Give it back what was not pickled."""
        self._plan = plan

    def of_brief(self, brief: BriefWalk) -> dict[str, NDArray[Any]]:
        """The columns of what was read as a short log is."""
        columns = brief.columns(self._wants())
        self.count += brief.count
        self.clocks = joined(self.clocks, brief.clocks)
        return columns

    def _wants(self) -> NDArray[np.bool_] | None:
        """Which records are wanted, by the code of the text that they are chosen by; None: all."""
        if self.choice is None:
            return None
        field, wants = self.choice
        texts, known = self._vocabularies[field].texts, len(self._wanted)
        if known < len(texts):
            fresh = [wants(text.decode(ENCODING, ERRORS)) for text in texts[known:]]
            self._wanted = np.append(self._wanted, fresh).astype(np.bool_)
        return self._wanted

    def of_match(self, data: Bytes, match: Match, output: Output) -> int:
        """Write matched records, whose texts and constants are already compared, to the output.

        Returns:
            The end of the last one.
        """
        self.count += match.count
        self.clocks = joined(self.clocks, match.clocks)
        name = "" if self.choice is None else self.choice.field
        places = match.places(name, self._wants())
        if not places.size:
            return match.end
        room = output.extend(match.chosen(places))
        is_dense = match.is_dense(places)
        turns = 0 if is_dense or self.choice or not self._plan.is_direct else match.turns
        heads: list[Bytes] = []
        if not is_dense and not turns:
            begins = [match.starts(places)]
            if len(self._walk.runs) > 1:
                begins, _ = self._walk.run_starts(data, begins[0])
            heads = self._heads(data, begins)
        for field, dtype, run, offset in self._walk.places:
            if not field.is_column:
                continue
            target = output.arrays[field.name][room]
            if field.is_variable:
                match.write_codes(field.name, places, target)
            elif heads:
                target[...] = to_column(field.kind, _column(heads[run], dtype, offset))
            elif turns:
                match.read_blocks(field.name, dtype, data, target)
            else:
                for part, values in match.strides(field.name, dtype, data, places):
                    target[part] = to_column(field.kind, values)
        return match.end

    def _heads(
        self, data: Bytes, begins: list[Offsets], extra: list[int] | None = None
    ) -> list[Bytes]:
        """Each run's numbers and the `extra` bytes after them, one row per record."""
        runs = self._walk.runs
        wider = extra or [0] * len(runs)
        return [
            gather(data, begin, run.width + more)
            for run, begin, more in zip(runs, begins, wider, strict=True)
        ]

    def of_records(
        self, data: Bytes, bounds: Offsets, output: Output, origin: int
    ) -> tuple[int, Codes]:
        """Write records with arbitrary texts to the output.

        Args:
            data: a part of the stream.
            bounds: the starts of records in it, and the end of the last one.
            output: what they are added to.
            origin: where the data begin in the stream.

        Returns:
            The end of the last one, and the codes of all their texts; a wrong constant stops early.
        """
        starts, runs = bounds[:-1], self._walk.runs
        if not starts.size:
            return int(bounds[0]), {}
        begins, lengths = self._walk.run_starts(data, starts)
        extra = [WORD * min(-(-int(text.max()) // WORD), MAX_WORDS) for text in lengths]
        heads = self._heads(data, begins, extra)
        count = self._conforming(heads, begins, origin)
        if not count:
            return int(bounds[0]), {}
        self.count += count
        columns: dict[str, NDArray[Any]] = {}
        codes: Codes = {}
        for field, dtype, run, offset in self._walk.places:
            if not field.is_column:
                continue
            head, width = heads[run][:count], runs[run].width
            if field.is_variable:
                texts = begins[run][:count] + width, lengths[run][:count], head, width
                found = self._vocabularies[field.name].codes(data, *texts).astype(np.int32)
                columns[field.name] = codes[field.name] = found
            else:
                columns[field.name] = to_column(field.kind, _column(head, dtype, offset))
        if self._clock is not None:
            clocks = columns[self._clock.field]
            clocks = clocks.astype(clocks.dtype.newbyteorder("="))
            self.clocks = joined(self.clocks, (clocks.min().item(), clocks.max().item()))
        if (wanted := self._wants()) is not None and self.choice is not None:
            which = wanted[codes[self.choice.field]].nonzero()[0]
            columns = {name: column[which] for name, column in columns.items()}
        output.add(columns)
        return int(bounds[count]), codes

    def _conforming(self, heads: list[Bytes], begins: list[Offsets], origin: int) -> int:
        """How many records precede the first that is refused, whose error is stored."""
        count = len(heads[0])
        if not self._plan.checked:
            return count
        for field, dtype, run, offset in self._walk.places:
            if not field.kind.may_refuse:
                continue
            found = _column(heads[run], dtype, offset)[:count]
            wrong = refused(field, found)
            if wrong.any():
                count = int(wrong.argmax())
                at = origin + int(begins[run][count]) + offset
                index = self.count + count
                self.error = refusal(field, found[count : count + 1], at, index)
        return count


def _column(head: Bytes, dtype: np.dtype[Any], offset: int) -> NDArray[Any]:
    """One number from every row."""
    return np.ndarray(len(head), dtype, head, offset, head.strides[:1])
