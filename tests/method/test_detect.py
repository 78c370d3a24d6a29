"""The detector against counting by hand."""

import numpy as np
import pytest
import torch

from minisi.method.attempt import Attempt
from minisi.method.detect import (
    RAW,
    Detector,
    confidence,
    features,
    fit,
    fit_threshold,
    fit_weights,
)
from minisi.method.teacher import Checker, Nobody, Solver
from minisi.run.config import Config
from minisi.tasks.problems import solve

from ..answers import CASES, answered, best_f, cases, f, said

SUM = solve("347+586")
TARGET = "7+6+0=13,4+8+1=13,3+5+1=09|933"
KEYED = (Solver(Config(), None), Checker(Config(), None))
KEYLESS = Nobody(Config(), None)


def verdicts(completions, detector, teacher, correction=""):
    """What the detector says of answers to 347+586."""
    attempts = [Attempt(SUM, completion=c, correction=correction) for c in completions]
    detector.judge(attempts, teacher)
    return [attempt.verdict for attempt in attempts]


@pytest.mark.parametrize("beta", [1.0, 0.5, 2.0])
@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_no_threshold_has_a_better_f(seed, levels, beta):
    scores, right = cases(seed, levels=levels)
    best = best_f(scores, right, beta)
    assert best > 0
    assert f(scores, right, fit_threshold(scores, right, beta), beta) == pytest.approx(best)


def test_certainty_can_be_flagged_too():
    scores = np.array([1.0, 1.0])
    right = np.array([False, False])
    assert f(scores, right, fit_threshold(scores, right, 1.0)) == 1


@pytest.mark.parametrize("scores", [[], [0.3, 0.9]])
def test_where_nothing_is_wrong_nothing_is_flagged(scores):
    assert fit_threshold(np.array(scores), np.ones(len(scores), bool), 1.0) == 0


def test_the_features_of_an_answer_are_its_own_and_one_for_each_weight():
    answers = answered(7, 20)[1]
    x = features(answers)
    assert x.shape == (20, len(RAW))
    assert features(answers[::-1]) == pytest.approx(x[::-1])
    assert np.concatenate([features([answer]) for answer in answers]) == pytest.approx(x)


def test_the_features_tell_a_likely_question_from_an_unlikely_one():
    likely, unlikely, same = features([said("x", 0.8, prompt=[p]) for p in (0.9, 0.01, 0.9)])
    assert likely != pytest.approx(unlikely)
    assert likely == pytest.approx(same)


def test_the_features_are_finite_for_impossible_and_certain_tokens_and_the_shortest_question():
    impossible = said("x", 0.0, prompt=[0.0, 1.0])
    assert np.isfinite(features([impossible, said("x", 1.0), said("x", 0.8, prompt=[])])).all()


@pytest.mark.parametrize("p", [1e-6, 0.1, 0.4, 0.5, 0.999999])
def test_raw_confidence_is_the_probability_of_the_least_certain_token(p):
    x = features([said("x", 1.0, p, (1 + p) / 2, prompt=[0.01, 0.3])])
    assert confidence(x, RAW) == pytest.approx([p], rel=1e-8)


KINDS = [  # text, finished, kind by the key 933, kind where there is no key
    (TARGET, True, "right", "right"),
    ("1+1=2|933", True, "right", "right"),
    ("7+6+0=13|13", True, "wrong", "right"),
    ("7+6+0=13| 933", True, "wrong", "right"),
    ("933", True, "unparsable", "unparsable"),
    ("|933", True, "unparsable", "unparsable"),
    (f"{TARGET}|", True, "unparsable", "unparsable"),
    (TARGET, False, "unparsable", "unparsable"),
    ("7+6+0=13|13", False, "unparsable", "unparsable"),
    ("", True, "unparsable", "unparsable"),
]


@pytest.mark.parametrize(("text", "finished", "keyed", "keyless"), KINDS)
def test_the_kinds_with_a_key_and_without(text, finished, keyed, keyless):
    answer = said(text, 0.5, finished=finished)
    for teacher, kind in [(KEYED[0], keyed), (KEYED[1], keyed), (KEYLESS, keyless)]:
        (verdict,) = verdicts([answer], Detector(RAW, 0.0), teacher)
        assert verdict.kind == kind
        assert verdict.flagged == (kind != "right")


@pytest.mark.parametrize("sure", [0.1, 0.499, 0.5, 0.9])
@pytest.mark.parametrize(("text", "finished", "keyed", "keyless"), KINDS)
def test_of_right_answers_those_below_the_threshold_are_unsure(
    text, finished, keyed, keyless, sure
):
    answer = said(text, 0.99, sure, finished=finished, prompt=[0.2])
    for teacher, known in [(KEYED[0], keyed), (KEYED[1], keyed), (KEYLESS, keyless)]:
        (verdict,) = verdicts([answer], Detector(RAW, 0.5), teacher)
        unsure = known == "right" and sure < 0.5
        assert verdict.kind == ("unsure" if unsure else known)
        assert verdict.confidence == pytest.approx(sure)


@pytest.mark.parametrize(("sure", "kind"), [(0.4, "unsure"), (0.6, "right")])
def test_an_unsure_answer_needs_a_correction_only_where_nobody_knows_that_it_is_right(sure, kind):
    answer = said(TARGET, sure)
    detector = Detector(RAW, 0.5)
    for teacher in KEYED:
        (verdict,) = verdicts([answer], detector, teacher)
        assert (verdict.kind, verdict.flagged) == (kind, False)
    (verdict,) = verdicts([answer], detector, KEYLESS)
    assert (verdict.kind, verdict.flagged) == (kind, kind == "unsure")
    (verdict,) = verdicts([answer], detector, KEYLESS, correction="voted|933")
    assert (verdict.kind, verdict.flagged) == (kind, False)
    (verdict,) = verdicts([answer], detector, KEYLESS, correction="voted|5")
    assert (verdict.kind, verdict.flagged) == ("wrong", True)


def test_confidence_is_the_logistic_of_the_weighed_sum():
    x = np.array([[1.0, -2.0], [0.5, 3.0], [-100.0, 100.0]])
    odds = np.exp([0.4 - 0.6, 0.2 + 0.9, 0.0])
    odds[2] = np.exp(-40.0 + 30.0)
    assert confidence(x, [0.4, 0.3]) == pytest.approx(odds / (1 + odds))


def test_a_verdict_has_the_confidence_of_its_own_answer():
    pairs = [(sure, likely) for sure in (0.6, 0.9) for likely in (0.001, 0.5)]
    answers = [said(TARGET, sure, prompt=[0.8, likely]) for sure, likely in pairs]
    weights = [0.5 + 0.1 * i for i in range(len(RAW))]
    shares = confidence(features(answers), weights)
    assert len({*shares}) == 4
    threshold = sorted(shares)[1]
    found = verdicts(answers, Detector(weights, threshold), KEYED[0])
    assert [verdict.confidence for verdict in found] == pytest.approx(shares)
    assert [verdict.kind == "unsure" for verdict in found] == [s < threshold for s in shares]


def logistic(x, right, decay=0.01):
    """The same regression by quasi-Newton steps on its loss."""
    x = torch.tensor(x)
    y = torch.tensor(right, dtype=torch.double)
    w = torch.zeros(x.shape[1], dtype=torch.double, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [w],
        max_iter=2000,
        max_eval=4000,
        tolerance_grad=1e-10,
        tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(x @ w, y, reduction="sum")
        value = value + decay / 2 * w.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return w.detach().numpy()


ANSWERED = [(0, 20, 1.0), (1, 60, 1.0), (2, 500, 0.3), (3, 60, 0.0)]


@pytest.mark.parametrize(("seed", "n", "skill"), ANSWERED)
def test_the_weights_are_those_of_another_logistic_regression(seed, n, skill):
    right, answers = answered(seed, n, skill)
    x = features(answers)
    assert fit_weights(x, right) == pytest.approx(logistic(x, right), rel=1e-3, abs=1e-4)


ODDS = [(-3, -1, 1, 2), (-16, -16, 16, 16), (2, 2.1, 2.2, 2.3), (-16, 16, 16, 16)]
TRUTHS = [(0, 0, 1, 1), (0, 1, 1, 1), (1, 1, 1, 1), (0, 0, 0, 0), (1, 0, 0, 0)]


@pytest.mark.parametrize("odds", ODDS, ids=str)
@pytest.mark.parametrize("right", TRUTHS, ids=str)
@pytest.mark.parametrize("copies", [1, 250])
def test_the_weights_are_finite_and_best_where_a_line_parts_right_from_wrong_too(
    odds, right, copies
):
    rows = [[o, -1.0 - i, -8.0 - i % 2, 1.0] for i, o in enumerate(odds)]  # any features would do
    x = np.array(rows * copies)
    truth = right * copies
    found = fit_weights(x, np.array(truth, bool))
    assert np.isfinite(found).all()
    assert found == pytest.approx(logistic(x, truth), rel=1e-2, abs=1e-3)


BETAS = pytest.mark.parametrize(("seed", "beta"), [(0, 1.0), (1, 1.0), (2, 3.0), (3, 0.3)])


@BETAS
def test_a_fit_has_the_best_weights_and_the_best_threshold(seed, beta):
    right, answers = answered(seed, 80, skill=0.5)
    x = features(answers)
    detector = fit(answers, right.tolist(), 80, Config().threshold, beta)
    assert detector.weights == pytest.approx(logistic(x, right), rel=1e-3)
    sure = confidence(x, detector.weights)
    best = best_f(sure, right, beta)
    assert f(sure, right, detector.threshold, beta) == pytest.approx(best)


@BETAS
def test_what_is_beyond_has_a_part_in_the_weights_but_none_in_the_threshold(seed, beta):
    right, answers = answered(seed, 80, skill=0.5)
    more, others = answered(seed + 10, 40, skill=0.5)
    together = [*right.tolist(), *more.tolist()]
    detector = fit(answers + others, together, 80, -1.0, beta)
    x = features(answers + others)
    assert detector.weights == pytest.approx(logistic(x, together), rel=1e-3)
    assert detector.weights != fit(answers, right.tolist(), 80, -1.0, beta).weights

    inside = confidence(x[:80], detector.weights)
    assert detector.threshold == fit_threshold(inside, right, beta)
    best = best_f(inside, right, beta)
    assert f(inside, right, detector.threshold, beta) == pytest.approx(best)


def test_where_nothing_is_wrong_inside_nothing_is_flagged_whatever_is_beyond():
    right, answers = answered(1, 40)
    wrong = [completion for completion, ok in zip(answers, right, strict=True) if not ok]
    inside = [completion for completion, ok in zip(answers, right, strict=True) if ok]
    marks = [True] * len(inside) + [False] * len(wrong)
    assert fit(inside + wrong, marks, len(inside), -1.0, 1.0).threshold == 0


@pytest.mark.parametrize("threshold", [0.0, 0.25, 1.0])
def test_a_threshold_that_is_given_is_taken(threshold):
    right, answers = answered(3, 40)
    free = fit(answers, right.tolist(), 40, -1.0, 1.0)
    bound = fit(answers, right.tolist(), 40, threshold, 1.0)
    assert bound == Detector(free.weights, threshold)
    assert bound != free


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_fit_to_nothing_or_to_one_kind_alone_flags_nothing_or_all(n, truth):
    answers = answered(4, n)[1]
    others = answered(4, 30 - n)[1]
    detector = fit(answers, [truth] * n, n, -1.0, 1.0)
    assert np.isfinite([*detector.weights, detector.threshold]).all()
    found = verdicts(answers + others, detector, KEYLESS)
    flagged = [verdict.kind == "unsure" for verdict in found]
    if truth or n == 0:
        assert not any(flagged)
    else:
        assert all(flagged[:n])
