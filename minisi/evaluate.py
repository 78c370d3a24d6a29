"""Scores: accuracy with its interval, what was fixed and what was broken, and the gate that decides whether a round counts."""
from collections.abc import Callable, Sequence
from math import comb, sqrt
from typing import Any, NamedTuple
from .detect import kind
from .generate import Completion
from .tasks import Problem, parse

SCALES = (1.0, 0.5, 0.25)  # strengths that the gate tries; 0 is known before

class Scores(NamedTuple):
    """Which questions were answered right, in order, and the figures of metrics.jsonl that follow; the interval is Wilson's at 95 %."""
    right: tuple[bool, ...]
    figures: dict[str, Any]

def score(problems: Sequence[Problem], completions: Sequence[Completion]) -> Scores:
    """Exact-answer accuracy, over all and by family and level."""
    return tally(problems, [kind(p.answer, c) == "right" for p, c in zip(problems, completions)])

def tally(problems: Sequence[Problem], right: Sequence[bool]) -> Scores:
    """The scores of answers that are known to be right or not."""
    def by(key: Callable[[Problem], str]) -> dict[str, float]:
        groups: dict[str, list[bool]] = {}
        for problem, ok in zip(problems, right):
            groups.setdefault(key(problem), []).append(ok)
        return {name: sum(group) / len(group) for name, group in sorted(groups.items())}
    (low, high), accuracy = wilson(sum(right), max(1, len(right))), sum(right) / max(1, len(right))
    cells = dict(by_family=by(lambda p: p.family), by_level=by(lambda p: str(p.level)), by_cell=by(lambda p: f"{p.family}/{p.level}"))
    return Scores(tuple(right), dict(test_n=len(right), test_accuracy=accuracy, test_low=low, test_high=high, **cells))

def wilson(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a share (Wilson 1927); z is the normal quantile, for 95 % by default."""
    p, center = right / n, (right + z * z / 2) / (n + z * z)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, center - half), min(1.0, center + half)

def agreement(answers: Sequence[str], completions: Sequence[Completion]) -> float:
    """Share of the completions that end in the answer beside them; 0 where there are none."""
    return sum(kind(a, c) == "right" for a, c in zip(answers, completions)) / max(1, len(answers))

def labels(problems: Sequence[Problem], texts: Sequence[str]) -> dict[str, float]:
    """How many of the problems got a correction, and how many of the corrections end in the key, as shares."""
    said = [(p.answer, parse(text)[1]) for p, text in zip(problems, texts) if text]
    return dict(label_coverage=len(said) / max(1, len(texts)), label_precision=sum(a == b for a, b in said) / max(1, len(said)))

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
    `accuracy` asks the dev questions, the same that gave `before`.  Returns (scale, accuracy at that scale)."""
    found = {0.0: before}
    for factor in SCALES:
        set_strength(factor)
        found[factor] = accuracy()
    best = max(found, key=lambda factor: (found[factor], factor))
    set_strength(best)
    return best, found[best]
