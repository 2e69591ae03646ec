"""Some metrics of short logs that have one order of names, many logs at a time.

Guarantees: of each log this gives what choosing among all of its records would give, and only of
logs whose end is clean; the others are left to `together`. An order is learned from one log, and
tried on those after it. A store in which each log has another is noticed soon, and costs no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from expstore.model.values import METRICS_FORMAT
from formats.damage.plausible import EARLIEST, LATEST
from formats.fields import ENCODING, ERRORS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from formats.columns.order import Order

_MOST = 32  # orders that are tried
_LEAST = 6  # logs that are read together: fewer are read sooner with those of other orders
_TRIES = 8  # logs without a known order from which one is learned, at first
_SHARE = 8  # logs of known orders that pay for another try

Found = TypeVar("Found")
Wants = Callable[[str], bool]
"""Whether the metric of a name is wanted."""


class Chosen(NamedTuple):
    """Logs of one order, one after another, with only the metrics that are wanted.

    Attributes:
        ids: of their experiments.
        sizes: of the logs, in bytes.
        names: of all metrics of each log, in order of first appearance.
        codes: int32; for each wanted record, the index of its name.
        values, steps: float64 and integers; of each wanted record.
        ends: intp; for each log, the index after its last wanted record.
        lasts: int64; the time of each log's last record, in seconds since 1970-01-01 UTC.
    """

    ids: list[str]
    sizes: list[int]
    names: tuple[str, ...]
    codes: NDArray[np.int32]
    values: NDArray[np.float64]
    steps: NDArray[np.uint32]
    ends: NDArray[np.intp]
    lasts: NDArray[np.int64]


class Chooser(Generic[Found]):
    """Finds the logs that have a common order.

    Args:
        choose: takes from logs what is wanted; given their order, the logs by commit id, and the
            bytes of all, one log after another.
    """

    def __init__(self, choose: Callable[[Order, Mapping[str, bytes], bytes], Found]) -> None:
        self._choose = choose
        self._orders: list[Order] = []  # the one that was seen last is the first
        self._left, self._known = _TRIES, 0

    def divide(self, logs: Mapping[str, bytes]) -> tuple[list[Found], dict[str, bytes]]:
        """What is wanted of logs that agree with an order, and all other logs, by commit id."""
        groups: dict[Order, dict[str, bytes]] = {}
        rest: dict[str, bytes] = {}
        for commit_id, log in logs.items():
            order = self._order_of(log)
            group = rest if order is None else groups.setdefault(order, {})
            group[commit_id] = log
        found = []
        for order, group in groups.items():
            agreeing, data = group, b"".join(group.values())
            if len(group) >= _LEAST and not order.agrees(data):
                agreeing = {i: log for i, log in group.items() if order.agrees(log)}
                rest |= {i: log for i, log in group.items() if i not in agreeing}
                data = b"".join(agreeing.values())
            if len(agreeing) >= _LEAST:
                self._known += len(agreeing)
                found.append(self._choose(order, agreeing, data))
            else:
                rest |= agreeing
        return found, rest

    def _order_of(self, log: bytes) -> Order | None:
        """The order that a log may have."""
        for place, order in enumerate(self._orders):
            if order.may_have(log):
                if place:
                    self._orders.insert(0, self._orders.pop(place))
                return order
        if not log or self._left + self._known // _SHARE <= 0:
            return None
        self._left -= 1
        from formats.columns.clock import Clock
        from formats.columns.order import Order

        roles = METRICS_FORMAT.roles
        assert roles is not None
        assert roles.label is not None
        clock = Clock(roles.clock, EARLIEST, LATEST)
        found = Order.learned(METRICS_FORMAT.schema, clock, roles.label, log)
        if found is not None:
            self._orders = [found, *self._orders[: _MOST - 1]]
        return found


def chosen(wants: Wants, order: Order, logs: Mapping[str, bytes], data: bytes) -> Chosen:
    """The wanted metrics of logs that agree with an order; `data` are their bytes."""
    import numpy as np

    labels = [label.decode(ENCODING, ERRORS) for label in order.labels]
    names = tuple(dict.fromkeys(labels))
    wanted = {name: code for code, name in enumerate(names) if wants(name)}
    places = [place for place, name in enumerate(labels) if name in wanted]
    sizes = [len(log) for log in logs.values()]
    ends = np.array(sizes).cumsum() // order.size
    turns = np.arange(len(data) // order.size)
    codes = np.array([wanted[labels[place]] for place in places], np.int32)
    numbers = order.numbers(data, places, turns)
    return Chosen(
        list(logs),
        sizes,
        names,
        np.tile(codes, len(turns)),
        numbers["value"],
        numbers["step"],
        ends * len(places),
        order.numbers(data, [order.records - 1], ends - 1)["timestamp"],
    )
