"""The examiner's figures against counting by hand."""

from types import SimpleNamespace

import pytest

from minisi.lab.controls import ARMS
from minisi.lab.evaluate import (
    Examiner,
    accuracy,
    by,
    has_right_steps,
    is_right,
    labels,
    tally,
    wrong_steps,
)
from minisi.lab.statistics import wilson
from minisi.method import student
from minisi.method.attempt import Attempt, Verdict
from minisi.method.detect import RAW
from minisi.method.gate import share
from minisi.method.memory import failure
from minisi.method.teacher import Solver
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.tasks.problems import Problem, solve

from ..answers import said, unconfirmed
from ..conftest import Quiet

PROBLEMS = [
    Problem("add", 1, "3+4"),
    Problem("add", 2, "347+586"),
    Problem("sort", 1, "sort 3 2"),
    Problem("mul", 1, "7*6"),
]


def say(text, finished=True):
    return Completion(text, [1], [0.5], finished, [0.5])


def attempts_of(completions):
    return [Attempt(p, completion=c) for p, c in zip(PROBLEMS, completions, strict=True)]


def test_accuracy_counts_finished_right_answers_by_family_and_level():
    target = PROBLEMS[3].target
    completions = [say("x|7"), say("x|933", finished=False), say("x|3 2"), say(target)]
    attempts = attempts_of(completions)
    assert [is_right(attempt) for attempt in attempts] == [True, False, False, True]
    assert [has_right_steps(attempt) for attempt in attempts] == [False, False, False, True]

    found = accuracy(attempts, RAW)
    assert (found["test_n"], found["test_accuracy"]) == (4, 0.5)
    assert (found["test_low"], found["test_high"]) == wilson(2, 4)
    assert (found["test_right_steps"], found["test_sure_wrong"]) == (0.25, 0)
    assert found["by_family"] == {"add": 0.5, "mul": 1, "sort": 0}
    assert found["by_level"] == {"1": 2 / 3, "2": 0}
    assert found["by_cell"] == {"add/1": 1, "add/2": 0, "mul/1": 1, "sort/1": 0}
    assert found["right_steps_by_family"] == {"add": 0, "mul": 1, "sort": 0}


def test_shares_are_of_what_stands_under_one_name():
    attempts = attempts_of([say("1|1"), say("1|1"), say("22|1"), say("1|1")])

    def is_long(attempt):
        return len(attempt.completion.text) > 3

    assert by("{0.level}", attempts, is_long) == {"1": 1 / 3, "2": 0}
    assert by("{0.question}", attempts[2:], is_long) == {"sort 3 2": 1, "7*6": 0}
    assert by("{0.level}", [], is_long) == {}


SUM = solve("347+586")
TALLIED = [  # text, how sure, whether it came to its end: right, with its steps, wrong but sure
    (SUM.target, 0.99, True, (1, 1, 0)),
    (SUM.target, 0.3, True, (1, 1, 0)),
    ("1+1=2|933", 0.99, True, (1, 0, 0)),
    (SUM.target, 0.99, False, (0, 0, 1)),
    (SUM.target.replace("933", "934"), 0.95, True, (0, 0, 1)),
    ("7+6+0=13|13", 0.91, True, (0, 0, 1)),
    ("7+6+0=13|13", 0.89, True, (0, 0, 0)),
    ("933", 0.2, True, (0, 0, 0)),
]


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("some", [TALLIED, TALLIED[:2], TALLIED[3:5]])
def test_a_tally_is_what_a_hand_counts(some, copies):
    attempts = [
        Attempt(SUM, completion=said(text, 1.0, sure, finished=whole))
        for text, sure, whole, _ in some * copies
    ]
    n = len(attempts)
    right, with_steps, sure_wrong = (
        copies * sum(column) for column in zip(*(counts for *_, counts in some), strict=True)
    )
    low, high = wilson(right, n)
    assert tally(attempts, RAW) == {
        "n": n,
        "accuracy": pytest.approx(right / n),
        "low": low,
        "high": high,
        "right_steps": pytest.approx(with_steps / n),
        "sure_wrong": pytest.approx(sure_wrong / n),
    }


def test_how_sure_an_answer_is_depends_on_the_weights():
    wrong = [Attempt(SUM, completion=said("x|1", 0.95))]
    assert tally(wrong, RAW)["sure_wrong"] == 1
    assert tally(wrong, [w / 2 for w in RAW])["sure_wrong"] == 0


def test_agreement_with_the_keys_is_the_accuracy():
    attempts = attempts_of([say(text) for text in ("x|7", "x|9", "x|2 3", "x")])
    solver = Solver(Config(), None)
    agreement = share([solver.says(attempt) for attempt in attempts])
    assert agreement == tally(attempts, RAW)["accuracy"] == 0.5


CORRECTIONS = [
    (["x|7", "x|933", "x|2 3", "x|42"], 1, 1, {"1": 1, "2": 1}),
    (["x|7", "x|1", "", "x|42"], 0.75, 2 / 3, {"1": 1, "2": 0}),
    (["", "x|7", "", ""], 0.25, 0, {"2": 0}),
    ([""] * 4, 0, 0, {}),
    ([], 0, 0, {}),
]


@pytest.mark.parametrize(("texts", "coverage", "precision", "levels"), CORRECTIONS)
def test_labels_are_counted_and_held_against_the_key(texts, coverage, precision, levels):
    pairs = zip(PROBLEMS[: len(texts)], texts, strict=True)
    found = labels([Attempt(problem, correction=text) for problem, text in pairs])
    assert found == {
        "label_coverage": coverage,
        "label_precision": pytest.approx(precision),
        "label_precision_by_level": levels,
    }


CORRECTED = [  # a correction of 347+586, and whether its steps are wrong
    (SUM.target, 0),
    ("1+1=2|933", 1),
    ("7+6+0=13|13", 1),
    ("", 0),  # nobody found one
]


@pytest.mark.parametrize("some", [CORRECTED, CORRECTED[:1], CORRECTED[1:], []])
def test_wrong_steps_are_those_that_the_solver_does_not_write(some):
    verdict = Verdict("wrong", 0.5, True)
    attempts = [
        Attempt(SUM, completion=say("9|9"), verdict=verdict, correction=text, source="self")
        for text, _ in some
    ]
    found = wrong_steps(failure(attempt, 1) for attempt in attempts)
    assert found == sum(wrong for _, wrong in some)


QUESTIONS = [solve(f"{i}+1") for i in range(6)]
WORSE = [False, False, False, True, True, True]
BETTER = [True, True, False, False, True, True]


def answering(right):
    """Attempts that are right or wrong as it is told."""
    pairs = zip(QUESTIONS, right, strict=True)
    return [
        Attempt(problem, completion=say(problem.target if ok else "x|x")) for problem, ok in pairs
    ]


def test_an_examiner_counts_what_was_fixed_and_what_was_broken():
    examiner = Examiner(QUESTIONS, WORSE)
    assert examiner.compare(answering(BETTER)) == (2, 1)
    assert examiner.right == BETTER
    assert examiner.compare(answering(BETTER)) == (0, 0)
    assert examiner.compare(answering(WORSE)) == (1, 2)
    assert examiner.right == WORSE


def test_the_first_answers_of_all_fix_and_break_nothing():
    examiner = Examiner(QUESTIONS, [])
    assert examiner.compare(answering(WORSE)) == (0, 0)
    assert examiner.right == WORSE


def test_answers_to_another_number_of_questions_are_not_compared():
    with pytest.raises(ValueError, match="zip"):
        Examiner(QUESTIONS, [True]).compare(answering(WORSE))


def test_an_examiner_asks_in_order_and_nobody_counts_its_tokens(monkeypatch):
    def generate(model, codec, prompts, limit):
        assert prompts == [problem.prompt for problem in QUESTIONS]
        return [say(f"{i}|{i}") for i in range(len(prompts))]

    monkeypatch.setattr(student, "generate", generate)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    counting = SimpleNamespace(tokens=0)
    run = SimpleNamespace(
        model=None,
        codec=None,
        config=Config(),
        progress=Quiet(),
        student=counting,
        arm=ARMS["failure"],
    )
    attempts = [Attempt(problem) for problem in QUESTIONS]
    assert Examiner([], []).ask(run, attempts) > 0
    assert [attempt.problem for attempt in attempts] == QUESTIONS
    assert [attempt.completion.text for attempt in attempts] == [f"{i}|{i}" for i in range(6)]
    assert counting.tokens == 0
