"""Statistics: pure functions of numbers, each with its source.

Shapes: N answers, of which `right` (N,) says which are right, and `scores` (N,) how sure they are.
"""

from math import comb, sqrt

import numpy as np
from numpy import ndarray

NORMAL = 1.959964  # the quantile of the normal distribution for 95 %
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)  # and of Student's t


def wilson(right: int, n: int) -> tuple[float, float]:
    """Wilson score interval of a share, at 95 % (Wilson 1927)."""
    p = right / n
    z2 = NORMAL * NORMAL
    center = (right + z2 / 2) / (n + z2)
    half = NORMAL * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, center - half), min(1.0, center + half)


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided exact p-value that fixed and broken are equally likely (McNemar 1947).

    It is the binomial test of their smaller number.
    """
    n = fixed + broken
    tail = sum(comb(n, k) for k in range(min(fixed, broken) + 1))
    return min(1.0, 2 * tail / 2**n)


def interval(values: ndarray) -> tuple[float, float]:
    """95 % interval of the mean of (seeds, questions), for other seeds and other questions.

    All seeds are asked the same questions, so that both parts of the variance count (Owen 2007,
    "The pigeonhole bootstrap"): that of the seeds with Student's t, since they are few, and that of
    the questions with the normal quantile.  It covers where seeds scatter normally; one seed in
    five that goes astray makes it too narrow.
    """
    seeds, n = values.shape
    mean = values.mean()
    of_seed = values.mean(1, keepdims=True)
    of_question = values.mean(0, keepdims=True)
    rest = ((values - of_seed - of_question + mean) ** 2).sum() / max(1, (seeds - 1) * (n - 1))
    questions = max(0.0, of_question.var(ddof=1) / n - rest / (seeds * n))
    half = NORMAL * sqrt(questions)
    if seeds > 1:
        t = STUDENT[min(seeds - 1, len(STUDENT)) - 1]
        half = sqrt(half**2 + t**2 * of_seed.var(ddof=1) / seeds)
    return mean - half, mean + half


def auroc(scores: ndarray, right: ndarray) -> float:
    """Probability that a right answer scores above a wrong one, ties counting half.

    It is Mann and Whitney's U; 0.5 if one kind is missing.
    """
    n = int(right.sum())
    m = len(right) - n
    if n * m == 0:
        return 0.5
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # from 1; ties share their mean rank
    return float((ranks[place][right].sum() - n * (n + 1) / 2) / (n * m))


def bin_of(scores: ndarray, bins: int) -> ndarray:
    """(N,) numbers of equal-width bins of the scores from 0 to 1."""
    return np.minimum((scores * bins).astype(int), bins - 1)


def ece(scores: ndarray, right: ndarray, bins: int = 15) -> float:
    """Expected calibration error: the mean gap of accuracy and confidence (Guo et al. 2017, 3)."""
    gap = np.bincount(bin_of(scores, bins), right - scores, bins)
    return float(np.abs(gap).sum() / max(1, len(scores)))


def reliability(scores: ndarray, right: ndarray, bins: int = 10) -> ndarray:
    """(bins, 3): how many scores a bin has, their mean, and the share that is right."""
    place = bin_of(scores, bins)
    size = np.bincount(place, minlength=bins)
    means = [np.bincount(place, x, bins) / np.maximum(size, 1) for x in (scores, right)]
    return np.stack([size, *means], 1)


def risk_coverage(scores: ndarray, right: ndarray) -> ndarray:
    """(N,) shares of wrong answers among the 1, 2, ... N with the highest scores.

    Their mean is AURC (Geifman and El-Yaniv 2017).
    """
    surest = np.argsort(-scores, kind="stable")
    return np.cumsum(~right[surest]) / np.arange(1, len(scores) + 1)
