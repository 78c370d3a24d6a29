"""What a lesson is made of, and how often it is tried."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from minisi.lab.controls import ARMS
from minisi.method import finetune
from minisi.method.attempt import Attempt, Verdict
from minisi.method.finetune import Learned, lesson
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.run.runtime import dice
from minisi.tasks.problems import solve

FAILED = [f"{n}+7" for n in range(10, 16)]
UNSURE = [f"{n}+5" for n in range(20, 23)]
RIGHT = [f"{n}+3" for n in range(30, 38)]


def attempt(question, kind, source=""):
    """An answer, and its correction where somebody gave one."""
    problem = solve(question)
    completion = Completion(problem.target, [1], [0.9], True, [0.5])
    verdict = Verdict(kind, 0.9, flagged=kind == "wrong")
    correction = problem.target if source else ""
    return Attempt(problem, False, completion, verdict, correction, source)


ATTEMPTS = [
    *(attempt(question, "wrong", "solver") for question in FAILED),
    *(attempt(question, "unsure", "own") for question in UNSURE),
    *(attempt(question, "right") for question in RIGHT),
]


class Memory:
    """Has one failure, and notes how many it was asked for."""

    def sample(self, rng, count, round, newest):
        self.count = count
        return [SimpleNamespace(prompt="failure|", completion="1|1")] * count


def a_run(arm="failure", **settings):
    """As much of a run as a lesson needs."""
    config = replace(Config(batch=8, steps=100, passes=4.0, replay=0.25), **settings)
    run = SimpleNamespace(config=config, arm=ARMS[arm], memory=Memory(), round=1)
    run.dice = lambda purpose: dice(config.seed, purpose, 1)
    return run


def made_of(pairs):
    """How many examples of a lesson are failures, and how many of each other question."""
    return Counter(prompt.removesuffix("|") for prompt, _ in pairs)


@pytest.mark.parametrize(("passes", "steps"), [(4.0, 3), (8.0, 6), (1.4, 2), (1.0, 1)])
def test_a_lesson_has_so_many_steps_as_its_corrections_ask_for(passes, steps):
    assert len(lesson(a_run(passes=passes), ATTEMPTS)) == 8 * steps


def test_what_was_its_own_correction_asks_for_no_steps():
    own = [one for one in ATTEMPTS if one.source == "own"]
    assert lesson(a_run(), own) == []


def test_a_lesson_has_no_more_steps_than_are_allowed():
    assert len(lesson(a_run(steps=2), ATTEMPTS)) == 16


@pytest.mark.parametrize("replay", [0.0, 0.25, 0.5])
def test_a_share_of_a_lesson_is_answers_that_were_right(replay):
    found = made_of(lesson(a_run(replay=replay), ATTEMPTS))
    assert found.pop("failure") == 24 * (1 - replay)
    assert sum(found.values()) == 24 * replay
    assert set(found) <= set(RIGHT)


def test_without_replay_a_lesson_is_of_failures_alone():
    assert made_of(lesson(a_run("norepl"), ATTEMPTS)) == {"failure": 24}


def test_where_nothing_was_right_a_lesson_is_of_failures_alone():
    assert made_of(lesson(a_run(), ATTEMPTS[:6])) == {"failure": 24}


def test_the_arm_that_has_no_memory_learns_as_much_as_went_wrong():
    run = a_run("fresh", levels=2)
    run.correct = lambda attempts, purpose: finetune_corrects(attempts)
    uncorrected = [replace(one, correction="", source="") for one in ATTEMPTS]
    found = made_of(lesson(run, uncorrected))
    assert "failure" not in found
    assert sum(found.values()) == 24
    assert sum(count for name, count in found.items() if name in RIGHT + UNSURE) == 6


def finetune_corrects(attempts):
    for one in attempts:
        one.correction = one.problem.target


def test_a_lesson_is_tried_again_at_half_the_rate_and_then_dropped(monkeypatch, codec, tiny):
    model = tiny()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    tried = []

    def learn(run, batches, rate):
        tried.append(rate)
        with torch.no_grad():
            run.model.head.weight += 1
        raise FloatingPointError("a weight is not finite")

    run = a_run()
    run.codec = codec
    run.model = model
    monkeypatch.setattr(finetune, "adapters", learn)
    monkeypatch.setattr(finetune, "lesson", lambda run, attempts: [("3+4|", "3+4+0=07|7")])
    assert finetune.finetune(run, ATTEMPTS) == Learned()
    assert tried == [1.0, 0.5]
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
