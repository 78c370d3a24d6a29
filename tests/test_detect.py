"""The detector against counting by hand."""

import numpy as np
import pytest

from minisi.config import Config
from minisi.detect import auroc, confidence, ece, fit_threshold, judge, measure
from minisi.generate import Completion
from minisi.tasks import solve

PROBLEM = solve("347+586")
CASES = [(seed, levels) for seed in range(3) for levels in (2, 5, 1000)]  # few levels make many ties


def said(text, *probabilities, finished=True):
    return Completion(text, [1] * len(probabilities), list(probabilities), finished)


def cases(seed, n=60, levels=1000):
    """Scores, and truths that they say something about."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, n) / levels
    return scores, rng.random(n) < 0.2 + 0.6 * scores


def f1(scores, right, threshold):
    flagged = scores < threshold
    return 2 * (flagged & ~right).sum() / max(1, flagged.sum() + (~right).sum())


@pytest.mark.parametrize("seed, levels", CASES)
def test_auroc_is_the_share_of_pairs_in_order(seed, levels):
    scores, right = cases(seed, levels=levels)
    pairs = [(a > b) + (a == b) / 2 for a in scores[right] for b in scores[~right]]
    assert auroc(scores, right) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("truth", [True, False])
def test_auroc_of_one_kind_alone_says_nothing(truth):
    assert auroc(np.array([0.1, 0.9]), np.array([truth, truth])) == 0.5


@pytest.mark.parametrize("seed, bins", [(0, 1), (1, 10), (2, 15)])
def test_ece_is_the_weighted_gap_of_the_bins(seed, bins):
    scores, right = cases(seed)
    scores[0], total = 1.0, 0.0
    for b in range(bins):
        inside = (scores >= b / bins) & ((scores < (b + 1) / bins) | (b == bins - 1))
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - scores[inside].mean())
    assert ece(scores, right, bins) == pytest.approx(total)


@pytest.mark.parametrize("seed, levels", CASES)
def test_no_threshold_has_a_better_f1(seed, levels):
    scores, right = cases(seed, levels=levels)
    best = max(f1(scores, right, t) for t in [*scores, *(scores + 1e-6), 1.0])
    assert best > 0 and f1(scores, right, fit_threshold(scores, right)) == pytest.approx(best)


def test_certainty_can_be_flagged_too():
    scores, right = np.array([1.0, 1.0]), np.array([False, False])
    assert f1(scores, right, fit_threshold(scores, right)) == 1


@pytest.mark.parametrize("scores", [[], [0.3, 0.9]])
def test_where_nothing_is_wrong_nothing_is_flagged(scores):
    assert fit_threshold(np.array(scores), np.ones(len(scores), bool)) == 0


def test_confidence_is_that_of_the_least_certain_token():
    assert confidence(said("x", 0.9, 0.4, 1.0)) == 0.4


@pytest.mark.parametrize(
    "text, sure, finished, kind",
    [
        (PROBLEM.target, 0.9, True, "right"), (PROBLEM.target, 0.5, True, "right"), (PROBLEM.target, 0.4, True, "unsure"), ("1+1=2|933", 0.9, True, "right"),
        ("7+6+0=13|13", 0.9, True, "wrong"), ("7+6+0=13|13", 0.1, True, "wrong"), ("933", 0.9, True, "unparsable"), (PROBLEM.target, 0.9, False, "unparsable"),
    ],
)  # fmt: skip
def test_the_verdicts(text, sure, finished, kind):
    verdict = judge(PROBLEM, said(text, 0.99, sure, finished=finished), 0.5)
    assert (verdict.kind, verdict.confidence) == (kind, sure)


ANSWERS = [said(PROBLEM.target, 0.9), said(PROBLEM.target, 0.8), said("1|2", 0.3), said("junk", 0.5), said(PROBLEM.target, 0.95, finished=False)]


def test_measuring_fits_a_threshold_and_knows_the_truth():
    scores, right = np.array([0.9, 0.8, 0.3, 0.5, 0.95]), np.array([1, 1, 0, 0, 0], bool)
    quality = measure([PROBLEM] * 5, ANSWERS)
    assert (quality.threshold, quality.auroc, quality.ece) == (fit_threshold(scores, right), auroc(scores, right), ece(scores, right))
    assert measure([PROBLEM] * 5, ANSWERS, 0.25).threshold == 0.25


def test_the_default_setting_fits_a_threshold():
    assert measure([PROBLEM] * 5, ANSWERS, Config().threshold).threshold > 0
