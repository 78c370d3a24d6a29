"""The detector: is an answer wrong, and does the model know?  It reads completions, asks no model.

Confidence comes from token probabilities: the completion's least certain token, since one weak
step spoils an answer, and the question's least likely one and their product, since a model can be
wrong and sure where it has never been (Arora et al. 2021).  Platt scaling (1999) joins them.
"""

from typing import NamedTuple

import numpy as np

from ..model.generate import Completion
from ..tasks.problems import parse
from .attempt import Attempt, Verdict
from .teacher import Teacher

Weights = list[float]  # of the scaling: one for each feature
RAW = [1.0, 0.0, 0.0, 0.0]  # no scaling: the probability of the least certain token
TINY = 1e-7  # the least probability that is told from zero
UNREACHED = 1 + 1e-6  # by any confidence
DECAY = 0.01  # of the weights: it keeps them finite where no answer is wrong


def features(completions: list[Completion]) -> np.ndarray:
    """(N, 4) of what confidence is made of.

    Log odds of the completion's least certain token; log probability of the question's least
    likely token, and of the whole question; 1.
    """
    sure = np.clip([min(c.probabilities) for c in completions], TINY, 1 - TINY)
    questions = [np.log(np.clip([1.0, *c.prompt_probabilities], TINY, 1)) for c in completions]
    least_likely = [question.min() for question in questions]
    whole = [question.sum() for question in questions]
    ones = np.ones_like(sure)
    return np.stack([np.log(sure / (1 - sure)), least_likely, whole, ones], 1)


def confidence(x: np.ndarray, weights: Weights) -> np.ndarray:
    """(N,) probabilities of being right from (N, 4) features: the logistic of their sum."""
    return 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))


def fit_weights(x: np.ndarray, right: np.ndarray) -> Weights:
    """Logistic regression of features (N, 4) by Newton's method."""
    w = np.zeros(x.shape[1])
    for _ in range(20):
        p = confidence(x, w)
        curvature = p * (1 - p)
        hessian = x.T @ (x * curvature[:, None]) + DECAY * np.eye(len(w))
        gradient = x.T @ (p - right) + DECAY * w
        w -= np.linalg.solve(hessian, gradient)
    return w.tolist()


def fit_threshold(scores: np.ndarray, right: np.ndarray, beta: float) -> float:
    """The score below which "this is wrong" has the highest F-beta.

    In it recall counts `beta` times.  0, which flags nothing, where no answer is wrong.
    """
    if right.all():
        return 0.0
    n = len(scores)
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    wrong = np.cumsum(~right[order])  # among the lowest 1, 2, ... n scores
    flagged = np.arange(1, n + 1)
    f = (1 + beta**2) * wrong / (flagged + beta**2 * wrong[-1])
    f[:-1][ordered[1:] == ordered[:-1]] = 0  # a threshold can't part equal scores
    best = f.argmax()
    return float(np.append(ordered, UNREACHED)[best : best + 2].mean())


class Detector(NamedTuple):
    """What is fitted: the weights of the scaling, and the confidence below which it is unsure."""

    weights: Weights
    threshold: float

    def judge(self, attempts: list[Attempt], teacher: Teacher) -> None:
        """Fill in the verdicts."""
        x = features([attempt.completion for attempt in attempts])
        for attempt, sure in zip(attempts, confidence(x, self.weights).tolist(), strict=True):
            told = teacher.says(attempt)
            if parse(attempt.completion.whole) is None:
                kind = "unparsable"
            elif told is False:
                kind = "wrong"
            else:
                kind = "unsure" if sure < self.threshold else "right"
            flagged = kind != "right" and not told
            attempt.verdict = Verdict(kind, sure, flagged)


def fit(
    completions: list[Completion], right: list[bool], inside: int, threshold: float, beta: float
) -> Detector:
    """A detector for completions of which some are right; a threshold of 0 or more is kept.

    The first `inside` of them are of what is taught.  The others are beyond that, and teach the
    weights to doubt there, but have no part in the threshold.
    """
    truth = np.array(right, bool)
    x = features(completions)
    weights = fit_weights(x, truth)
    if threshold < 0:
        threshold = fit_threshold(confidence(x[:inside], weights), truth[:inside], beta)
    return Detector(weights, threshold)
