"""The arms of an experiment: `failure`, and those that it is compared with.  Each differs from it in one thing, named here or in loop.py."""
from collections.abc import Callable, Sequence
from random import Random
from typing import Any
import torch
from torch import Tensor, nn
from .tasks import Problem

def pick(arm: str, rng: Random, flagged: Sequence[bool], budget: int | None) -> list[int]:
    """Which answers are corrected: as many as are flagged, or as the budget says; what is flagged comes first, but in `random`."""
    wrong = [i for i, flag in enumerate(flagged) if flag]
    count = len(wrong) if budget is None else budget
    if arm in ("fresh", "static"):
        return []
    if arm != "random" and count == len(wrong):
        return wrong
    order = rng.sample(range(len(flagged)), len(flagged))
    return (order if arm == "random" else sorted(order, key=lambda i: not flagged[i]))[:count]

def shifted(problems: Sequence[Problem], texts: Sequence[str]) -> list[str]:
    """Each text moved to the next problem of its family: corrections that look right and are not, for the arm `corrupt`."""
    moved = list(texts)
    for family in {p.family for p in problems}:
        places = [i for i, p in enumerate(problems) if p.family == family]
        for i, j in zip(places, places[1:] + places[:1]):
            moved[j] = texts[i]
    return moved

@torch.no_grad()
def blender(model: nn.Module, before: dict[str, Tensor]) -> Callable[[float], Any]:
    """For the arm `full`, a function of a share: puts the weights that far on the way from `before` to what they are now."""
    after = {name: weight.clone() for name, weight in model.state_dict().items()}
    return lambda share: model.load_state_dict({name: before[name].lerp(weight, share) for name, weight in after.items()})
