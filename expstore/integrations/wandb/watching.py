"""Watching a PyTorch model: the norms of its gradients and parameters.

Guarantees: nothing is measured but at every so many backward passes; what was measured is logged
with the next call of `log`, at its step.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any


def watch(
    model: Any, kind: str, every: int, prefix: str, found: MutableMapping[str, float]
) -> Callable[[], None]:
    """Measure the parameters' gradients as they are computed; returns what ends that.

    Args:
        model: a torch.nn.Module.
        kind: `gradients`, `parameters` or `all`.
        every: measure every so many backward passes, the first included.
        prefix: of the names in `found`.
        found: takes the norms, as `gradients/<name>` and `parameters/<name>`.
    """

    def hook(name: str, parameter: Any) -> Any:
        passes = 0

        def measure(gradient: Any) -> None:
            nonlocal passes
            if passes % every == 0:
                if kind in ("gradients", "all"):
                    found[f"{prefix}gradients/{name}"] = float(gradient.norm())
                if kind in ("parameters", "all"):
                    found[f"{prefix}parameters/{name}"] = float(parameter.detach().norm())
            passes += 1

        return parameter.register_hook(measure)

    handles = [
        hook(name, parameter)
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    ]

    def end() -> None:
        for handle in handles:
            handle.remove()

    return end
