"""The detector: is an answer wrong, and does the model know?  Reads completions, never calls the model.

Verdicts: `unparsable` (no end, or not `steps|answer`), `wrong` and `right` (the exact-answer check), and `unsure`: right, but
less confident than a threshold.  Confidence is the probability of the completion's least certain token: one weak step
is enough to spoil an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .generate import Completion
from .tasks import Problem, check


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one answer: its kind, and how sure the model was, 0 to 1."""

    kind: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How good the detector is on answers whose truth is known; `threshold` is the one in use."""

    threshold: float
    auroc: float
    ece: float


def confidence(completion: Completion) -> float:
    """Probability of the least certain token."""
    return min(completion.probabilities)


def judge(problem: Problem, completion: Completion, threshold: float) -> Verdict:
    """The verdict on one answer."""
    sure = confidence(completion)
    kind = check(problem.answer, completion.text) if completion.finished else "unparsable"
    return Verdict("unsure" if kind == "right" and sure < threshold else kind, sure)


def auroc(scores: np.ndarray, right: np.ndarray) -> float:
    """Probability that a right answer scores above a wrong one, ties counting half (Mann-Whitney U); 0.5 if one kind is missing."""
    n, m = int(right.sum()), int((~right).sum())
    if n == 0 or m == 0:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]  # ties share their mean rank, from 1
    return float((rank[right].sum() - n * (n + 1) / 2) / (n * m))


def ece(scores: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error: mean |accuracy - confidence| over equal-width bins, weighted by size (Guo et al. 2017, eq. 3)."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gap = np.bincount(place, right - scores, bins)
    return float(np.abs(gap).sum() / len(scores))


def fit_threshold(scores: np.ndarray, right: np.ndarray) -> float:
    """The confidence below which "this is wrong" has the highest F1; 0, which flags nothing, where no answer is wrong."""
    order = np.argsort(scores, kind="stable")
    wrong = np.cumsum(~right[order])
    if not len(scores) or wrong[-1] == 0:
        return 0.0
    f1 = 2 * wrong / (np.arange(1, len(scores) + 1) + wrong[-1])
    ordered = scores[order]
    f1[:-1][ordered[1:] == ordered[:-1]] = 0  # a threshold can't part equal scores
    best = int(f1.argmax())
    return float(ordered[best : best + 2].mean()) if best + 1 < len(ordered) else float(np.nextafter(ordered[best], 2))


def measure(problems: Sequence[Problem], completions: Sequence[Completion], threshold: float = -1.0) -> Quality:
    """Measure the detector on dev answers; a negative threshold is fitted to them."""
    verdicts = [judge(p, c, 0.0) for p, c in zip(problems, completions)]
    scores = np.array([v.confidence for v in verdicts])
    right = np.array([v.kind == "right" for v in verdicts])
    return Quality(fit_threshold(scores, right) if threshold < 0 else threshold, auroc(scores, right), ece(scores, right))
