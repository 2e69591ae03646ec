"""What run.json says, as further columns of an export: parameters, tags and status.

Guarantees: a parameter has the same type in all rows, see `model.paramcolumns`. An experiment
without it has null. A text that a table cannot hold is escaped. A run.json that cannot be read is
reported, and its experiment has nulls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from expstore.errors import ExportError, ExpStoreError
from expstore.exchange.wide import RUN_COLUMNS
from expstore.extras import require
from expstore.model.frames import repeated_text
from expstore.model.paramcolumns import LIMIT, PARAM, ParamTypes, arrow_type, as_cell
from expstore.model.runinfo import RunInfo, RunState
from expstore.model.texts import escape, escape_loosely
from expstore.store import runfile
from expstore.store.care.state import run_states
from formats import FormatError

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store.reader import StoreReader


class RunColumns:
    """The columns `tags`, `status` and one named `param:NAME` for each parameter.

    Args:
        store: where the experiments are.
        ids: the experiments.
        failures: gets what cannot be read, by commit id.

    Raises:
        ExportError: there are too many parameters for a table.
    """

    def __init__(
        self,
        store: StoreReader,
        ids: Iterable[str],
        failures: dict[str, ExpStoreError | FormatError],
    ) -> None:
        self._rows: dict[str, dict[str, Any]] = {}
        types = ParamTypes()
        runs: list[tuple[str, RunInfo]] = []
        for commit_id, outcome in runfile.read_all(store.location, ids):
            if isinstance(outcome, RunInfo):
                runs.append((commit_id, outcome))
            else:
                failures[commit_id] = outcome
        states = run_states(store.location, runs)
        for (commit_id, info), state in zip(runs, states, strict=True):
            if not isinstance(state, RunState):
                failures[commit_id] = state
                continue
            facts: dict[str, Any] = {"tags": ", ".join(info.tags) or None, "status": state.status}
            params = info.flat_params
            types.add(params)
            if len(types) > LIMIT:
                raise ExportError(
                    f"more than {LIMIT:,} parameters are too many for a table; choose experiments"
                )
            facts |= {PARAM + name: value for name, value in params.items()}
            self._rows[escape(commit_id)] = facts
        self._kinds = dict.fromkeys(RUN_COLUMNS, str) | {
            PARAM + name: kind for name, kind in types.types.items()
        }

    def of(self, ids: Iterable[str]) -> RunColumns:
        """The same columns, with what they hold for these experiments only."""
        some = copy(self)
        some._rows = {one: self._rows[one] for one in map(escape, ids) if one in self._rows}
        return some

    def __str__(self) -> str:
        return json.dumps([self._rows, {name: kind.__name__ for name, kind in self._kinds.items()}])

    def extended(self, schema: pa.Schema) -> pa.Schema:
        """A schema with these columns after its own."""
        arrow = require("pyarrow", "arrow")
        texts = arrow.dictionary(arrow.int32(), arrow.string())
        for name, kind in self._kinds.items():
            field = arrow.field(escape_loosely(name), texts if kind is str else arrow_type(kind))
            schema = schema.append(field)
        return schema

    def extend(self, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
        """A batch of one experiment, whose id is its first column, with these columns."""
        arrow = require("pyarrow", "arrow")
        facts: Mapping[str, Any] = self._rows.get(batch.column(0)[0].as_py(), {})
        columns = list(batch.columns)
        for number, (name, kind) in enumerate(self._kinds.items(), len(columns)):
            value = facts.get(name)
            if kind is str:
                columns.append(repeated_text(as_cell(value, kind), batch.num_rows))
            else:
                scalar = arrow.scalar(value, schema.field(number).type)
                columns.append(arrow.repeat(scalar, batch.num_rows))
        return arrow.record_batch(columns, schema=schema)
