"""The detector against counting by hand."""

import numpy as np
import pytest
import torch

from minisi import detect
from minisi.config import Config
from minisi.detect import RAW, Quality, auroc, confidence, ece, features, fit_threshold, fit_weights, judge, measure
from minisi.generate import Completion
from minisi.tasks import solve

PROBLEM = solve("347+586")
CASES = [(seed, levels) for seed in range(3) for levels in (2, 5, 1000)]  # few levels make many ties


def said(text, *probabilities, finished=True, prompt=(1.0,)):
    return Completion(text, [1] * len(probabilities), list(probabilities), finished, list(prompt))


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


def test_the_features_are_of_the_least_certain_token_and_of_the_question():
    x = features([said("x", 0.9, 0.4, 1.0, prompt=[0.5, 0.25, 1.0]), said("x", 0.8, prompt=[])])
    assert x == pytest.approx(np.array([[np.log(0.4 / 0.6), np.log(0.25), np.log(0.125), 1], [np.log(4), 0, 0, 1]]))
    assert np.isfinite(features([said("x", 0.0, prompt=[0.0, 1.0]), said("x", 1.0)])).all()


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.4, 0.5, 0.999999])
def test_raw_confidence_is_the_probability_of_the_least_certain_token(p):
    assert confidence(features([said("x", 1.0, p, (1 + p) / 2, prompt=[0.01, 0.3])]), RAW) == pytest.approx([p], rel=1e-8)


@pytest.mark.parametrize(
    "text, sure, finished, kind",
    [
        (PROBLEM.target, 0.9, True, "right"), (PROBLEM.target, 0.5, True, "right"), (PROBLEM.target, 0.4, True, "unsure"), ("1+1=2|933", 0.9, True, "right"),
        ("7+6+0=13|13", 0.9, True, "wrong"), ("7+6+0=13|13", 0.1, True, "wrong"), ("933", 0.9, True, "unparsable"), (PROBLEM.target, 0.9, False, "unparsable"),
    ],
)  # fmt: skip
def test_the_verdicts(text, sure, finished, kind):
    (verdict,) = judge([PROBLEM], [said(text, 0.99, sure, finished=finished, prompt=[0.2])], Quality(0.5, RAW, 0.5, 0.0))
    assert (verdict.kind, verdict.confidence) == (kind, pytest.approx(sure))


def test_a_verdict_weighs_answer_and_question():
    answers = [said(PROBLEM.target, sure, prompt=[0.8, likely]) for sure in (0.6, 0.9) for likely in (0.001, 0.5)]
    found = judge([PROBLEM] * 4, answers, Quality(0.7, (2.0, 0.25, 0.25, 1.0), 0.5, 0.0))
    odds = [(sure / (1 - sure)) ** 2 * (0.8 * likely**2) ** 0.25 * np.e for sure in (0.6, 0.9) for likely in (0.001, 0.5)]
    assert [v.confidence for v in found] == pytest.approx([o / (1 + o) for o in odds])
    assert [v.kind for v in found] == ["unsure", "right", "right", "right"] == ["right" if o / (1 + o) >= 0.7 else "unsure" for o in odds]


def logistic(x, right, decay=0.01):
    """The same regression by quasi-Newton steps on its loss."""
    x, y, w = torch.tensor(x), torch.tensor(right, dtype=torch.double), torch.zeros(x.shape[1], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS([w], max_iter=2000, max_eval=4000, tolerance_grad=1e-10, tolerance_change=1e-15, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ w, y, reduction="sum") + decay / 2 * w.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return w.detach().numpy()


def answered(seed, n, skill=1.0):
    """Answers whose two probabilities say something about the truth, or nothing where `skill` is 0."""
    rng = np.random.default_rng(seed)
    right = np.arange(n) // 2 % 2 == 0  # as often in either half
    odds = rng.normal(2, 2, n) + skill * np.where(right, 2, -2)
    likely = np.exp(-rng.gamma(2, 2, (n, 3)) - skill * ~right[:, None])
    return right, [said(PROBLEM.target if ok else "1|2", 1 / (1 + np.exp(-o)), prompt=p) for ok, o, p in zip(right, odds, likely)]


@pytest.mark.parametrize("seed, n, skill", [(0, 20, 1.0), (1, 60, 1.0), (2, 500, 0.3), (3, 60, 0.0)])
def test_the_weights_are_those_of_another_logistic_regression(seed, n, skill):
    right, answers = answered(seed, n, skill)
    assert fit_weights(features(answers), right) == pytest.approx(logistic(features(answers), right), rel=1e-3, abs=1e-4)


ODDS = [(-3, -1, 1, 2), (-16, -16, 16, 16), (2, 2.1, 2.2, 2.3), (-16, 16, 16, 16)]


@pytest.mark.parametrize("odds", ODDS, ids=str)
@pytest.mark.parametrize("right", [(0, 0, 1, 1), (0, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 0), (1, 0, 0, 0)], ids=str)
@pytest.mark.parametrize("copies", [1, 250])
def test_the_weights_are_finite_and_best_where_a_line_parts_right_from_wrong_too(odds, right, copies):
    x = np.array([[o, -1.0 - i, -8.0 - i % 2, 1.0] for i, o in enumerate(odds)] * copies)
    found = fit_weights(x, np.array(right * copies, bool))
    assert np.isfinite(found).all() and found == pytest.approx(logistic(x, right * copies), rel=1e-2, abs=1e-3)


def test_measuring_scores_each_half_by_the_weights_of_the_other():
    right, answers = answered(5, 80)
    x, scores = features(answers), np.empty(80)
    for half in (0, 1):
        scores[half::2] = 1 / (1 + np.exp(-x[half::2] @ logistic(x[1 - half :: 2], right[1 - half :: 2])))
    quality = measure([PROBLEM] * 80, answers)
    assert quality.weights == pytest.approx(logistic(x, right), rel=1e-3)
    assert (quality.threshold, quality.auroc, quality.ece) == pytest.approx((fit_threshold(scores, right), auroc(scores, right), ece(scores, right)), abs=1e-4)
    assert measure([PROBLEM] * 80, answers, 0.25) == Quality(0.25, quality.weights, quality.auroc, quality.ece)


def test_an_answers_truth_moves_no_score_of_its_own_half(monkeypatch):
    seen, (_, answers) = [], answered(6, 40)
    monkeypatch.setattr(detect, "ece", lambda scores, right: seen.append(scores.copy()) or 0.0)
    for text in (PROBLEM.target, "1|2"):
        answers[4] = said(text, 0.7, prompt=[0.1])
        measure([PROBLEM] * 40, answers)
    assert (seen[0][::2] == seen[1][::2]).all() and (seen[0][1::2] != seen[1][1::2]).all()


def test_chance_is_not_taken_for_skill():
    fair, leaking = [], []
    for seed in range(100):
        right, answers = answered(seed, 24, skill=0.0)
        x = features(answers)
        fair.append(measure([PROBLEM] * 24, answers).auroc)
        leaking.append(auroc(confidence(x, fit_weights(x, right)), right))
    assert abs(np.mean(fair) - 0.5) < 0.08 < 0.12 < np.mean(leaking) - 0.5


def test_measuring_knows_the_truth_and_by_default_fits_a_threshold():
    answers = [said(PROBLEM.target, 0.9), said(PROBLEM.target, 0.8), said("1|2", 0.3), said("junk", 0.5), said(PROBLEM.target, 0.2, finished=False)] * 4
    quality = measure([PROBLEM] * 20, answers, Config().threshold)
    assert quality.threshold > 0 and quality.auroc == 1
    assert {v.kind for v in judge([PROBLEM] * 20, answers, quality)} == {"right", "wrong", "unparsable"}
