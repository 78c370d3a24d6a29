"""The measures of the detector, and of the scores beside it, against counting by hand."""

from math import ceil

import numpy as np
import pytest

from minisi.lab.evaluate import flagging, measure, scores
from minisi.lab.statistics import auroc, ece
from minisi.method.attempt import Attempt
from minisi.method.detect import RAW, Detector, fit, fit_threshold
from minisi.method.gate import Exam
from minisi.tasks.problems import solve

from ..answers import answered, best_f, counted, f_beta, said

PROBLEM = solve("3+4")
NAMES = ["scaled", "least_certain_token", "mean_log_probability", "product", "mean_entropy"]


def test_the_scores_are_what_a_hand_computes():
    first = said("x", 0.9, 0.4, 1.0, prompt=[0.5, 0.25], entropy=0.3)
    second = said("x", 0.5, prompt=[], entropy=1.2)
    found = scores([first, second], [2 * w for w in RAW])
    assert list(found) == NAMES
    odds = (0.4 / 0.6) ** 2
    assert found["scaled"] == pytest.approx([odds / (1 + odds), 0.5])
    assert found["least_certain_token"] == pytest.approx([0.4, 0.5])
    assert found["mean_log_probability"] == pytest.approx([0.36 ** (1 / 3), 0.5])
    assert found["product"] == pytest.approx([0.36, 0.5])
    assert found["mean_entropy"] == pytest.approx(np.exp([-0.3, -1.2]))


@pytest.mark.parametrize("weights", [RAW, [50.0] * len(RAW), [-50.0] * len(RAW)])
def test_scores_are_shares_even_of_impossible_and_of_certain_tokens(weights):
    answers = [
        said("x", 0.0, 1.0, prompt=[0.0]),
        said("x", *[0.0] * 50, prompt=[1.0], entropy=5.3),
        said("x", 1.0, prompt=[]),
    ]
    for score in scores(answers, weights).values():
        assert len(score) == 3
        assert ((score >= 0) & (score <= 1)).all()


ANY = Detector([0.7 * w for w in RAW], 0.6)
LIMITS = {
    "scaled": 0.6,
    "least_certain_token": 0.5,
    "mean_log_probability": 0.8,
    "product": 0.3,
    "mean_entropy": 0.0,
}
SIZES = [(0, 10), (1, 57), (2, 300)]


def exam_of(answers, right, detector=ANY):
    """An exam with such answers."""
    attempts = [Attempt(PROBLEM, completion=completion) for completion in answers]
    return Exam(attempts, [bool(ok) for ok in right], [], detector)


@pytest.fixture(scope="module")
def exam():
    right, answers = answered(10, 40, skill=0.3)
    return exam_of(answers, right)


def by_hand(score, right, threshold):
    """What `flagging` should find; the scores have no ties."""
    flagged, hits, wrong = counted(score, right, threshold)
    risks = [1 - right[score >= least].mean() for least in score]  # of answering no others
    return {
        "auroc": auroc(score, right),
        "ece": ece(score, right),
        "aurc": np.mean(risks),
        "precision": hits / max(1, flagged),
        "recall": hits / wrong,
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("seed", "n"), SIZES)
def test_flagging_is_what_counting_finds(seed, n, name):
    right, answers = answered(seed, n, skill=0.3)
    score = scores(answers, ANY.weights)[name]
    limit = LIMITS[name]
    assert flagging(score, right, limit) == pytest.approx(by_hand(score, right, limit))


@pytest.mark.parametrize(("seed", "n"), SIZES)
def test_each_score_is_measured_by_the_detectors_weights_and_a_threshold_of_its_own(seed, n, exam):
    right, answers = answered(seed, n, skill=0.3)
    found = measure(exam, 2.0, right.tolist(), answers)
    assert list(found["detector"]) == NAMES

    examined = scores([attempt.completion for attempt in exam.attempts], ANY.weights)
    marks = np.array(exam.right)
    limits = {name: fit_threshold(score, marks, 2.0) for name, score in examined.items()}
    limits["scaled"] = ANY.threshold
    for name, score in scores(answers, ANY.weights).items():
        row = by_hand(score, right, limits[name])
        assert found["detector"][name] == pytest.approx(row)


@pytest.mark.parametrize(("seed", "n"), SIZES)
def test_the_confidence_in_use_has_its_figures_at_the_top_too(seed, n, exam):
    right, answers = answered(seed, n, skill=0.3)
    found = measure(exam, 1.0, right.tolist(), answers)
    scaled = found["detector"]["scaled"]
    assert (found["auroc"], found["ece"]) == (scaled["auroc"], scaled["ece"])

    score = scores(answers, ANY.weights)["scaled"]
    _, hits, wrong = counted(score, right, ANY.threshold)
    assert hits > 0
    assert (found["doubtful_wrong"], found["confident_wrong"]) == (hits, wrong - hits)


@pytest.mark.parametrize(("seed", "beta"), [(0, 1.0), (1, 1.0), (2, 3.0), (3, 0.3)])
def test_the_thresholds_are_the_best_for_the_exam(seed, beta):
    right, answers = answered(seed, 80, skill=0.5)
    detector = fit(answers, right.tolist(), 80, -1.0, beta)
    found = measure(exam_of(answers, right, detector), beta, right.tolist(), answers)
    for name, score in scores(answers, detector.weights).items():
        row = found["detector"][name]
        reached = f_beta(row["precision"], row["recall"], beta)
        assert reached == pytest.approx(best_f(score, right, beta))


BINNED = [(0, 10), (1, 57), (2, 300), (3, 45), (4, 5)]


@pytest.mark.parametrize(("seed", "n"), BINNED)
def test_the_reliability_bins_add_up(seed, n, exam):
    right, answers = answered(seed, n, skill=0.3)
    score = scores(answers, ANY.weights)["scaled"]
    found = measure(exam, 1.0, right.tolist(), answers)["reliability"]
    assert len(found) == 10
    for b, row in enumerate(found):
        inside = (score >= b / 10) & (score < (b + 1) / 10)
        means = (0, 0)
        if inside.any():
            means = (score[inside].mean(), right[inside].mean())
        assert row == pytest.approx([sum(inside), *means], abs=1e-4)

    size, sure, correct = np.array(found).T
    assert size.sum() == n
    gap = (size * abs(correct - sure)).sum() / n
    assert gap == pytest.approx(ece(score, right, 10), abs=1e-4)


@pytest.mark.parametrize(("seed", "n"), BINNED)
def test_the_risk_is_that_of_the_surest(seed, n, exam):
    right, answers = answered(seed, n, skill=0.3)
    score = scores(answers, ANY.weights)["scaled"]
    surest = [right[i] for i in sorted(range(n), key=lambda i: -score[i])]
    covered = [surest[: ceil(n * tenths / 10)] for tenths in range(1, 11)]
    found = measure(exam, 1.0, right.tolist(), answers)["risk"]
    assert found == pytest.approx([1 - np.mean(part) for part in covered], abs=1e-4)


@pytest.mark.parametrize("examined", [0, 40])
def test_no_answers_at_all_are_measured_as_nothing(examined, exam):
    shorter = Exam(exam.attempts[:examined], exam.right[:examined], [], ANY)
    found = measure(shorter, 1.0, [], [])
    assert found["ece"] == found["detector"]["scaled"]["aurc"] == 0
    assert found["risk"] == [0] * 10
    assert found["reliability"] == [[0, 0, 0]] * 10


def test_full_confidence_falls_into_the_last_bin():
    truth = [True, False] * 10
    answers = [said("1|2", 1.0)] * 20
    exam = exam_of(answers, truth, Detector([10 * w for w in RAW], 0.6))
    found = measure(exam, 1.0, truth, answers)
    assert found["reliability"] == [[0, 0, 0]] * 9 + [[20, 1, 0.5]]
    assert found["ece"] == pytest.approx(0.5)


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_detector_fitted_to_nothing_or_to_one_kind_alone_can_be_measured(n, truth):
    answers = answered(4, n)[1]
    truths = [truth] * n
    detector = fit(answers, truths, n, -1.0, 1.0)
    right, others = answered(5, 30)
    found = measure(exam_of(answers, truths, detector), 1.0, right.tolist(), others)
    assert found["doubtful_wrong"] + found["confident_wrong"] == 15
    for row in found["detector"].values():
        assert np.isfinite(list(row.values())).all()


def test_chance_is_not_taken_for_skill():
    fair = []
    leaking = []
    for seed in range(100):
        right, answers = answered(seed, 24, skill=0.0)
        other_right, other_answers = answered(seed + 1000, 24, skill=0.0)
        detector = fit(answers, right.tolist(), 24, -1.0, 1.0)
        exam = exam_of(answers, right, detector)
        fair.append(measure(exam, 1.0, other_right.tolist(), other_answers)["auroc"])
        leaking.append(measure(exam, 1.0, right.tolist(), answers)["auroc"])
    assert abs(np.mean(fair) - 0.5) < 0.08
    assert np.mean(leaking) - 0.5 > 0.12
