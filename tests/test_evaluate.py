"""Scores, intervals, and the gate."""

from functools import partial
from itertools import product

import pytest
import torch
from torch import nn

from minisi import lora
from minisi.evaluate import SCALES, agreement, changes, gate, labels, mcnemar, score, wilson
from minisi.generate import Completion
from minisi.tasks import solve

PUBLISHED = {(0, 10): (0, 0.2775), (5, 10): (0.2366, 0.7634), (10, 10): (0.7225, 1), (1, 10): (0.0179, 0.4042), (15, 50): (0.1910, 0.4375)}


@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_the_interval_has_the_published_ends(case):
    assert wilson(*case) == pytest.approx(PUBLISHED[case], abs=1e-4)


@pytest.mark.parametrize("right, n", [(0, 1), (1, 1), (3, 7), (15, 50), (1999, 2048), (0, 2048)])
def test_its_ends_are_where_the_share_is_just_z_deviations_away(right, n):
    low, high = wilson(right, n)
    assert 0 <= low <= right / n <= high <= 1 and low < high
    for end in {low, high} - {0.0, 1.0}:
        assert (right / n - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n)


@pytest.mark.parametrize("fixed, broken", [(0, 0), (0, 1), (1, 1), (0, 6), (2, 7), (7, 2), (4, 5), (3, 3)])
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(fixed, broken):
    n = fixed + broken
    uneven = [abs(2 * sum(tosses) - n) >= abs(fixed - broken) for tosses in product((0, 1), repeat=n)]
    assert mcnemar(fixed, broken) == pytest.approx(sum(uneven) / len(uneven))


PROBLEMS = [solve("3+4", level=1), solve("347+586", level=2), solve("sort 31 20", level=1), solve("7*6", level=1)]


def test_a_score_counts_finished_right_answers_by_family_and_level():
    said = [("x|7", True), ("x|933", False), ("x|31 20", True), ("x|42", True)]
    scores = score(PROBLEMS, [Completion(text, [1], [0.5], finished, [0.5]) for text, finished in said])
    assert scores.right == (True, False, False, True) and (scores.figures["test_n"], scores.figures["test_accuracy"]) == (4, 0.5)
    assert scores.figures["by_family"] == {"add": 0.5, "mul": 1, "sort": 0} and scores.figures["by_level"] == {"1": 2 / 3, "2": 0}
    assert scores.figures["by_cell"] == {"add/1": 1, "add/2": 0, "mul/1": 1, "sort/1": 0}
    assert (scores.figures["test_low"], scores.figures["test_high"]) == wilson(2, 4)


def test_of_no_questions_nothing_is_right():
    scores = score([], [])
    assert (scores.right, scores.figures["test_n"], scores.figures["test_accuracy"], scores.figures["by_cell"]) == ((), 0, 0, {})


def test_agreement_is_the_share_that_ends_in_the_answer_beside_it():
    said = [Completion(text, [1], [0.5], finished, [0.5]) for text, finished in [("x|7", True), ("y|7", True), ("x|8", True), ("x|7", False), ("7", True)]]
    assert agreement(["7"] * 5, said) == 2 / 5 and agreement(["8", "7"], said[2:0:-1]) == 1 and agreement(["1"] * 5, said) == agreement([], []) == 0


def test_agreement_with_the_keys_is_the_accuracy():
    said = [Completion(text, [1], [0.5], True, [0.5]) for text in ("x|7", "x|9", "x|20 31", "x")]
    assert agreement([p.answer for p in PROBLEMS], said) == score(PROBLEMS, said).figures["test_accuracy"] == 0.5


@pytest.mark.parametrize(
    "texts, coverage, precision",
    [(["x|7", "x|933", "x|20 31", "x|42"], 1, 1), (["x|7", "x|1", "", "x|42"], 0.75, 2 / 3), (["", "x|7", "", ""], 0.25, 0), ([""] * 4, 0, 0), ([], 0, 0)],
)
def test_labels_are_counted_and_held_against_the_key(texts, coverage, precision):
    assert labels(PROBLEMS[: len(texts)], texts) == dict(label_coverage=coverage, label_precision=pytest.approx(precision))


def test_changes_count_what_was_fixed_and_what_was_broken():
    before, after = (score([], [])._replace(right=tuple(map(bool, right))) for right in ([0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 1, 1]))
    assert changes(before, after) == (2, 1) and changes(after, before) == (1, 2) and changes(after, after) == (0, 0)
    with pytest.raises(ValueError):
        changes(before, after._replace(right=(True,)))


@pytest.mark.parametrize(
    "found, best",
    [((0.4, 0.9, 0.6), 1), ((0.9, 0.6, 0.4), 0), ((0.1, 0.2, 0.3), None), ((0.8, 0.8, 0.7), 0)]
    + [((0.7, 0.8, 0.8), 1), ((0.5, 0.5, 0.5), 0), ((0.4, 0.5, 0.4), 1), ((0.4, 0.49, 0.4), None)],
)
def test_the_gate_leaves_the_best_scale_the_strongest_of_equals_or_none(found, best, device):
    module, x = nn.Sequential(nn.Linear(4, 4)).to(device), torch.randn(2, 4, device=device)
    base = module(x)
    _, B = lora.add(module, 2, 2.0)
    nn.init.normal_(B)
    update, answers, tried = module(x) - base, iter(found), []

    def accuracy():
        tried.append(((module(x) - base).norm() / update.norm()).item())
        return next(answers)

    scale, reached = gate(partial(lora.scale, module), 0.5, accuracy)
    assert tried == pytest.approx(list(SCALES), rel=1e-3)
    assert (scale, reached) == ((0, 0.5) if best is None else (SCALES[best], found[best]))
    torch.testing.assert_close(module(x), base + scale * update, atol=1e-4, rtol=1e-3)
