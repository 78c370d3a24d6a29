"""The examiner's figures against counting by hand."""

from math import ceil
from types import SimpleNamespace

import numpy as np
import pytest

from minisi.lab.evaluate import (
    Examiner,
    accuracy,
    flagging,
    is_right,
    labels,
    measure,
    scores,
)
from minisi.lab.statistics import auroc, ece, wilson
from minisi.method import student
from minisi.method.attempt import Attempt
from minisi.method.detect import RAW, Detector, fit, fit_threshold
from minisi.method.gate import Exam, share
from minisi.method.teacher import Solver
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.tasks.problems import solve

from ..answers import answered, best_f, counted, f_beta, said
from ..conftest import Quiet

PROBLEMS = [
    solve("3+4", level=1),
    solve("347+586", level=2),
    solve("sort 31 20", level=1),
    solve("7*6", level=1),
]
NAMES = ["scaled", "least_certain_token", "mean_log_probability", "product", "mean_entropy"]


def say(text, finished=True):
    return Completion(text, [1], [0.5], finished, [0.5])


def attempts_of(completions):
    return [Attempt(p, completion=c) for p, c in zip(PROBLEMS, completions, strict=True)]


def test_accuracy_counts_finished_right_answers_by_family_and_level():
    completions = [say("x|7"), say("x|933", finished=False), say("x|31 20"), say("x|42")]
    right = [is_right(attempt) for attempt in attempts_of(completions)]
    assert right == [True, False, False, True]

    found = accuracy(PROBLEMS, right)
    assert (found["test_n"], found["test_accuracy"]) == (4, 0.5)
    assert (found["test_low"], found["test_high"]) == wilson(2, 4)
    assert found["by_family"] == {"add": 0.5, "mul": 1, "sort": 0}
    assert found["by_level"] == {"1": 2 / 3, "2": 0}
    assert found["by_cell"] == {"add/1": 1, "add/2": 0, "mul/1": 1, "sort/1": 0}


def test_of_no_questions_nothing_is_right():
    found = accuracy([], [])
    assert (found["test_n"], found["test_accuracy"]) == (0, 0)
    assert found["by_family"] == found["by_level"] == found["by_cell"] == {}


def test_agreement_with_the_keys_is_the_accuracy():
    attempts = attempts_of([say(text) for text in ("x|7", "x|9", "x|20 31", "x")])
    solver = Solver(Config(), None)
    agreement = share([solver.says(attempt) for attempt in attempts])
    right = [is_right(attempt) for attempt in attempts]
    assert agreement == accuracy(PROBLEMS, right)["test_accuracy"] == 0.5


CORRECTIONS = [
    (["x|7", "x|933", "x|20 31", "x|42"], 1, 1),
    (["x|7", "x|1", "", "x|42"], 0.75, 2 / 3),
    (["", "x|7", "", ""], 0.25, 0),
    ([""] * 4, 0, 0),
    ([], 0, 0),
]


@pytest.mark.parametrize(("texts", "coverage", "precision"), CORRECTIONS)
def test_labels_are_counted_and_held_against_the_key(texts, coverage, precision):
    pairs = zip(PROBLEMS[: len(texts)], texts, strict=True)
    found = labels([Attempt(problem, correction=text) for problem, text in pairs])
    assert found == {"label_coverage": coverage, "label_precision": pytest.approx(precision)}


QUESTIONS = [solve(f"{i}+1") for i in range(6)]
WORSE = [False, False, False, True, True, True]
BETTER = [True, True, False, False, True, True]


@pytest.fixture
def ask(monkeypatch):
    """Asks for an examiner a model that answers right or wrong as it is told."""

    def asked(examiner, right):
        def generate(model, codec, prompts, limit):
            assert prompts == [problem.prompt for problem in QUESTIONS]
            targets = [problem.target for problem in QUESTIONS]
            pairs = zip(targets, right, strict=True)
            return [say(target if ok else f"{target}?") for target, ok in pairs]

        monkeypatch.setattr(student, "generate", generate)
        run = SimpleNamespace(model=None, codec=None, config=Config(), progress=Quiet())
        return examiner.ask(run)

    return asked


def test_an_examiner_counts_what_was_fixed_and_what_was_broken(ask):
    examiner = Examiner(QUESTIONS, WORSE)
    assert ask(examiner, BETTER) == (2, 1)
    assert examiner.right == BETTER
    assert ask(examiner, BETTER) == (0, 0)
    assert ask(examiner, WORSE) == (1, 2)
    assert examiner.right == WORSE


def test_the_first_answers_of_all_fix_and_break_nothing(ask):
    examiner = Examiner(QUESTIONS, [])
    assert ask(examiner, WORSE) == (0, 0)
    assert examiner.right == WORSE


def test_answers_to_another_number_of_questions_are_not_compared(ask):
    with pytest.raises(ValueError, match="zip"):
        ask(Examiner(QUESTIONS, [True]), WORSE)


def test_the_scores_are_what_a_hand_computes():
    first = said("x", 0.9, 0.4, 1.0, prompt=[0.5, 0.25], entropy=0.3)
    second = said("x", 0.5, prompt=[], entropy=1.2)
    found = scores([first, second], (2.0, 0.25, 0.5, 1.0))
    assert list(found) == NAMES
    odds = (0.4 / 0.6) ** 2 * 0.25**0.25 * 0.125**0.5 * np.e
    assert found["scaled"] == pytest.approx([odds / (1 + odds), np.e / (1 + np.e)])
    assert found["least_certain_token"] == pytest.approx([0.4, 0.5])
    assert found["mean_log_probability"] == pytest.approx([0.36 ** (1 / 3), 0.5])
    assert found["product"] == pytest.approx([0.36, 0.5])
    assert found["mean_entropy"] == pytest.approx(np.exp([-0.3, -1.2]))


@pytest.mark.parametrize("weights", [RAW, (50.0, 50.0, 50.0, -50.0)])
def test_scores_are_shares_even_of_impossible_and_of_certain_tokens(weights):
    answers = [
        said("x", 0.0, 1.0, prompt=[0.0]),
        said("x", *[0.0] * 50, prompt=[1.0], entropy=5.3),
        said("x", 1.0, prompt=[]),
    ]
    for score in scores(answers, weights).values():
        assert len(score) == 3
        assert ((score >= 0) & (score <= 1)).all()


ANY = Detector((0.7, 0.1, 0.05, 0.3), 0.6)
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
    attempts = [Attempt(PROBLEMS[0], completion=completion) for completion in answers]
    return Exam(attempts, [bool(ok) for ok in right], detector)


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
    detector = fit(answers, right.tolist(), -1.0, beta)
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
    shorter = Exam(exam.attempts[:examined], exam.right[:examined], ANY)
    found = measure(shorter, 1.0, [], [])
    assert found["ece"] == found["detector"]["scaled"]["aurc"] == 0
    assert found["risk"] == [0] * 10
    assert found["reliability"] == [[0, 0, 0]] * 10


def test_full_confidence_falls_into_the_last_bin():
    right, answers = answered(0, 20)
    exam = exam_of(answers, right, Detector((0.0, 0.0, 0.0, 50.0), 0.6))
    found = measure(exam, 1.0, [True, False] * 10, answers)
    assert found["reliability"] == [[0, 0, 0]] * 9 + [[20, 1, 0.5]]
    assert found["ece"] == pytest.approx(0.5)


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_detector_fitted_to_nothing_or_to_one_kind_alone_can_be_measured(n, truth):
    answers = answered(4, n)[1]
    truths = [truth] * n
    detector = fit(answers, truths, -1.0, 1.0)
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
        detector = fit(answers, right.tolist(), -1.0, 1.0)
        exam = exam_of(answers, right, detector)
        fair.append(measure(exam, 1.0, other_right.tolist(), other_answers)["auroc"])
        leaking.append(measure(exam, 1.0, right.tolist(), answers)["auroc"])
    assert abs(np.mean(fair) - 0.5) < 0.08
    assert np.mean(leaking) - 0.5 > 0.12
