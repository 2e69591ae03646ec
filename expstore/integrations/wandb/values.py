"""Config and Summary: a run's settings and results, by key or as attributes.

Guarantees: every change is kept at once, in the experiment's params or metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from expstore.model.params import as_params


class _Values(MutableMapping[str, Any]):
    """A mapping whose keys are also attributes.

    Args:
        keep: called with what is new or changed.
    """

    def __init__(self, keep: Callable[[dict[str, Any]], object]) -> None:
        self.__dict__["_keep"] = keep
        self.__dict__["_items"] = {}

    def __getitem__(self, name: str) -> Any:
        return self._items[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        del self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_items"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def update(self, *args: Any, **options: Any) -> None:
        """Set several at once, from a mapping or an object such as argparse.Namespace."""
        options.pop("allow_val_change", None)
        new: dict[str, Any] = dict(options)
        for values in args[:1]:
            new.update(values if isinstance(values, Mapping) else as_params(values))
        self._items.update(new)
        self._keep(new)

    def __repr__(self) -> str:
        return repr(self._items)


class Config(_Values):
    """Hyperparameters."""

    def setdefaults(self, values: Mapping[str, Any]) -> None:
        """Set those that are not set."""
        self.update({name: values[name] for name in values if name not in self})

    def as_dict(self) -> dict[str, Any]:
        """All of them."""
        return dict(self._items)

    def load(self, values: Mapping[str, Any]) -> None:
        """Take over those that the experiment has already."""
        self._items.update(values)


class Summary(_Values):
    """Results: what was set here, and the last value of each metric."""

    def logged(self, values: Mapping[str, Any]) -> None:
        """Take over what was logged."""
        self._items.update(values)
