"""Answers and scores to try detectors and statistics on, and their figures counted by hand."""

import numpy as np

from minisi.model.generate import Completion

CASES = [(seed, levels) for seed in range(3) for levels in (2, 5, 1000)]  # few make many ties


def said(text, *probabilities, finished=True, prompt=(1.0,), entropy=0.0):
    tokens = [1] * len(probabilities)
    return Completion(text, tokens, list(probabilities), finished, list(prompt), entropy)


def unconfirmed(model, codec, prompts, drafts, limit):
    """Stands in for the reading of drafts: all is written."""
    return [None] * len(prompts)


def cases(seed, n=60, levels=1000):
    """Scores, and truths that they say something about."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, n) / levels
    return scores, rng.random(n) < 0.2 + 0.6 * scores


def answered(seed, n, skill=1.0):
    """Truths, and answers whose probabilities say something about them.

    They say nothing where `skill` is 0.
    """
    rng = np.random.default_rng(seed)
    right = rng.permutation(n) < n / 2
    odds = rng.normal(2, 2, (n, 4)) + skill * np.where(right, 2, -2)[:, None]
    likely = np.exp(-rng.gamma(2, 2, (n, 3)) - skill * ~right[:, None])
    spread = rng.gamma(2, 0.3, n) + skill * ~right
    sure = 1 / (1 + np.exp(-odds))
    rows = zip(sure, likely, spread, strict=True)
    return right, [said("1|2", *tokens, prompt=prompt, entropy=e) for tokens, prompt, e in rows]


def counted(scores, right, threshold):
    """How many are flagged as wrong, how many of them are, and how many there are."""
    flagged = [score < threshold for score in scores]
    hits = sum(flag and not ok for flag, ok in zip(flagged, right, strict=True))
    return sum(flagged), hits, sum(not ok for ok in right)


def f_beta(precision, recall, beta):
    if precision == 0:
        return 0.0
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def f(scores, right, threshold, beta=1.0):
    """F-beta of "this is wrong"."""
    flagged, hits, wrong = counted(scores, right, threshold)
    return f_beta(hits / max(1, flagged), hits / wrong, beta)


def best_f(scores, right, beta):
    """The highest F-beta of any threshold."""
    thresholds = [*scores, *(scores + 1e-6), 1.0]
    return max(f(scores, right, threshold, beta) for threshold in thresholds)
