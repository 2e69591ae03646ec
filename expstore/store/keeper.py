"""StoreKeeper: the verbs that keep a store in order, added to those of `runs`.

Guarantees: every id is checked before any file call; at a URL nothing is written; the default prune
is that of the reference program.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from expstore.errors import (
    DeletionError,
    MetadataNotFoundError,
    SealError,
    UnreadableFileError,
    listed,
)
from expstore.model.times import checked_clock
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.care import prune
from expstore.store.care.delete import Judge, delete, in_use, last_logged, recently_logged
from expstore.store.care.prune import Policy, PrunePlan
from expstore.store.files import layout, system
from expstore.store.files.local import LocalDirectory
from expstore.store.runs import RunKeeper
from formats import FormatError

if TYPE_CHECKING:
    from expstore.store.care.mend import RepairReport
    from expstore.store.care.salvage import SalvageReport
    from expstore.store.care.seal import Progress, SealReport


class StoreKeeper(RunKeeper):
    """A store whose experiments are repaired, salvaged, sealed, pruned and deleted.

    Args:
        root, storage_options: see `StoreReader`.
        clock: gives the time in seconds since 1970-01-01 UTC. Whatever needs it raises
            FieldValueError if it gives something else, such as milliseconds.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root, storage_options=storage_options)
        self._clock = checked_clock(clock)

    def repair(self, commit_id: str, force: bool = False) -> RepairReport:
        """Cut a torn or zero tail off the experiment's log; see `mend.repair`.

        What a seal covers is cut by `force` only; from then on, `check` reports the log as altered
        until it is sealed anew by force.

        Raises:
            SealError: the tail was sealed, or the seal is damaged, and `force` is not given;
                nothing was cut.
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            TornTailError: others have the log open, and `force` is not given; nothing was cut.
            UnreadableFileError: not a regular file, or no permission.
        """
        from expstore.store.care import mend, seal

        sealed = 0 if force else seal.sealed_size(self.experiment_path(commit_id))
        return mend.repair(self.metrics_path(commit_id), force=force, sealed=sealed)

    def salvage(self, commit_id: str, target: str) -> SalvageReport:
        """Copy a damaged log's whole records, the metadata and run.json into a new experiment.

        The artifacts in `files/` are not copied.

        Raises:
            InvalidCommitIdError: one of the two is not one plain path component.
            ExperimentNotFoundError: no such experiment.
            ExperimentExistsError: the target exists; nothing was written.
            UnreadableFileError: the source cannot be read, or the target cannot be written.
            NoSpaceError: there is no space for the target; nothing of it is left.
        """
        source, new = self.experiment_path(commit_id), self.experiment_path(target)
        metadata, why = None, ""
        try:
            metadata = metafile.build(replace(self.read_metadata(commit_id), commit_id=target))
        except (FormatError, MetadataNotFoundError, UnreadableFileError) as error:
            why = str(error)
        from expstore.store.care import mend

        return mend.salvage(source, new, metadata, why)

    def seal(
        self, commit_id: str, *, force: bool = False, progress: Progress | None = None
    ) -> SealReport:
        """Write `SHA256SUMS` over the experiment's files, which `check` verifies from then on.

        An experiment may be logged to after that, and sealed again.

        Args:
            commit_id: the experiment.
            force: seal the files as they are now, even if they are damaged, or differ from an older
                seal.
            progress: called with the bytes read so far, and those to read in total.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            SealError: `check` finds damage; or files differ from the older seal, which is kept; or
                there are no files.
            NoSpaceError, UnreadableFileError: a file cannot be read, or the seal not be written.
        """
        from expstore.store.care import check, seal

        path = self.experiment_path(commit_id)
        if not force:
            damage = check.check_experiment(path, verify=False).damage
            if damage:
                raise SealError(
                    f"{path}: damaged, so it is not sealed: {listed(damage, 3)}; see `expstore "
                    f"check {commit_id}`, repair or restore it, or seal it by --force (force=True)"
                )
        return seal.seal(path, force=force, progress=progress)

    def plan_prune(
        self,
        keep_count: int | None = None,
        older_than_days: int = 0,
        *,
        protect: Collection[str] = (),
        only: Collection[str] | None = None,
        now: float | None = None,
        grace: float = 0,
        force: bool = False,
    ) -> PrunePlan:
        """What `prune_experiments` would do with these arguments, and why; nothing is changed.

        Args:
            keep_count: how many of the newest experiments to keep; None: no limit by count.
            older_than_days: maximum age in local calendar days; 0: no limit.
            protect: commit ids that are never pruned; they still count towards `keep_count`. If it
                is a mapping, its values are the reasons.
            only: commit ids to judge, as if there were no others; None: all. Without a limit, all
                of these are pruned; if it is a mapping, its values are the reasons.
            now: the current time, in Unix seconds; default: the clock.
            grace: skip experiments logged to in this many seconds, by the file system's clock. For
                writers of other programs, which hold no lock.
            force: also prune experiments that a writer has open.

        Raises:
            RetentionPolicyError: neither a limit nor `only` is given, or one makes no sense.
            StoreNotFoundError: the root does not exist.
        """
        policy = Policy(keep_count, older_than_days, protect, grace, force, only)
        with system.root_directory(self.root) as root:
            return prune.plan_prune(
                self.iter_metadata(),
                policy,
                now=self._clock() if now is None else now,
                spare=lambda commit_id: in_use(
                    root, commit_id, grace=policy.grace, force=policy.force
                ),
            )

    def last_logged(self, commit_ids: Iterable[str]) -> dict[str, float | None]:
        """When each experiment was last logged to, in Unix seconds by the file system's clock.

        Without a log, when its metadata was written; None if neither is there, or the file system
        cannot say. A prune judges by creation, not by this, unless `grace` is given.

        Raises:
            InvalidCommitIdError: no file was accessed.
            StoreNotFoundError: the root does not exist.
        """
        found: dict[str, float | None] = dict.fromkeys(layout.check_commit_ids(commit_ids))
        with system.root_directory(self.root) as root:
            for commit_id in found:
                with suppress(OSError):
                    found[commit_id] = last_logged(root, commit_id)
        return found

    def prune_experiments(
        self,
        keep_count: int | None = None,
        older_than_days: int = 0,
        *,
        protect: Collection[str] = (),
        only: Collection[str] | None = None,
        now: float | None = None,
        grace: float = 0,
        force: bool = False,
    ) -> list[str]:
        """Delete what `plan_prune` says; see `prune`.

        Returns:
            The commit ids deleted, newest first.

        Raises:
            As `plan_prune` and `prune`.
        """
        options = {"protect": protect, "only": only, "now": now, "grace": grace, "force": force}
        plan = self.plan_prune(keep_count, older_than_days, **options)  # type: ignore[arg-type]
        return self.prune(plan, grace=grace, force=force)

    def prune(self, plan: PrunePlan, *, grace: float = 0, force: bool = False) -> list[str]:
        """Delete what a plan says.

        Each experiment is judged again while writers are locked out of it: one that has a writer,
        other metadata, or (with `grace`) new metrics since the plan was made is kept.

        Args:
            plan: what `plan_prune` gave, perhaps after someone reviewed it.
            grace, force: as given to `plan_prune`.

        Returns:
            The commit ids deleted, newest first.

        Raises:
            RetentionPolicyError: `grace` is not a duration; nothing is deleted.
            StoreNotFoundError: the root does not exist.
            DeletionError: some could not be deleted; all others are.
        """
        prune.check_grace(grace)
        planned = {row.commit_id: row.metadata for row in plan if row.action == "prune"}

        def judge(commit_id: str, directory: int) -> str:
            path = self.experiment_path(commit_id)
            found = metafile.read_in(LocalDirectory(path, directory))
            if (found if isinstance(found, Metadata) else None) != planned[commit_id]:
                return "changed since it was judged"
            return recently_logged(directory, grace)

        return self._delete(planned, judge=judge, force=force)[0]

    def plan_deletion(
        self, commit_ids: Iterable[str], *, grace: float = 0, force: bool = False
    ) -> PrunePlan:
        """What `prune` would do with experiments that were chosen one by one; nothing is changed.

        Args:
            commit_ids: the experiments; their metadata need not be readable.
            grace, force: see `plan_prune`.

        Raises:
            RetentionPolicyError: `grace` is not a duration.
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        """
        prune.check_grace(grace)
        chosen = self.select_ids(commit_ids)
        with system.root_directory(self.root) as root:
            return prune.plan_deletion(
                metafile.read_all(self.location, chosen),
                spare=lambda commit_id: in_use(root, commit_id, grace=grace, force=force),
            )

    def delete_experiments(self, commit_ids: Iterable[str], *, force: bool = False) -> list[str]:
        """Delete experiments; each is either whole or gone, whatever interrupts the deletion.

        Args:
            commit_ids: the experiments.
            force: also delete those that a writer has open.

        Returns:
            The commit ids deleted, as given.

        Raises:
            InvalidCommitIdError: nothing is deleted.
            DeletionError: some could not be deleted, or have a writer; all others are.
        """
        commit_ids = layout.check_commit_ids(commit_ids)
        deleted, spared = self._delete(commit_ids, force=force)
        if spared:
            raise DeletionError(deleted, spared)
        return deleted

    def _delete(
        self, commit_ids: Iterable[str], *, judge: Judge | None = None, force: bool
    ) -> tuple[list[str], dict[str, str]]:
        with system.root_directory(self.root) as root:
            return delete(root, commit_ids, judge=judge, force=force)
