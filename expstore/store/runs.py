"""RunKeeper: the verbs that change what run.json says, added to those of `reader`.

Guarantees: every id and value is checked before any file call; what other programs change at the
same time is kept; at a URL nothing is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import get_args

from expstore.errors import (
    ExpStoreError,
    LiveWriterError,
    SelectionError,
)
from expstore.model import params as parameters
from expstore.model.runinfo import Outcome, RunInfo, RunStart, check_tags, joined
from expstore.store import runfile
from expstore.store.append.locks import has_writer
from expstore.store.files import layout, system
from expstore.store.reader import StoreReader
from formats import FormatError


class RunKeeper(StoreReader):
    """A store whose runs are changed, and ended, by others than the program that logs."""

    def update_run(
        self,
        commit_id: str,
        *,
        params: object = None,
        tags: Iterable[str] = (),
        notes: str | None = None,
        remove_params: Iterable[str] = (),
        remove_tags: Iterable[str] = (),
    ) -> RunInfo:
        """Change the parameters, tags and notes of a run; it may be running.

        What other programs change at the same time is kept. Something is removed first.

        Args:
            commit_id: the experiment.
            params: added, or put in place of those of the same name; see `Run.log_params`.
            tags: added.
            notes: replace the notes; None: they are kept.
            remove_params: flat names, such as `model.depth`; missing ones do not matter.
            remove_tags: likewise.

        Returns:
            What run.json has now.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            RunFileError: a value that cannot be kept, or run.json cannot be parsed; it is kept.
            NoSpaceError, UnreadableFileError: the file system refuses; run.json is kept.
        """
        path = self.experiment_path(commit_id)
        new = RunInfo(parameters.as_params(params), check_tags(tags), notes or "")
        runfile.build(new)
        gone, names = frozenset(check_tags(remove_tags)), check_tags(remove_params)

        def change(info: RunInfo) -> RunInfo:
            kept = tuple(tag for tag in info.tags if tag not in gone)
            left = replace(info, params=parameters.removed(info.params, names), tags=kept)
            changed = joined(left, new)
            return changed if notes is None else replace(changed, notes=notes)

        return self.change_run(path.name, change)

    def change_run(self, commit_id: str, change: Callable[[RunInfo], RunInfo]) -> RunInfo:
        """Change run.json, or create it; see `runfile.update`.

        Raises:
            As `update_run`.
        """
        path = self.experiment_path(commit_id)
        with system.open_experiment(path) as directory:
            return runfile.update(path / layout.RUN, change, directory)

    def end_run(
        self, commit_id: str, outcome: Outcome = "finished", error: str = "", *, force: bool = False
    ) -> RunInfo:
        """Say how a run ended that does not say so itself: the twin of `expstore end`.

        It is for what a shell logs, and for a run that was killed. What was started by `start` ends
        by itself.

        Args:
            commit_id: the experiment.
            outcome: how it ended.
            error: why, for `failed` and `stopped`.
            force: also if it has ended, or a writer has it open.

        Returns:
            What run.json has now.

        Raises:
            SelectionError: another outcome, or it has ended already; nothing is changed.
            LiveWriterError: a writer has it open; nothing is changed.
            InvalidCommitIdError, ExperimentNotFoundError, RunFileError, NoSpaceError,
                UnreadableFileError: see `update_run`.
        """
        if outcome not in get_args(Outcome):
            known = ", ".join(get_args(Outcome))
            raise SelectionError(f"a run ends as one of {known}, not as {outcome!r}")
        path = self.experiment_path(commit_id)
        with system.open_experiment(path) as directory:
            if not force and has_writer(directory):
                raise LiveWriterError(
                    f"{path}: a writer has it open, and says itself how it ends; --force "
                    "(force=True) records an end anyway"
                )
        now, created = time.time(), self._created(commit_id)

        def change(info: RunInfo) -> RunInfo:
            last = info.starts[-1] if info.starts else RunStart(now if created is None else created)
            if last.ended is not None and not force:
                raise SelectionError(
                    f"{path}: it has ended already, as {last.outcome or 'stopped'}; --force "
                    "(force=True) records another end"
                )
            end = replace(last, ended=now, outcome=outcome, error=error)
            return replace(info, starts=(*info.starts[:-1], end))

        return self.change_run(path.name, change)

    def _created(self, commit_id: str) -> float | None:
        try:
            return float(self.read_metadata(commit_id).timestamp)
        except (ExpStoreError, FormatError):
            return None
