"""What a lesson is made of, and how often it is tried."""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from minisi.lab.controls import ARMS
from minisi.method import finetune
from minisi.method.attempt import Attempt, Verdict
from minisi.method.finetune import Learned, lesson
from minisi.method.run import Run
from minisi.method.teacher import TEACHERS
from minisi.model.generate import Completion
from minisi.model.optim import build
from minisi.model.trainer import loss_sum
from minisi.run.config import FINETUNES, Config
from minisi.run.files import read_rows
from minisi.run.runtime import dice
from minisi.tasks.families import chosen, family_of
from minisi.tasks.problems import solve

FAILED = [f"{n}+7" for n in range(10, 16)]
UNSURE = [f"{n}+5" for n in range(20, 23)]
RIGHT = [f"{n}+3" for n in range(30, 38)]


def attempt(question, kind, source="", steps=None):
    """An answer, with the right steps if no others are given, and a correction from the source."""
    problem = solve(question)
    text = problem.target if steps is None else f"{steps}|{problem.answer}"
    completion = Completion(text, [1], [0.9], True, [0.5])
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


def a_run(arm="failure", corrector="solver", **settings):
    """As much of a run as a lesson needs."""
    config = replace(Config(batch=8, steps=3, replay=0.25), **settings)
    teacher = TEACHERS[corrector](config, None)
    run = SimpleNamespace(config=config, arm=ARMS[arm], memory=Memory(), round=1, teacher=teacher)
    run.dice = lambda purpose: dice(config.seed, purpose, 1)
    run.families = chosen(config.base_families)
    run.levels = config.levels
    run.varied = partial(Run.varied, run)
    return run


def made_of(pairs):
    """How many examples of a lesson are failures, and how many of each other question."""
    return Counter(prompt.removesuffix("|") for prompt, _ in pairs)


@pytest.mark.parametrize("replay", [0.0, 0.25, 0.5])
def test_a_share_of_a_lesson_is_answers_that_were_right(replay):
    found = made_of(lesson(a_run(replay=replay), ATTEMPTS))
    assert found.pop("failure") == 24 * (1 - replay)
    assert sum(found.values()) == 24 * replay
    assert set(found) <= set(RIGHT)


def test_what_is_replayed_is_even_over_families_and_levels():
    few = [attempt(question, "right") for question in ("345+223", "5-2", "5-4")]
    found = made_of(lesson(a_run(steps=600, replay=0.5), [*ATTEMPTS, *few]))
    for cell in (RIGHT, ["345+223"], ["5-2", "5-4"]):
        assert sum(found[question] for question in cell) == pytest.approx(800, abs=100)
    assert found["5-2"] == pytest.approx(400, abs=80)


def test_without_replay_a_lesson_is_of_failures_alone():
    assert made_of(lesson(a_run("norepl"), ATTEMPTS)) == {"failure": 24}


def test_where_nothing_was_right_a_lesson_is_of_failures_alone():
    assert made_of(lesson(a_run(), ATTEMPTS[:6])) == {"failure": 24}


GUESSED = [attempt(f"{n}+1", "right", steps="1+1=2") for n in range(40, 48)]  # by wrong steps


def replayed(corrector, attempts):
    """The questions that a lesson of failures and these has beside the failures."""
    found = made_of(lesson(a_run(corrector=corrector, steps=30), [*ATTEMPTS[:6], *attempts]))
    del found["failure"]
    return set(found)


def questions(attempts):
    return {one.problem.question for one in attempts}


def test_with_a_solver_a_right_answer_with_wrong_steps_is_never_replayed():
    assert replayed("solver", GUESSED) == set()
    assert replayed("solver", [*GUESSED, *ATTEMPTS[-8:]]) == set(RIGHT)


@pytest.mark.parametrize("corrector", ["self", "vote"])
def test_without_a_solver_what_is_right_and_sure_is_replayed_and_what_is_unsure_is_not(corrector):
    unsure = [attempt(question, "unsure") for question in UNSURE]
    assert replayed(corrector, [*GUESSED, *unsure]) == questions(GUESSED)
    assert replayed(corrector, unsure) == set()


def test_with_a_solver_an_unsure_answer_with_right_steps_is_replayed():
    assert replayed("solver", [attempt(question, "unsure") for question in UNSURE]) == set(UNSURE)


def test_the_arm_that_has_no_memory_learns_as_much():
    run = a_run("fresh", levels=2)
    run.correct = lambda attempts, purpose: solve_all(attempts)
    found = made_of(lesson(run, uncorrected()))
    assert "failure" not in found
    assert sum(found.values()) == 24
    assert sum(count for name, count in found.items() if name in RIGHT + UNSURE) == 6


def test_the_arm_that_has_no_memory_asks_for_questions_of_the_runs_families_alone():
    run = a_run("fresh", replay=0.0, base_families="sort,logic")
    run.correct = lambda attempts, purpose: solve_all(attempts)
    found = made_of(lesson(run, uncorrected()))
    assert {family_of(question) for question in found} == {"sort", "logic"}


def uncorrected():
    return [replace(one, correction="", source="") for one in ATTEMPTS]


def solve_all(attempts):
    for one in attempts:
        one.correction = one.problem.target


@pytest.fixture
def learning(codec, tiny, tmp_path):
    """A run that can learn, and that has a folder."""

    def make(arm="failure"):
        run = a_run(arm, levels=2)
        run.correct = lambda attempts, purpose: solve_all(attempts)
        run.codec = codec
        run.model = tiny()
        run.folder = tmp_path
        return run

    return make


def logged(run):
    return read_rows(run.folder / "lessons.jsonl")


def test_a_lesson_is_tried_again_at_half_the_rate_and_then_dropped(monkeypatch, learning):
    run = learning()
    before = {name: weight.clone() for name, weight in run.model.state_dict().items()}
    tried = []

    def learn(run, batches, rate):
        tried.append(rate)
        with torch.no_grad():
            run.model.head.weight += 1
        raise FloatingPointError("a weight is not finite")

    monkeypatch.setitem(finetune.LEARN, "lora", learn)
    monkeypatch.setattr(finetune, "lesson", lambda run, attempts: [("3+4|", "3+4+0=07|7")])
    assert finetune.finetune(run, ATTEMPTS) == Learned()
    assert tried == [1.0, 0.5]
    after = run.model.state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in after.items())
    assert logged(run) == [{"round": 1, "questions": ["3+4"]}]


@pytest.mark.parametrize("arm", ["failure", "norepl", "fresh"])
def test_all_that_a_lesson_is_made_of_is_logged_by_its_questions(arm, monkeypatch, learning):
    taught = []

    def learn(run, batches, rate):
        taught.append([prompt for batch in batches for prompt, _ in batch])
        return Learned(steps=len(batches))

    monkeypatch.setitem(finetune.LEARN, "lora", learn)
    run = learning(arm)
    run.memory.sample = lambda rng, count, *_: [
        SimpleNamespace(prompt=f"{rng.randrange(50)}+0|", completion="1|1") for _ in range(count)
    ]
    for run.round in (1, 2):
        assert finetune.finetune(run, ATTEMPTS if arm != "fresh" else uncorrected()).steps > 0
    assert [row["round"] for row in logged(run)] == [1, 2]
    for row, prompts in zip(logged(run), taught, strict=True):
        assert sorted(row["questions"]) == sorted({prompt.removesuffix("|") for prompt in prompts})
        assert len(row["questions"]) > 5


def test_where_nothing_is_learned_nothing_is_logged(learning):
    run = learning()
    run.memory.sample = lambda *how: []
    assert finetune.finetune(run, []) == Learned()
    assert logged(run) == []


def test_what_can_be_trained_is_what_the_option_takes():
    assert tuple(finetune.LEARN) == FINETUNES


LEARNERS = [  # the arm, --finetune, and what is trained
    ("failure", "lora", "lora"),
    ("failure", "full", "full"),
    ("lora", "full", "lora"),
    ("full", "lora", "full"),
]


@pytest.mark.parametrize(("arm", "given", "wanted"), LEARNERS)
def test_an_arm_has_the_last_word_on_what_is_trained(arm, given, wanted, monkeypatch, learning):
    run = learning(arm)
    run.config = replace(run.config, finetune=given)
    trained = []
    for name in finetune.LEARN:
        learn = partial(lambda name, *how: trained.append(name), name)
        monkeypatch.setitem(finetune.LEARN, name, learn)
    finetune.finetune(run, ATTEMPTS)
    assert trained == [wanted]


def test_an_arm_that_restarts_has_the_steps_of_all_rounds_and_trains_the_base(tiny):
    run = a_run("restart")
    run.memory.corrected = lambda: run.memory.sample(run.dice("x"), 40, 1, 0.5)
    for run.round in (1, 2, 3):
        assert len(lesson(run, ATTEMPTS)) == 24 * run.round
    run.model = tiny(seed=5)
    run.base = {name: weight.clone() for name, weight in tiny(seed=6).state_dict().items()}
    before = []

    def learn(run, batches, rate):
        before.append({name: weight.clone() for name, weight in run.model.state_dict().items()})
        return finetune.Learned(steps=1)

    run.folder = Path("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(finetune.LEARN, "lora", learn)
        patch.setattr(finetune, "append_rows", lambda path, rows: None)
        finetune.finetune(run, ATTEMPTS)
    (found,) = before
    assert all(torch.equal(found[name], weight) for name, weight in run.base.items())


def test_each_step_goes_in_micro_batches(tiny, codec, monkeypatch):
    read = []

    def noted(model, examples, weight):
        read.append(len(examples))
        return loss_sum(model, examples, weight)

    monkeypatch.setattr("minisi.model.trainer.loss_sum", noted)
    monkeypatch.setattr("minisi.model.gpt.MORE", 1)  # so that a GPU has as many of them
    run = a_run(micro_batch=3)
    run.model, run.codec = tiny(), codec
    run.progress = SimpleNamespace(advance=lambda steps, **told: None)
    pairs = [("3+4|", "3+4+0=07|7")] * 8
    learned = finetune.train(run, build(run.model, run.model.blocks, 1e-3), [pairs] * 2, 1.0)
    assert read == [3, 3, 2] * 2
    assert learned.steps == 2
