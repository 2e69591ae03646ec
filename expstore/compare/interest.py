"""Which metrics are shown first, and whether a low or a high value is the best.

Guarantees: both are guessed from the words of a name alone, so a metric is treated the same in
every view, also in the page, which gets these words; what is not known is shown by its last value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

LOW = (
    "bpb|bpc|bpd|cer|cost|divergence|elbo|energy|err|m?errors?|fid|kl|l1|l2|m?logloss|loss|losses|"
    "mae|mape|mse|nll|perplexity|ppl|regret|rmse|rmsle|wer"
)
"""Words of which less is better, as a regular expression."""

HIGH = (
    "acc|accuracy|ap|auc|auprc|auroc|bleu|dice|em|f1|f2|hits?|iou|kappa|likelihood|map|mcc|meteor|"
    "miou|mrr|ndcg|precision|psnr|r2|recall|returns?|rewards?|rouge|scores?|sensitivity|"
    "specificity|ssim|success|throughput|top1|top5|win|winrate"
)
"""Words of which more is better, likewise."""

HELD_OUT = ("dev", "eval", "evaluation", "heldout", "test", "val", "valid", "validation")
"""Words for data that a model has not seen."""

ASIDE = (
    *("cpu", "debug", "gpu", "grad", "gradient", "gradients", "gradnorm", "grads", "lr", "sys"),
    *("system", "time"),
)
"""Words for what is looked at last."""

_LOW, _HIGH = re.compile(LOW), re.compile(HIGH)
_WORD = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*|\d+")


@cache
def words(name: str) -> tuple[str, ...]:
    """The words of a name, in lower case: `valLoss`, `val_loss` and `val/loss` have the same."""
    return tuple(word.lower() for word in _WORD.findall(name))


def best_aspect(name: str) -> str:
    """`min` or `max`, as the last word that says so has it: a loss is low; otherwise `last`."""
    for word in reversed(words(name)):
        if _LOW.fullmatch(word):
            return "min"
        if _HIGH.fullmatch(word):
            return "max"
    return "last"


def by_interest(names: Iterable[str]) -> list[str]:
    """The names in the order in which they are shown; equals keep their order.

    First what is measured on data held out, then other losses and scores, then everything else,
    and last what ASIDE has.
    """
    return sorted(names, key=_rank)


def _rank(name: str) -> int:
    found = set(words(name))
    if not found.isdisjoint(ASIDE):
        return 3
    if best_aspect(name) == "last":
        return 2
    return int(found.isdisjoint(HELD_OUT))
