"""Scores: accuracy with its interval, what was fixed and what was broken, and the gate that decides whether a round counts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import Any

from .detect import kind
from .generate import Completion
from .tasks import Problem

SCALES = (1.0, 0.5, 0.25)  # strengths that the gate tries; 0 is known before

@dataclass(frozen=True)
class Scores:
    """Which of `n` questions were answered right, in order, and what follows from that; the interval is Wilson's at 95 %."""
    right: tuple[bool, ...]
    n: int
    accuracy: float
    interval: tuple[float, float]
    by_family: dict[str, float]
    by_level: dict[str, float]
    by_cell: dict[str, float]

def score(problems: Sequence[Problem], completions: Sequence[Completion]) -> Scores:
    """Exact-answer accuracy, over all and by family and level."""
    right = [kind(p, c) == "right" for p, c in zip(problems, completions)]

    def by(key: Callable[[Problem], str]) -> dict[str, float]:
        groups: dict[str, list[bool]] = {}
        for problem, ok in zip(problems, right):
            groups.setdefault(key(problem), []).append(ok)
        return {name: sum(group) / len(group) for name, group in sorted(groups.items())}

    n, total = len(right), sum(right)
    cells = by(lambda p: p.family), by(lambda p: str(p.level)), by(lambda p: f"{p.family}/{p.level}")
    return Scores(tuple(right), n, total / max(1, n), wilson(total, max(1, n)), *cells)

def wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); z is the normal quantile, for 95 % by default."""
    p, center = right / n, (right + z * z / 2) / (n + z * z)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, center - half), min(1.0, center + half)

def changes(before: Scores, after: Scores) -> tuple[int, int]:
    """(fixed, broken): wrong before and right after, and the other way about, on the same questions."""
    pairs = list(zip(before.right, after.right, strict=True))
    return pairs.count((False, True)), pairs.count((True, False))

def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided exact p-value that fixed and broken are equally likely (McNemar 1947): the binomial test of their smaller number."""
    n = fixed + broken
    return min(1.0, 2 * sum(comb(n, k) for k in range(min(fixed, broken) + 1)) / 2**n)

def gate(set_strength: Callable[[float], Any], before: float, accuracy: Callable[[], float]) -> tuple[float, float]:
    """Leave what was learned at the strength with the best dev accuracy, the strongest of equals; 0, a rejection, unless it is at least `before`.

    `accuracy` asks the dev questions, the same that gave `before`.  Returns (scale, accuracy at that scale).
    """
    found = {0.0: before}
    for factor in SCALES:
        set_strength(factor)
        found[factor] = accuracy()
    best = max(found, key=lambda factor: (found[factor], factor))
    set_strength(best)
    return best, found[best]
