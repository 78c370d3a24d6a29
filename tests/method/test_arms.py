"""What the arms pick, shift and blend."""

from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest
import torch

from minisi.lab.controls import ARMS, by_parts, matched, shifted
from minisi.method import finetune, student
from minisi.method.attempt import Attempt, Verdict
from minisi.method.run import Run
from minisi.run.config import Config
from minisi.run.runtime import dice
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import BAR, Problem, balanced, solve

from ..answers import said, unconfirmed
from ..conftest import Quiet

FLAGGED = [False, True, False, True, False, True, False, False]
ALL = set(range(len(FLAGGED)))
FAILED = {1, 3, 5}


def asked(flagged):
    """An attempt for each flag, whose question is its number."""
    return [
        Attempt(Problem("add", 1, str(i)), verdict=Verdict("wrong" if flag else "right", 0.5, flag))
        for i, flag in enumerate(flagged)
    ]


def picked(name, rng, budget, flagged=FLAGGED):
    """The numbers of what an arm picks in a run's first round; no budget is None."""
    run = SimpleNamespace(arm=ARMS[name], round=1, dice=lambda purpose: rng)
    run.budget = None if budget is None else [budget]
    return [int(attempt.problem.question) for attempt in Run.pick(run, asked(flagged))]


@pytest.mark.parametrize("budget", [None, 0, 1, 3, 5, 8, 20])
@pytest.mark.parametrize("name", ARMS)
def test_as_many_are_picked_as_are_flagged_or_as_the_budget_says(name, budget):
    wanted = len(FAILED) if budget is None else min(budget, len(FLAGGED))
    if name in ("static", "fresh"):
        wanted = 0
    found = picked(name, Random(1), budget)
    assert len(found) == len(set(found)) == wanted
    assert set(found) <= ALL


@pytest.mark.parametrize("budget", [None, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", ["failure", "corrupt", "full", "norepl"])
def test_what_is_flagged_comes_first(name, budget):
    for seed in range(20):
        found = set(picked(name, Random(seed), budget))
        assert found <= FAILED or found >= FAILED


CHANCES = [  # of each that failed, and of each of the others
    ("random", None, 3 / 8, 3 / 8),
    ("random", 5, 5 / 8, 5 / 8),
    ("full", 1, 1 / 3, 0),
    ("full", 5, 1, 2 / 5),
]


@pytest.mark.parametrize(("name", "budget", "failed", "others"), CHANCES)
def test_what_is_drawn_is_drawn_with_equal_chances(name, budget, failed, others):
    rng = Random(0)
    n = 4000
    drawn = Counter()
    for _ in range(n):
        drawn.update(picked(name, rng, budget))
    for i in ALL:
        p = failed if i in FAILED else others
        assert abs(drawn[i] / n - p) <= 4.5 * (p * (1 - p) / n) ** 0.5


@pytest.mark.parametrize("budget", [None, 3])
@pytest.mark.parametrize("name", ARMS)
def test_nothing_asked_is_nothing_picked(name, budget):
    assert picked(name, Random(0), budget, flagged=[]) == []


def kinds(attempts):
    return Counter(attempt.cell for attempt in attempts)


@pytest.mark.parametrize("budget", [None, 2, 5, 40])
def test_what_is_matched_has_the_shares_of_what_failed_and_is_drawn_within_them(budget):
    cells = ["add/1", "add/4", "sub/4", "sub/1"]
    failed = Counter({"add/4": 3, "sub/4": 2})
    count = sum(failed.values()) if budget is None else budget
    wanted = {cell: n * count // 5 for cell, n in failed.items()}
    drawn = Counter()
    for seed in range(300):
        attempts = [
            Attempt(
                Problem(*cell.split("/"), f"{i}"), verdict=Verdict("wrong", 0.5, i < failed[cell])
            )
            for cell in cells
            for i in range(20)
        ]
        found = matched(Random(seed), attempts, count)
        assert len(found) == len(set(map(id, found))) == count
        got = kinds(found)
        if budget is None:
            assert got == failed
        assert all(got[cell] >= min(20, n) for cell, n in wanted.items())
        drawn.update(attempt.problem.question for attempt in found if attempt.cell == cells[1])
    assert len(drawn) == 20  # those that failed are not preferred
    if budget is None:
        assert max(drawn.values()) < 2 * min(drawn.values())


def corrected(problems, corrections):
    """Attempts with corrections, whose sources tell them apart."""
    pairs = zip(problems, corrections, strict=True)
    return [Attempt(p, correction=text, source=f"by {text}") for p, text in pairs]


def shift(problems, corrections):
    """The corrections after a shift, which their sources must follow."""
    attempts = corrected(problems, corrections)
    shifted(attempts)
    assert [attempt.problem for attempt in attempts] == problems
    for attempt in attempts:
        assert attempt.source == f"by {attempt.correction}"
    return [attempt.correction for attempt in attempts]


def test_shifting_moves_every_correction_to_another_problem_of_its_family_and_loses_none():
    problems = balanced(dice(1, "arms"), "train", 3, 5 * len(FAMILIES))
    texts = [f"{problem.family} {i}" for i, problem in enumerate(problems)]
    moved = shift(problems, texts)
    assert sorted(moved) == sorted(texts)
    for problem, text, before in zip(problems, moved, texts, strict=True):
        assert text.split()[0] == problem.family
        assert text != before


def test_what_is_alone_of_its_family_stays_and_empty_corrections_move_too():
    problems = [solve("3+4"), solve("sort 2 1"), solve("5+6")]
    assert shift(problems, ["", "s", "t"]) == ["t", "s", ""]
    assert shift([], []) == []


def copies(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def test_a_blend_goes_from_before_to_after_and_back(tiny, monkeypatch):
    model = tiny(seed=5, busy=False)
    start = copies(model)
    end = copies(tiny())
    assert not any(torch.equal(start[name], end[name]) for name in start)

    def train(run, optimizers, batches, rate):
        run.model.load_state_dict(end)
        return finetune.Learned()

    monkeypatch.setattr(finetune, "train", train)
    run = SimpleNamespace(model=model, config=Config())
    blend = finetune.all_weights(run, [], 1.0).set_strength
    half = {name: (start[name] + end[name]) / 2 for name in start}
    for share, wanted in [(1.0, end), (0.0, start), (1.0, end), (0.5, half), (0.0, start)]:
        blend(share)
        exact = {} if share == 0.5 else {"rtol": 0, "atol": 0}
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(weight, wanted[name], **exact)


@pytest.mark.parametrize("agreed", [True, False])
def test_by_parts_is_what_the_ways_agree_on_or_else_what_is_said_at_once(agreed, monkeypatch):
    problems = balanced(dice(1, "by parts"), "test", 2, 16)
    whole = {problem.prompt for problem in problems}
    calls = []

    def generate(model, codec, prompts, limit, **sampling):
        calls.append(prompts)
        found = []
        for prompt in prompts:
            text = solve(prompt.removesuffix(BAR)).target if agreed else "no bar"
            found.append(said("at once|1" if prompt in whole else text, 0.5, 0.5))
        return found

    monkeypatch.setattr(student, "generate", generate)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    attempts = [Attempt(problem) for problem in problems]
    asked = student.Student(None, None, 60, Quiet())
    by_parts(Config(), asked, attempts)
    texts = [attempt.completion.text for attempt in attempts]
    if agreed:
        wanted = [problem.target for problem in problems]
        assert sum(map(str.__eq__, texts, wanted)) > len(problems) / 2
        sure = [attempt.completion.probabilities for attempt in attempts]
        assert all(
            known == [0.0] for known, text in zip(sure, texts, strict=True) if text in wanted
        )
        assert asked.tokens > 2 * len(problems)
    else:
        assert texts == ["at once|1"] * len(problems)
    assert all(attempt.completion.probabilities for attempt in attempts)
    assert len(calls) > 1
