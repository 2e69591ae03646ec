"""The demonstration: three small language models, trained and logged as three runs.

Guarantees: only NumPy and the sources of Python's standard library are needed; runs are seeded;
existing experiments are never written to: a free commit id is chosen.

The model predicts the next byte of Python source from the previous eight: an embedding, one hidden
layer and a softmax, trained with Adam at three learning rates: too low, good, too high.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore import start
from expstore.errors import ExpStoreError
from expstore.store.repository import ExperimentStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

STEPS = 400
LEARNING_RATES = (0.0001, 0.003, 0.1)
JOB = "next-byte"
TAG = "demo"

_CONTEXT = 8  # bytes that predict the next one
_EMBEDDING = 16
_HIDDEN = 96
_BYTES = 128  # bytes that are not ASCII become 0
_BATCH = 256
_VALIDATE_EVERY = 20
_FILES = 40
_TEXT_LIMIT = 1_000_000  # bytes of source


class NoTextError(ExpStoreError):
    """This Python installation has no sources to train on."""


@dataclass(frozen=True)
class Setting:
    """One run of the demonstration."""

    commit_id: str
    learning_rate: float

    def params(self) -> dict[str, object]:
        """The hyperparameters, as a training script would log them."""
        return {
            "lr": self.learning_rate,
            "optimizer": "adam",
            "batch": _BATCH,
            "model": {"context": _CONTEXT, "embedding": _EMBEDDING, "hidden": _HIDDEN},
        }


def free_settings(store: ExperimentStore) -> list[Setting]:
    """A setting for each learning rate, with commit ids that are free."""
    number = 1
    while True:
        suffix = "" if number == 1 else f"-{number}"
        settings = [Setting(f"demo-lr-{rate:g}{suffix}", rate) for rate in LEARNING_RATES]
        if not any(store.experiment_exists(setting.commit_id) for setting in settings):
            return settings
        number += 1


def train(
    store: ExperimentStore,
    setting: Setting,
    *,
    progress: Callable[[range], Iterable[int]] = iter,
) -> None:
    """Train one model, and log its parameters and every step.

    Args:
        store: the store; created if missing.
        setting: its commit id must be free.
        progress: wraps the steps to show progress.

    Raises:
        NoTextError: this Python installation has no sources; nothing was created.
    """
    import numpy as np

    training, validation = _text()
    rng = np.random.default_rng(0)
    model = _Model(rng)
    with start(
        store.root,
        setting.commit_id,
        job_name=JOB,
        params=setting.params(),
        tags=[TAG, "learning-rate"],
    ) as run:
        for step in progress(range(STEPS)):
            loss, gradients = model.gradients(*_batch(training, rng, _BATCH))
            norm = float(np.sqrt(sum((g * g).sum() for g in gradients.values())))
            model.update(gradients, setting.learning_rate, step)
            measured = {"train/loss": loss, "grad/norm": norm}
            if step % _VALIDATE_EVERY == 0 or step == STEPS - 1:
                inputs, targets = _batch(validation, np.random.default_rng(1), 2048)
                probabilities = model.predict(inputs)[-1]
                picked = probabilities[np.arange(len(targets)), targets]
                measured["val/loss"] = float(-np.log(picked + 1e-9).mean())
                measured["val/accuracy"] = float((probabilities.argmax(1) == targets).mean())
            run.log(measured, step=step)
        (run.files / "sample.txt").write_text(model.sample(400), encoding="utf-8")


def _text() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Standard library sources as ASCII codes: nine tenths for training, one for validation."""
    import numpy as np

    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[:: max(1, 200 // _FILES)]
    text = b"\n".join(path.read_bytes() for path in sources[:_FILES])[:_TEXT_LIMIT]
    if len(text) < 10_000:
        raise NoTextError("this Python installation has no standard library sources to train on")
    codes = np.frombuffer(text, np.uint8).copy()
    codes[codes >= _BYTES] = 0
    cut = len(codes) * 9 // 10
    return codes[:cut], codes[cut:]


def _batch(text: NDArray[np.uint8], rng: Any, size: int) -> tuple[Any, Any]:
    """Random contexts, (size, _CONTEXT), and the bytes that follow them, (size,)."""
    import numpy as np

    at = rng.integers(0, len(text) - _CONTEXT, size)
    windows = text[at[:, None] + np.arange(_CONTEXT + 1)]
    return windows[:, :-1], windows[:, -1].astype(np.int64)


class _Model:
    """Embedding, tanh layer, softmax; with Adam's moments for each weight."""

    def __init__(self, rng: Any) -> None:
        import numpy as np

        def weights(rows: int, columns: int) -> Array:
            scaled = rng.normal(0, rows**-0.5, (rows, columns))
            return scaled.astype(np.float32)  # type: ignore[no-any-return]

        self.weights: dict[str, Array] = {
            "embedding": weights(_BYTES, _EMBEDDING),
            "hidden": weights(_CONTEXT * _EMBEDDING, _HIDDEN),
            "output": weights(_HIDDEN, _BYTES),
            "bias": np.zeros(_BYTES, np.float32),
        }
        self._moments = {
            name: (np.zeros_like(w), np.zeros_like(w)) for name, w in self.weights.items()
        }

    def predict(self, inputs: Any) -> tuple[Array, Array, Array]:
        """Embedded contexts, hidden activations, and probabilities of each next byte."""
        import numpy as np

        embedded = self.weights["embedding"][inputs].reshape(len(inputs), -1)
        hidden = np.tanh(embedded @ self.weights["hidden"])
        logits = hidden @ self.weights["output"] + self.weights["bias"]
        logits -= logits.max(1, keepdims=True)
        probabilities = np.exp(logits)
        probabilities /= probabilities.sum(1, keepdims=True)
        return embedded, hidden, probabilities

    def gradients(self, inputs: Any, targets: Any) -> tuple[float, dict[str, Array]]:
        """The mean cross-entropy in nats, and its gradient for each weight."""
        import numpy as np

        embedded, hidden, probabilities = self.predict(inputs)
        rows = np.arange(len(targets))
        loss = float(-np.log(probabilities[rows, targets] + 1e-9).mean())
        by_logits = probabilities
        by_logits[rows, targets] -= 1
        by_logits /= len(targets)
        by_hidden = (by_logits @ self.weights["output"].T) * (1 - hidden * hidden)
        by_embedded = (by_hidden @ self.weights["hidden"].T).reshape(-1, _EMBEDDING)
        by_embedding = np.zeros_like(self.weights["embedding"])
        np.add.at(by_embedding, inputs.ravel(), by_embedded)
        return loss, {
            "embedding": by_embedding,
            "hidden": embedded.T @ by_hidden,
            "output": hidden.T @ by_logits,
            "bias": by_logits.sum(0),
        }

    def update(self, gradients: dict[str, Array], rate: float, step: int) -> None:
        """One step of Adam (Kingma and Ba, 2015, algorithm 1)."""
        import numpy as np

        for name, gradient in gradients.items():
            first, second = self._moments[name]
            first += (1 - 0.9) * (gradient - first)
            second += (1 - 0.999) * (gradient * gradient - second)
            unbiased = first / (1 - 0.9 ** (step + 1))
            scale = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            self.weights[name] -= rate * unbiased / scale

    def sample(self, length: int) -> str:
        """Text generated by the model, which shows what it has learned."""
        return "".join(self._letters(length))

    def _letters(self, length: int) -> Iterator[str]:
        import numpy as np

        rng = np.random.default_rng(2)
        context = list(b"    def "[-_CONTEXT:])
        for _ in range(length):
            probabilities = self.predict(np.array([context], np.uint8))[-1][0].astype(np.float64)
            code = int(rng.choice(_BYTES, p=probabilities / probabilities.sum()))
            context = [*context[1:], code]
            yield chr(code)
