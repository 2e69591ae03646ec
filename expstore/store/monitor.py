"""Monitor: the use of the machine while a run is going on, as metrics `system/...`.

Guarantees: measuring never disturbs the run: it is done by a daemon thread, which ends when the run
does, and is not in a forked child; what cannot be measured is left out. If a measurement cannot be
logged, the thread ends, and the run's own next call raises the reason.

    system/cpu                per cent of all cores
    system/memory             per cent of the machine's memory
    system/process_memory     bytes that the process holds; of a program that was started, with all
                              that it has started
    system/gpu0/use           per cent of the time in which a kernel ran
    system/gpu0/memory        per cent of its memory
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from expstore.errors import ExpStoreError
from expstore.extras import require

INTERVAL = 10.0
"""Seconds between two measurements."""

_PATIENCE = 5.0  # seconds to wait for a measurement in progress when the run ends


class Monitor:
    """Measures until it is stopped.

    Args:
        log: called with each measurement, in another thread.
        interval: seconds.
        program: the process id of a program to measure; None: this process.

    Raises:
        MissingExtraError: the extra `system` is not installed.
    """

    def __init__(
        self,
        log: Callable[[dict[str, float]], object],
        interval: float = INTERVAL,
        program: int | None = None,
    ) -> None:
        self._log = log
        self._interval = interval
        self._machine = Machine(program)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="expstore-monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop measuring, and wait for the end of a measurement in progress."""
        self._stopped.set()
        self._thread.join(_PATIENCE)

    def _measure(self) -> None:
        with suppress(ExpStoreError):
            while not self._stopped.wait(self._interval):
                self._log(self._machine.measure())


class Machine:
    """What can be measured of the machine and a process.

    Args:
        program: the process id of a program, which is measured with what it has started; None: this
            process, alone.

    Raises:
        MissingExtraError: the extra `system` is not installed.
    """

    def __init__(self, program: int | None = None) -> None:
        self._psutil = require("psutil", "system")
        self._process: Any = None
        with suppress(self._psutil.Error, OSError):  # it has ended
            self._process = self._psutil.Process(program)
        self._is_program = program is not None
        self._psutil.cpu_percent()  # which measures from one call to the next
        self._gpus = _Gpus()

    def measure(self) -> dict[str, float]:
        """The present values, by metric name."""
        readings: dict[str, Callable[[], float]] = {
            "system/cpu": self._psutil.cpu_percent,
            "system/memory": lambda: self._psutil.virtual_memory().percent,
        }
        if self._process is not None:
            readings["system/process_memory"] = self._memory
        found = {}
        for name, read in readings.items():
            with suppress(self._psutil.Error, OSError):  # as in a sandbox
                found[name] = float(read())
        return found | dict(self._gpus.measure())

    def _memory(self) -> float:
        started = self._process.children(recursive=True) if self._is_program else []
        total = self._process.memory_info().rss
        for process in started:
            with suppress(self._psutil.Error, OSError):  # it has ended meanwhile
                total += process.memory_info().rss
        return float(total)


class _Gpus:
    """NVIDIA's GPUs; none without its library or driver."""

    def __init__(self) -> None:
        self._library: Any = None
        self._handles: list[Any] = []
        try:
            import pynvml
        except ImportError:
            return
        self._library = pynvml
        with suppress(pynvml.NVMLError):  # no driver, or no GPU
            pynvml.nvmlInit()
            self._handles = list(
                map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
            )

    def measure(self) -> Iterator[tuple[str, float]]:
        """The use of each, by metric name; one that does not answer is left out."""
        for index, handle in enumerate(self._handles):
            with suppress(self._library.NVMLError):
                use = self._library.nvmlDeviceGetUtilizationRates(handle)
                memory = self._library.nvmlDeviceGetMemoryInfo(handle)
                yield f"system/gpu{index}/use", float(use.gpu)
                yield f"system/gpu{index}/memory", 100 * memory.used / memory.total
