"""The detector against counting by hand."""

import math
import numpy as np
import pytest
import torch

from minisi.config import Config
from minisi.detect import RAW, Detector, auroc, confidence, ece, features, fit, fit_threshold, fit_weights, judge, kind, measure, scores
from minisi.generate import Completion

NAMES = ["scaled", "least_certain_token", "mean_log_probability", "product", "mean_entropy"]
CASES = [(seed, levels) for seed in range(3) for levels in (2, 5, 1000)]  # few levels make many ties


def said(text, *probabilities, finished=True, prompt=(1.0,), entropy=0.0):
    return Completion(text, [1] * len(probabilities), list(probabilities), finished, list(prompt), entropy)


def cases(seed, n=60, levels=1000):
    """Scores, and truths that they say something about."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, n) / levels
    return scores, rng.random(n) < 0.2 + 0.6 * scores


def f(scores, right, threshold, beta=1.0):
    """F-beta of "this is wrong", from precision and recall."""
    hits, flagged = sum(not r and s < threshold for s, r in zip(scores, right)), sum(s < threshold for s in scores)
    precision, recall = hits / max(1, flagged), hits / sum(not r for r in right)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall) if hits else 0.0


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


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("seed, levels", CASES)
def test_no_threshold_has_a_better_f(seed, levels, beta):
    scores, right = cases(seed, levels=levels)
    best = max(f(scores, right, t, beta) for t in [*scores, *(scores + 1e-6), 1.0])
    assert best > 0 and f(scores, right, fit_threshold(scores, right, beta), beta) == pytest.approx(best)


def test_certainty_can_be_flagged_too():
    scores, right = np.array([1.0, 1.0]), np.array([False, False])
    assert f(scores, right, fit_threshold(scores, right)) == 1


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


def test_the_scores_are_what_a_hand_computes():
    found = scores([said("x", 0.9, 0.4, 1.0, prompt=[0.5, 0.25], entropy=0.3), said("x", 0.5, prompt=[], entropy=1.2)], (2.0, 0.25, 0.5, 1.0))
    odds = (0.4 / 0.6) ** 2 * 0.25**0.25 * 0.125**0.5 * np.e
    assert list(found) == NAMES
    assert found["scaled"] == pytest.approx([odds / (1 + odds), np.e / (1 + np.e)])
    assert found["least_certain_token"] == pytest.approx([0.4, 0.5]) and found["product"] == pytest.approx([0.36, 0.5])
    assert found["mean_log_probability"] == pytest.approx([0.36 ** (1 / 3), 0.5]) and found["mean_entropy"] == pytest.approx(np.exp([-0.3, -1.2]))


def test_scores_are_shares_even_of_impossible_and_of_certain_tokens():
    answers = [said("x", 0.0, 1.0, prompt=[0.0]), said("x", *[0.0] * 50, prompt=[1.0], entropy=5.3), said("x", 1.0, prompt=[])]
    for weights in (RAW, (50.0, 50.0, 50.0, -50.0)):
        assert all(len(score) == 3 and ((score >= 0) & (score <= 1)).all() for score in scores(answers, weights).values())


TARGET = "7+6+0=13,4+8+1=13,3+5+1=09|933"
CASE = [  # text, finished, kind by the key 933, kind where there is no key
    (TARGET, True, "right", "right"), ("1+1=2|933", True, "right", "right"), ("7+6+0=13|13", True, "wrong", "right"), ("7+6+0=13| 933", True, "wrong", "right"),
    ("933", True, "unparsable", "unparsable"), ("|933", True, "unparsable", "unparsable"), (f"{TARGET}|", True, "unparsable", "unparsable"),
    (TARGET, False, "unparsable", "unparsable"), ("7+6+0=13|13", False, "unparsable", "unparsable"), ("", True, "unparsable", "unparsable"),
]  # fmt: skip


@pytest.mark.parametrize("text, finished, keyed, keyless", CASE)
def test_the_kinds_with_a_key_and_without(text, finished, keyed, keyless):
    assert (kind("933", said(text, 0.5, finished=finished)), kind("", said(text, 0.5, finished=finished))) == (keyed, keyless)


@pytest.mark.parametrize("sure", [0.1, 0.499, 0.5, 0.9])
def test_of_right_answers_those_below_the_threshold_are_unsure(sure):
    for text, finished, *kinds in CASE:
        for answer, known in zip(("933", ""), kinds):
            (verdict,) = judge([answer], [said(text, 0.99, sure, finished=finished, prompt=[0.2])], Detector(RAW, {"scaled": 0.5, "product": 1.0}))
            assert verdict.kind == ("unsure" if known == "right" and sure < 0.5 else known) and verdict.confidence == pytest.approx(sure)


def test_a_verdict_weighs_answer_and_question():
    answers = [said(TARGET, sure, prompt=[0.8, likely]) for sure in (0.6, 0.9) for likely in (0.001, 0.5)]
    found = judge(["933"] * 4, answers, Detector((2.0, 0.25, 0.25, 1.0), {"scaled": 0.7}))
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
    """Answers whose probabilities say something about the truth, or nothing where `skill` is 0."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(n) < n / 2
    odds = rng.normal(2, 2, (n, 4)) + skill * np.where(right, 2, -2)[:, None]
    likely = np.exp(-rng.gamma(2, 2, (n, 3)) - skill * ~right[:, None])
    spread = rng.gamma(2, 0.3, n) + skill * ~right
    return right, [said("1|2", *1 / (1 + np.exp(-o)), prompt=p, entropy=e) for o, p, e in zip(odds, likely, spread)]


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


@pytest.mark.parametrize("seed, beta", [(0, 1.0), (1, 1.0), (2, 3.0), (3, 0.3)])
def test_a_fit_has_the_best_weights_and_for_every_score_the_best_threshold(seed, beta):
    right, answers = answered(seed, 80, skill=0.5)
    detector = fit(right.tolist(), answers, Config().threshold, beta)
    assert detector.weights == pytest.approx(logistic(features(answers), right), rel=1e-3) and list(detector.thresholds) == NAMES
    for name, score in scores(answers, detector.weights).items():
        assert f(score, right, detector.thresholds[name], beta) == pytest.approx(max(f(score, right, t, beta) for t in [*score, 1.0]))


@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_a_threshold_that_is_given_is_taken_for_the_scaled_score_alone(threshold):
    right, answers = answered(3, 40)
    free, bound = fit(right, answers), fit(right, answers, threshold)
    assert bound == Detector(free.weights, {**free.thresholds, "scaled": threshold}) != free


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_fit_to_nothing_or_to_one_kind_alone_flags_nothing_or_all(n, truth):
    answers = answered(4, n)[1]
    detector = fit([truth] * n, answers)
    assert np.isfinite([*detector.weights, *detector.thresholds.values()]).all()
    flagged = [v.kind == "unsure" for v in judge([""] * 30, answers + answered(4, 30 - n)[1], detector)]
    assert sum(flagged) == 0 if truth or n == 0 else all(flagged[:n])
    found = measure(detector, *answered(5, 30))
    assert found["doubtful_wrong"] + found["confident_wrong"] == 15


ANY = Detector((0.7, 0.1, 0.05, 0.3), dict(scaled=0.6, least_certain_token=0.5, mean_log_probability=0.8, product=0.3, mean_entropy=0.0))


@pytest.mark.parametrize("seed, n", [(0, 10), (1, 57), (2, 300)])
def test_each_score_is_measured_by_the_detectors_own_weights_and_thresholds(seed, n):
    right, answers = answered(seed, n, skill=0.3)
    found = measure(ANY, right.tolist(), answers)
    assert list(found["detector"]) == NAMES and (found["auroc"], found["ece"]) == tuple(found["detector"]["scaled"][k] for k in ("auroc", "ece"))
    for name, score in scores(answers, ANY.weights).items():
        flagged = [s < ANY.thresholds[name] for s in score]
        hits, wrong = sum(f and not r for f, r in zip(flagged, right)), n - sum(right)
        aurc = np.mean([1 - right[score >= t].mean() for t in score])  # the risk of answering where the score is no lower than t
        row = dict(auroc=auroc(score, right), ece=ece(score, right), aurc=aurc, precision=hits / (sum(flagged) or 1), recall=hits / wrong)
        assert found["detector"][name] == pytest.approx(row)
        if name == "scaled":
            assert (found["doubtful_wrong"], found["confident_wrong"]) == (hits, wrong - hits) and hits > 0


@pytest.mark.parametrize("seed, n, bins", [(0, 10, 10), (1, 57, 10), (2, 300, 10), (3, 45, 4), (4, 5, 10)])
def test_the_reliability_bins_add_up_and_the_risk_is_that_of_the_surest(seed, n, bins):
    right, answers = answered(seed, n, skill=0.3)
    score, found = scores(answers, ANY.weights)["scaled"], measure(ANY, right, answers, bins)
    assert len(found["reliability"]) == len(found["risk"]) == bins
    for b, (size, sure, accuracy) in enumerate(found["reliability"]):
        inside = (score >= b / bins) & (score < (b + 1) / bins)
        assert (size, sure, accuracy) == pytest.approx((sum(inside), *(x[inside].mean() if inside.any() else 0 for x in (score, right))), abs=1e-4)
    gaps = [size * abs(accuracy - sure) for size, sure, accuracy in found["reliability"]]
    assert sum(size for size, _, _ in found["reliability"]) == n and sum(gaps) / n == pytest.approx(ece(score, right, bins), abs=1e-4)
    surest = [right[i] for i in sorted(range(n), key=lambda i: -score[i])]
    assert found["risk"] == pytest.approx([1 - np.mean(surest[: math.ceil(n * (b + 1) / bins)]) for b in range(bins)], abs=1e-4)


def test_no_answers_at_all_are_measured_as_nothing():
    found = measure(ANY, [], [])
    assert found["ece"] == found["detector"]["scaled"]["aurc"] == 0 and found["risk"] == [0] * 10 and found["reliability"] == [[0, 0, 0]] * 10


def test_full_confidence_falls_into_the_last_bin():
    found = measure(Detector((0.0, 0.0, 0.0, 50.0), ANY.thresholds), [True, False] * 10, answered(0, 20)[1])
    assert found["reliability"] == [[0, 0, 0]] * 9 + [[20, 1, 0.5]] and found["ece"] == pytest.approx(0.5)


def test_chance_is_not_taken_for_skill():
    fair, leaking = [], []
    for seed in range(100):
        (right, answers), other = answered(seed, 24, skill=0.0), answered(seed + 1000, 24, skill=0.0)
        detector = fit(right, answers)
        fair.append(measure(detector, *other)["auroc"])
        leaking.append(measure(detector, right, answers)["auroc"])
    assert abs(np.mean(fair) - 0.5) < 0.08 < 0.12 < np.mean(leaking) - 0.5
