"""Which metrics are shown first, and whether a low or a high value is the best.

Guarantees: both are guessed from the words of a name alone, so a metric is treated the same in
every view; what is not known is shown by its last value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

_LOW = re.compile(
    "bpb|bpc|bpd|cer|cost|divergence|elbo|energy|err|m?errors?|fid|kl|l1|l2|m?logloss|loss|losses|"
    "mae|mape|mse|nll|perplexity|ppl|regret|rmse|rmsle|wer"
)
_HIGH = re.compile(
    "acc|accuracy|ap|auc|auprc|auroc|bleu|dice|em|f1|f2|hits?|iou|kappa|likelihood|map|mcc|meteor|"
    "miou|mrr|ndcg|precision|psnr|r2|recall|returns?|rewards?|rouge|scores?|sensitivity|"
    "specificity|ssim|success|top1|top5|win|winrate"
)
_HELD_OUT = {"dev", "eval", "evaluation", "heldout", "test", "val", "valid", "validation"}
_ASIDE = {"grad", "gradient", "gradients", "gradnorm", "system"}
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
    and last the gradients' and the system's.
    """
    return sorted(names, key=_rank)


def _rank(name: str) -> int:
    found = words(name)
    if _ASIDE.intersection(found):
        return 3
    if best_aspect(name) == "last":
        return 2
    return 1 - bool(_HELD_OUT.intersection(found))
