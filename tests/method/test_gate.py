"""The dev questions: what they are, and what they keep of a lesson."""

from functools import partial
from random import Random
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minisi.method.attempt import Attempt
from minisi.method.detect import RAW, Detector, fit
from minisi.method.finetune import Learned
from minisi.method.gate import SCALES, Exam, Gated, examine, gate, share
from minisi.method.teacher import TEACHERS
from minisi.model import lora
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.run.runtime import dice
from minisi.tasks.problems import balanced, solve, split_of

N = 100  # dev questions
PROBLEM = solve("3+4")


def say(text, sure=0.5):
    return Completion(text, [1], [sure], True, [0.5])


def answers(count):
    """Completions of which so many are right."""
    return [say("x|7")] * count + [say("x|8")] * (N - count)


def exam_of(count):
    """An exam of which so many were answered right."""
    attempts = [Attempt(PROBLEM, completion=c) for c in answers(count)]
    return Exam(attempts, [True] * count + [False] * (N - count), Detector(RAW, 0.5))


class Student:
    """Has another share of right answers each time, and calls a function when it is asked."""

    def __init__(self, shares, when_asked):
        self.shares = iter(shares)
        self.when_asked = when_asked

    def answer(self, attempts):
        self.when_asked()
        said = answers(round(N * next(self.shares)))
        for attempt, completion in zip(attempts, said, strict=True):
            attempt.completion = completion


def stub(model, student):
    """As much of a run as the gate needs."""
    teacher = TEACHERS["solver"](Config(), student)
    return SimpleNamespace(model=model, student=student, teacher=teacher)


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


@pytest.mark.parametrize(("found", "best"), FOUND)
def test_the_gate_leaves_the_best_scale_the_strongest_of_equals_or_none(found, best, device):
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
    gated = gate(stub(model, Student(found, note)), learned, exam_of(50))
    assert tried == pytest.approx(list(SCALES), rel=1e-3)
    if best is None:
        assert gated == Gated(0.5, 0.5, False, 0.0)
    else:
        assert gated == Gated(0.5, found[best], True, SCALES[best])
    assert lora.layers(model) == {}
    torch.testing.assert_close(model(x), base + gated.scale * update, atol=1e-4, rtol=1e-3)


def test_the_gate_leaves_the_exam_as_it_was():
    exam = exam_of(50)
    before = [attempt.completion for attempt in exam.attempts]
    student = Student([0.9, 0.8, 0.7], lambda: None)
    gate(stub(nn.Sequential(), student), Learned(steps=1), exam)
    assert [attempt.completion for attempt in exam.attempts] == before


def test_where_nothing_was_learned_nothing_is_asked_or_kept():
    student = Student([], pytest.fail)
    gated = gate(stub(nn.Sequential(), student), Learned(), exam_of(30))
    assert gated == Gated(0.3, 0.3, False, 0.0)


def test_a_share_of_nothing_is_0():
    assert share([True, True, False, False, False]) == 2 / 5
    assert share([]) == 0
    assert exam_of(40).accuracy == 2 / 5
    assert Exam([], [], Detector(RAW, 0.0)).accuracy == 0


class Halfway:
    """Right in every other answer, and somewhat surer of these."""

    def answer(self, attempts):
        rng = Random(0)
        for i, attempt in enumerate(attempts):
            right = i % 2 == 0
            text = attempt.problem.target if right else "x|?"
            attempt.completion = say(text, rng.uniform(0.3, 1.0) if right else rng.random())


def third_round(corrector):
    """As much of a run in its third round as an exam needs."""
    config = Config(corrector=corrector, dev_questions=24, levels=2)
    student = Halfway()
    run = SimpleNamespace(config=config, student=student, round=3)
    run.dice = lambda purpose: dice(config.seed, purpose, run.round)
    run.teacher = TEACHERS[corrector](config, student)
    return run


@pytest.mark.parametrize("corrector", ["solver", "self"])
def test_an_exam_is_of_fresh_dev_questions_and_its_detector_fits_them(corrector):
    run = third_round(corrector)
    exam = examine(run)
    problems = [attempt.problem for attempt in exam.attempts]
    assert problems == balanced(run.dice("dev"), "dev", 2, 24)
    assert {split_of(problem.question) for problem in problems} == {"dev"}
    assert exam.right == [True, False] * 12
    said = [attempt.completion for attempt in exam.attempts]
    assert exam.detector == fit(said, exam.right, -1.0, 1.0)


def test_where_there_is_no_key_an_exam_has_the_questions_that_were_agreed_on(monkeypatch):
    run = third_round("vote")

    def solutions(problems, stream):
        assert stream == ("dev votes", 3)
        return ["" if p.family == "add" else p.target for p in problems]

    monkeypatch.setattr(run.teacher, "solutions", solutions)
    exam = examine(run)
    problems = balanced(run.dice("dev"), "dev", 2, 24)
    wanted = [problem for problem in problems if problem.family != "add"]
    assert [attempt.problem for attempt in exam.attempts] == wanted
    assert exam.right == [i % 2 == 0 for i in range(len(wanted))]
    said = [attempt.completion for attempt in exam.attempts]
    assert exam.detector == fit(said, exam.right, -1.0, 3.0)
