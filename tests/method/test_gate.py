"""The dev questions: what they are, and what they keep of a lesson."""

from functools import partial
from random import Random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minisi.lab.controls import ARMS
from minisi.method.attempt import Attempt
from minisi.method.detect import RAW, Detector, fit
from minisi.method.finetune import Learned
from minisi.method.gate import SCALES, Exam, Gated, examine, gate, share
from minisi.method.teacher import TEACHERS
from minisi.model import lora
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.run.runtime import dice
from minisi.tasks.families import chosen
from minisi.tasks.problems import Problem, balanced, check, solve, split_of

N = 100  # dev questions
HIGHER = 30  # and questions of the level above
PROBLEM = solve("3+4")


def say(text, sure=0.5):
    return Completion(text, [1], [sure], True, [0.5])


def answers(share, n):
    """Completions of which such a share is right."""
    right = round(n * share)
    return [say("x|7", 0.9)] * right + [say("x|8", 0.6)] * (n - right)


def exam_of(share):
    """An exam of which such a share was answered right, and nothing of what is higher."""
    completions = answers(share, N) + answers(0, HIGHER)
    attempts = [Attempt(PROBLEM, completion=completion) for completion in completions]
    right = [completion.text == "x|7" for completion in completions[:N]]
    return Exam(attempts[:N], right, attempts[N:], Detector(RAW, 0.5))


class Student:
    """Has another share of right answers each time, and calls a function when it is asked.

    `higher` is the share of what is of the level above.
    """

    def __init__(self, shares, when_asked=lambda: None, higher=0.0):
        self.shares = iter(shares)
        self.when_asked = when_asked
        self.higher = higher

    def answer(self, attempts):
        if len(attempts) == HIGHER:
            said = answers(self.higher, HIGHER)
        else:
            self.when_asked()
            said = answers(next(self.shares), N)
        for attempt, completion in zip(attempts, said, strict=True):
            attempt.completion = completion


def stub(model, student, arm="failure", **changed):
    """As much of a run as the gate needs."""
    config = Config(**changed)
    teacher = TEACHERS["solver"](config, student)
    run = SimpleNamespace(model=model, student=student, teacher=teacher, config=config)
    run.arm = ARMS[arm]
    return run


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("arm", ["stack", "restart"])
def test_without_a_gate_all_that_was_learned_is_kept(arm, share):
    scales = []
    learned = Learned(steps=1, set_strength=scales.append)
    run = stub(nn.Sequential(), Student([share]), arm=arm)
    gated = gate(run, learned, exam_of(0.5))
    assert (gated.scale, gated.exam.accuracy) == (1.0, share)
    assert scales == [1.0, 1.0]


FOUND = [  # accuracies at the scales, and which of these is the best, where 0.5 was reached before
    ((0.4, 0.9, 0.6), 1),
    ((0.9, 0.6, 0.4), 0),
    ((0.1, 0.2, 0.3), None),
    ((0.8, 0.8, 0.7), 0),
    ((0.7, 0.8, 0.8), 1),
    ((0.5, 0.5, 0.5), 0),
    ((0.4, 0.5, 0.4), 1),
    ((0.4, 0.49, 0.4), None),
]


@pytest.mark.parametrize("higher", [0, 0.5, 1])
@pytest.mark.parametrize(("found", "best"), FOUND)
def test_the_gate_leaves_the_best_scale_the_strongest_of_equals_or_none(
    found, best, higher, device
):
    model = nn.Sequential(nn.Linear(4, 4)).to(device)
    x = torch.randn(2, 4, device=device)
    base = model(x)
    _, B = lora.add(model, 2, 2.0)
    nn.init.normal_(B)
    update = model(x) - base
    tried = []

    def note():
        strength = (model(x) - base).norm() / update.norm()
        tried.append(strength.item())

    learned = Learned(steps=3, set_strength=partial(lora.scale, model))
    exam = exam_of(0.5)
    gated = gate(stub(model, Student(found, note, higher)), learned, exam)
    assert tried == pytest.approx(list(SCALES), rel=1e-3)
    if best is None:
        assert gated == Gated(0.0, exam)
    else:
        assert (gated.scale, gated.exam.accuracy) == (SCALES[best], found[best])
    assert lora.layers(model) == {}
    torch.testing.assert_close(model(x), base + gated.scale * update, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("threshold", [-1.0, 0.25])
def test_the_gate_fits_a_detector_to_the_answers_of_the_model_that_is_left(threshold):
    shares = (0.6, 0.9, 0.7)
    student = Student(shares, higher=0.2)
    run = stub(nn.Sequential(), student, threshold=threshold)
    exam = gate(run, Learned(steps=1), exam_of(0.5)).exam
    said = answers(0.9, N) + answers(0.2, HIGHER)
    assert [attempt.completion for attempt in exam.attempts + exam.higher] == said
    marks = [completion.text == "x|7" for completion in said]
    assert exam.right == marks[:N]
    assert exam.detector == fit(said, marks, N, threshold, run.teacher.caution)


def test_the_gate_leaves_the_exam_as_it_was():
    exam = exam_of(0.5)
    before = [attempt.completion for attempt in exam.attempts + exam.higher]
    student = Student([0.9, 0.8, 0.7], higher=1)
    gate(stub(nn.Sequential(), student), Learned(steps=1), exam)
    assert [attempt.completion for attempt in exam.attempts + exam.higher] == before


def test_where_nothing_was_learned_nothing_is_asked_or_kept():
    student = Student([], pytest.fail)
    exam = exam_of(0.3)
    assert gate(stub(nn.Sequential(), student), Learned(), exam) == Gated(0.0, exam)


def test_without_dev_questions_nothing_is_kept():
    exam = Exam([], [], [], Detector(RAW, 0.0))
    student = Student([], pytest.fail)
    assert gate(stub(nn.Sequential(), student), Learned(steps=3), exam) == Gated(0.0, exam)


def test_a_share_of_nothing_is_0():
    assert share([True, True, False, False, False]) == 2 / 5
    assert share([]) == 0
    assert Exam([], [], [], Detector(RAW, 0.0)).accuracy == 0


def test_what_is_higher_does_not_count_in_the_accuracy():
    exam = exam_of(0.4)
    assert exam.accuracy == 2 / 5
    assert exam._replace(higher=[]).accuracy == exam.accuracy


class Halfway:
    """Right in every other answer, and somewhat surer of these."""

    def answer(self, attempts):
        rng = Random(0)
        for i, attempt in enumerate(attempts):
            right = i % 2 == 0
            text = attempt.problem.target if right else "x|?"
            attempt.completion = say(text, rng.uniform(0.3, 1.0) if right else rng.random())


LEVELS = 2
COUNT = 24  # dev questions


def third_round(corrector, **changed):
    """As much of a run in its third round as an exam needs."""
    given = {"corrector": corrector, "dev_questions": COUNT, "levels": LEVELS}
    config = Config(**{**given, **changed})
    student = Halfway()
    families = chosen(config.base_families)
    run = SimpleNamespace(config=config, student=student, round=3, families=families)
    run.levels = config.levels
    run.dice = lambda purpose: dice(config.seed, purpose, run.round)
    run.teacher = TEACHERS[corrector](config, student)
    return run


def asked_inside(run):
    """The dev questions of the levels that are taught."""
    return balanced(run.dice("dev"), "dev", LEVELS, COUNT, run.families)


def is_right(attempt):
    return check(attempt.problem.answer, attempt.completion.whole) == "right"


@pytest.mark.parametrize("threshold", [-1.0, 0.7])
@pytest.mark.parametrize("corrector", ["solver", "self"])
def test_an_exam_is_of_fresh_dev_questions_and_its_detector_fits_them(corrector, threshold):
    run = third_round(corrector, threshold=threshold)
    exam = examine(run)
    problems = [attempt.problem for attempt in exam.attempts]
    assert problems == asked_inside(run)
    assert {split_of(problem.question) for problem in problems} == {"dev"}
    assert exam.right == [True, False] * (COUNT // 2)
    everything = exam.attempts + exam.higher
    said = [attempt.completion for attempt in everything]
    marks = list(map(is_right, everything))
    assert exam.detector == fit(said, marks, COUNT, threshold, run.teacher.caution)


@pytest.mark.parametrize("levels", [1, 2, 4])
@pytest.mark.parametrize("families", ["", "logic,add"])
def test_an_exam_is_of_the_runs_families_and_what_is_higher_is_of_the_level_above(families, levels):
    run = third_round("solver", levels=levels, dev_questions=128, base_families=families)
    exam = examine(run)
    inside, higher = (
        [attempt.problem for attempt in attempts] for attempts in (exam.attempts, exam.higher)
    )
    assert len(inside) == 128
    assert 16 < len(higher) <= 64
    for problems in (inside, higher):
        assert {problem.family for problem in problems} == set(run.families)
        assert {split_of(problem.question) for problem in problems} == {"dev"}
    assert {solve(problem.question).level for problem in higher} == {levels + 1}
    assert max(solve(problem.question).level for problem in inside) == levels


def test_where_there_is_no_key_an_exam_has_the_questions_that_were_agreed_on(monkeypatch):
    run = third_round("vote")
    voted = []

    def solutions(problems, stream):
        voted.append((stream, problems))
        return ["" if p.family == "add" else p.target for p in problems]

    monkeypatch.setattr(run.teacher, "solutions", solutions)
    exam = examine(run)
    (first, inside), (second, higher) = voted
    assert (first, second) == (("dev votes", 3), ("beyond votes", 3))
    assert inside == asked_inside(run)
    for asked, attempts in ((inside, exam.attempts), (higher, exam.higher)):
        wanted = [problem for problem in asked if problem.family != "add"]
        assert [attempt.problem for attempt in attempts] == wanted
    said = [attempt.completion for attempt in exam.attempts + exam.higher]
    inside, higher = (
        [i % 2 == 0 for i in range(len(asked))] for asked in (exam.attempts, exam.higher)
    )
    marks = inside + higher
    assert exam.right == inside
    assert exam.detector == fit(said, marks, len(exam.attempts), -1.0, run.teacher.caution)
    asked = [problem.level for _, problems in voted for problem in problems]
    assert exam.asked == tuple(asked)
    assert 0 < exam.coverage(LEVELS + 1) == len(exam.higher) / asked.count(LEVELS + 1) < 1


def test_a_level_is_mastered_by_the_share_of_all_its_questions_that_are_marked_right():
    attempts = [Attempt(Problem("add", level, "1+1")) for level in (1, 2, 2, 2)]
    exam = Exam(attempts, [True, True, True, False], [], Detector(RAW, 0.0), (1, 1, 2, 2, 2, 2))
    assert [exam.mastery(level) for level in (1, 2, 3)] == [0.5, 0.5, 0]


def test_a_level_is_covered_by_the_share_of_its_questions_that_can_be_marked():
    inside, higher = (
        [Attempt(Problem("add", level, "1+1")) for level in levels] for levels in ((1, 2), (3, 3))
    )
    exam = Exam(inside, [True, False], higher, Detector(RAW, 0.0), (1, 2, 2, 3, 3, 3, 3))
    assert [exam.coverage(level) for level in (1, 2, 3, 4)] == [1, 0.5, 0.5, 1]
