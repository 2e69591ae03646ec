"""What a name means of an experiment: a field, a parameter or a metric.

- A field is one of `FIELDS`, such as `job` or `created`.
- A parameter has its flat name: `model.depth`.
- A metric has its name, or `name:last`, `name:min`, `name:max`; without an aspect it is the last
  value, at the last step.

Where several have one name, that is the order in which they are looked for. `param.lr`, `metric.lr`
and `field.job` say which one is meant. A name with an aspect is a metric, unless something has that
whole name.

Guarantees: a log is read only to find a name that is neither a field nor a parameter. A name that
no experiment has is an error that lists the ones most like it.
"""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from expstore.compare.conditions import Kind, as_text
from expstore.compare.expression import Name
from expstore.compare.series import Extremes
from expstore.errors import UnknownMetricError, listed

if TYPE_CHECKING:
    from expstore.compare.experiments import Experiment

ASPECTS = ("last", "min", "max")
"""The statistics of a metric."""


class Field(NamedTuple):
    """A field of every experiment.

    Attributes:
        kind: of its values.
        value: gives an experiment's value; None if it has none.
        about: what it is, for the documentation.
    """

    kind: Kind
    value: Callable[[Experiment], Any]
    about: str


def _of_metadata(attribute: str) -> Callable[[Experiment], Any]:
    return lambda one: None if one.metadata is None else getattr(one.metadata, attribute)


def _of_origin(key: str) -> Callable[[Experiment], Any]:
    return lambda one: one.run.origin.get(key)


def _age(one: Experiment) -> float | None:
    return None if one.metadata is None else time.time() - one.metadata.timestamp


def _ended(one: Experiment) -> float | None:
    return one.run.starts[-1].ended if one.run.starts else None


FIELDS = {
    "id": Field("text", lambda one: one.commit_id, "the commit id"),
    "job": Field("text", _of_metadata("job_name"), "the job's name"),
    "user": Field("text", _of_metadata("user"), "who started it"),
    "created": Field("time", _of_metadata("timestamp"), "when it was created"),
    "age": Field("duration", _age, "the time since then"),
    "ended": Field("time", _ended, "when its last start ended"),
    "duration": Field("duration", lambda one: one.duration, "how long it ran"),
    "status": Field(
        "status",
        lambda one: one.status,
        "`running`, `finished`, `failed`, `stopped` or `unknown`",
    ),
    "tag": Field("texts", lambda one: one.run.tags, "any of its tags"),
    "notes": Field("text", lambda one: one.run.notes or None, "its notes"),
    "host": Field("text", _of_origin("host"), "the machine it was started on"),
    "commit": Field("text", _of_origin("commit"), "the git commit"),
    "branch": Field("text", _of_origin("branch"), "the git branch"),
    "dirty": Field("any", _of_origin("dirty"), "whether there were uncommitted changes"),
}
"""The fields, by name."""

_PREFIXES = ("field", "param", "metric")
_ALIASES = {"commit_id": "id", "job_name": "job", "timestamp": "created", "tags": "tag"}


class Reference(NamedTuple):
    """What a name means.

    Attributes:
        sort: what it is.
        name: its name, without prefix; of a metric also without aspect.
        aspect: of a metric.
        whole: of a metric, the name with what may be its aspect; a metric of that name comes first.
    """

    sort: Literal["field", "param", "metric"]
    name: str
    aspect: str = ASPECTS[0]
    whole: str = ""

    @property
    def kind(self) -> Kind:
        """Of its values."""
        if self.sort == "field":
            return FIELDS[self.name].kind
        return "any" if self.sort == "param" else "number"

    def value(self, one: Experiment) -> Any:
        """An experiment's value; None if it has none. Of a metric this reads the log."""
        if self.sort == "field":
            return FIELDS[self.name].value(one)
        if self.sort == "param":
            return one.params.get(self.name)
        return self.of_metrics(one.metrics_of((self.whole, self.name)))

    def of_metrics(self, metrics: Mapping[str, Extremes]) -> float | None:
        """The value among an experiment's metrics; None if it is not there."""
        if self.whole in metrics:
            return metrics[self.whole].last
        found = metrics.get(self.name)
        return None if found is None else getattr(found, self.aspect)

    def is_in(self, names: Collection[str]) -> bool:
        """Whether it is among the names of metrics."""
        return self.name in names or self.whole in names


def resolve(name: Name | str, params: Collection[str]) -> Reference:
    """What a name means; if it is neither a field nor a parameter, it can only be a metric.

    Args:
        name: of an expression, or as it would be typed there without backticks.
        params: the flat names of all parameters that there are.
    """
    if isinstance(name, str):
        name = Name(name)
    prefix, text, aspect = name.prefix, name.text, name.aspect
    metric = text
    if not name.quoted:
        head, _, rest = text.partition(".")
        if head in _PREFIXES and rest and text not in params:
            prefix, text = head, rest
        metric, _, aspect = text.rpartition(":")
        if aspect not in ASPECTS or not metric:
            metric, aspect = text, ""
    if prefix in ("", "field") and not (name.quoted and aspect):
        field = _ALIASES.get(text, text)
        if field in FIELDS:
            return Reference("field", field)
    if prefix in ("", "param") and not (name.quoted and aspect) and text in params:
        return Reference("param", text)
    if prefix in ("", "metric"):
        whole = "" if name.quoted and aspect else text
        return Reference("metric", metric, aspect or ASPECTS[0], whole)
    return Reference("metric", name.text, whole=name.text)  # which only a metric may be called


def unknown(typed: str, params: Iterable[str], metrics: Iterable[str]) -> UnknownMetricError:
    """The error for a name that no experiment has; it lists those most like it."""
    names = list(dict.fromkeys([*FIELDS, *params, *metrics]))
    word = typed.rpartition(":")[0] if typed.rpartition(":")[2] in ASPECTS else typed
    word = word.partition(".")[2] if word.partition(".")[0] in _PREFIXES else word
    near = difflib.get_close_matches(word, names, 5, 0.6)
    near += [name for name in names if word.lower() in name.lower() and name not in near]
    message = f"no field, parameter or metric is named {typed!r}"
    if near:
        return UnknownMetricError(f"{message}; did you mean {listed(near, 5)}?")
    names = [*FIELDS, *sorted({*names} - {*FIELDS})]  # in the same order each time
    return UnknownMetricError(f"{message}; there are: {listed(names)}")


def order(values: Sequence[Any], reverse: bool = False) -> list[int]:
    """The indices that sort values of any kind: numbers, then texts, then anything else.

    NaN and then missing values come last, in either direction. Equal values keep their order.
    """
    keys = [_order_key(value) for value in values]
    present = [place for place, (rank, _) in enumerate(keys) if rank < _NAN]
    present.sort(key=keys.__getitem__, reverse=reverse)
    return present + sorted(
        (place for place, (rank, _) in enumerate(keys) if rank >= _NAN),
        key=keys.__getitem__,
    )


_NAN = 3  # the rank of a NaN; a missing value has the next


def _order_key(value: Any) -> tuple[int, Any]:
    if value is None or value == ():
        return _NAN + 1, 0
    if isinstance(value, int | float):
        return (_NAN, 0) if isinstance(value, float) and math.isnan(value) else (0, value)
    return (1, value) if isinstance(value, str) else (2, as_text(value))
