"""The detector: is an answer wrong, and does the model know?  Reads completions, never calls the model.

Verdicts: `unparsable` (no end, or not `steps|answer`), `wrong` and `right` (the exact-answer check), and `unsure`: right, but
less confident than a threshold.  Confidence comes from token probabilities: the completion's least certain token, since one weak
step is enough to spoil an answer, and the question's least likely one and their product, since a model can be wrong and sure where
it has never been (Arora et al. 2021).  Platt scaling on dev answers (Platt 1999) makes one probability of being right out of them.
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

Weights = tuple[float, ...]  # of the scaling: one for each feature
RAW: Weights = (1.0, 0.0, 0.0, 0.0)  # no scaling: the probability of the least certain token

@dataclass(frozen=True, slots=True)
class Quality:
    """How good the detector is on answers whose truth is known; `threshold` and `weights` are those in use."""
    threshold: float
    weights: Weights
    auroc: float
    ece: float

def features(completions: Sequence[Completion]) -> np.ndarray:
    """(N, 4): log odds of the completion's least certain token; log probability of the question's least likely one, and of all of it; 1."""
    sure = np.clip([min(c.probabilities) for c in completions], 1e-7, 1 - 1e-7)
    question = [np.log(np.clip([1.0, *c.prompt_probabilities], 1e-7, 1)) for c in completions]
    return np.stack([np.log(sure / (1 - sure)), [q.min() for q in question], [q.sum() for q in question], np.ones(len(completions))], 1)

def confidence(x: np.ndarray, weights: Weights) -> np.ndarray:
    """(N,) probabilities of being right from (N, 4) features: the logistic function of their weighted sum."""
    return 1 / (1 + np.exp(-np.clip(x @ np.array(weights), -30, 30)))

def fit_weights(x: np.ndarray, right: np.ndarray, decay: float = 0.01) -> Weights:
    """Logistic regression of features (N, 4) by Newton's method; the decay keeps it finite where no answer is wrong."""
    w = np.zeros(x.shape[1])
    for _ in range(20):
        p = confidence(x, w)
        hessian = x.T @ (x * (p * (1 - p))[:, None]) + decay * np.eye(len(w))
        w = w - np.linalg.solve(hessian, x.T @ (p - right) + decay * w)
    return tuple(w.tolist())

def kind(problem: Problem, completion: Completion) -> str:
    """`right`, `wrong` or `unparsable`, which an answer without an end is too."""
    return check(problem.answer, completion.text) if completion.finished else "unparsable"

def judge(problems: Sequence[Problem], completions: Sequence[Completion], quality: Quality) -> list[Verdict]:
    """The verdict on each answer."""
    kinds = map(kind, problems, completions)
    sure = confidence(features(completions), quality.weights).tolist()
    return [Verdict("unsure" if k == "right" and s < quality.threshold else k, s) for k, s in zip(kinds, sure)]

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
    """Fit the detector to dev answers and measure it, each half by weights from the other; a negative threshold is fitted too."""
    right = np.array([kind(p, c) == "right" for p, c in zip(problems, completions)])
    x, scores, odd = features(completions), np.empty(len(right)), np.arange(len(right)) % 2 == 1
    for half in (odd, ~odd):
        scores[half] = confidence(x[half], fit_weights(x[~half], right[~half]))
    fitted = fit_threshold(scores, right) if threshold < 0 else threshold
    return Quality(fitted, fit_weights(x, right), auroc(scores, right), ece(scores, right))
