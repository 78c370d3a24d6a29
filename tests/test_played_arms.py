"""Whole runs of all arms, beside each other."""

import json
from collections import Counter
from itertools import accumulate

import pytest

import loop
from minisi.lab import compare
from minisi.lab.controls import ARMS
from minisi.method import student
from minisi.tasks.problems import solve, split_of

from .answers import unconfirmed
from .programs import coin, rows, settings, timeless

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def all_arms(tmp_path_factory, small_test_set):
    """The folder of each arm's run."""
    folder = tmp_path_factory.mktemp("arms")
    changed = {"lr": 0.02, "full_lr": 0.02, "compare": ",".join(ARMS), "seeds": "5"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "generate", coin)
        patch.setattr(student, "confirm", unconfirmed)
        compare.compare(settings(folder, small_test_set, **changed), loop.loop)
    return {arm: folder / "loop" / f"{arm}-5" for arm in ARMS}


@pytest.fixture(scope="module")
def made(all_arms):
    """The rows of each arm's run."""
    return {arm: rows(folder) for arm, folder in all_arms.items()}


def test_the_arms_start_alike_and_go_apart(made):
    assert all(0 < row["wrong"] < row["asked"] for row in made["failure"][1:])
    figures = ("test_accuracy", "by_cell", "auroc", "generated_tokens")
    assert len({json.dumps([made[arm][2][name] for name in figures]) for arm in ARMS}) > 2
    bases = {arm: {name: made[arm][0][name] for name in figures} for arm in ARMS}
    wanted = bases["failure"]
    assert {arm for arm in ARMS if bases[arm] != wanted} == {"parts", "plain"}
    # `plain` is doubted on other questions, as chance draws them.
    assert [name for name in figures if bases["plain"][name] != wanted[name]] == ["auroc"]


@pytest.mark.parametrize("arm", sorted({*ARMS} - {"static", "fresh"}))
def test_an_arm_has_as_many_corrections_and_steps_in_each_round_as_failure(arm, made):
    for name in ("corrections", "steps"):
        wanted = [row[name] for row in made["failure"]]
        if arm == "restart" and name == "steps":
            wanted = list(accumulate(wanted))
        assert [row[name] for row in made[arm]] == wanted


def test_parts_is_failure_that_is_tested_in_another_way(made):
    for own, other in zip(made["parts"], made["failure"], strict=True):
        for name in ("asked", "wrong", "dev_after", "scale", "corrections", "generated_tokens"):
            assert own[name] == other[name]
        assert own["test_tokens"] > other["test_tokens"]


def test_static_learns_nothing(made):
    figures = ("steps", "corrections", "memory", "test_accuracy")
    base = made["static"][0]["test_accuracy"]
    assert {tuple(row[name] for name in figures) for row in made["static"]} == {(0, 0, 0, base)}


def test_fresh_has_steps_and_corrections_but_no_memory(made):
    _, first, second = made["fresh"]
    assert [row["steps"] for row in made["fresh"]] == [0, 3, 3]
    assert first["corrections"] > 0
    assert second["memory"] == 0


def test_all_arms_but_full_and_static_leave_an_adapter_a_round(all_arms):
    saved = {arm: len(list((folder / "adapters").iterdir())) for arm, folder in all_arms.items()}
    assert saved == {**dict.fromkeys(ARMS, 2), "full": 0, "static": 0}


@pytest.mark.parametrize("arm", ARMS)
def test_each_lesson_of_an_arm_is_logged_with_what_it_did_not_remember_too(arm, all_arms, made):
    lessons = rows(all_arms[arm], "lessons")
    assert [row["round"] for row in lessons] == [row["round"] for row in made[arm] if row["steps"]]
    learned = {question for row in lessons for question in row["questions"]}
    memory = {row["question"] for row in rows(all_arms[arm], "memory")}
    assert {split_of(question) for question in learned} <= {"train"}
    assert (learned <= memory) == (arm in ("norepl", "stack", "static"))


@pytest.mark.parametrize("arm", ARMS)
def test_corrections_are_true_but_in_corrupt_which_exchanges_them(arm, all_arms):
    bought = [row for row in rows(all_arms[arm], "memory") if row["source"] == "solver"]
    truth = [(row["round"], solve(row["question"]).target) for row in bought]
    given = [(row["round"], row["completion"]) for row in bought]
    assert Counter(truth) == Counter(given)
    false = sum(a != b for a, b in zip(truth, given, strict=True))
    assert (false > len(bought) / 2) if arm == "corrupt" else (false == 0)


@pytest.mark.parametrize("arm", ARMS)
def test_right_answers_that_were_unsure_are_kept_by_the_arms_that_remember(arm, all_arms):
    sources = {row["source"] for row in rows(all_arms[arm], "memory")}
    assert ("own" in sources) == (arm not in ("fresh", "static", "stack", "norepl"))


def test_failure_buys_what_went_wrong_and_random_what_did_not(all_arms):
    memory = rows(all_arms["failure"], "memory")
    assert {row["kind"] for row in memory if row["source"] == "solver"} == {"wrong"}
    assert {"right", "unsure"} & {row["kind"] for row in rows(all_arms["random"], "memory")}


@pytest.mark.parametrize("arm", ["restart", "stack", "full"])
def test_an_arm_goes_on_as_if_it_had_never_stopped(arm, tmp_path, small_test_set):
    for name, stops in {"once": [2], "twice": [1, 2]}.items():
        for rounds in stops:
            changed = {"arm": arm, "rounds": rounds, "out": f"{tmp_path}/{name}"}
            loop.loop(settings(tmp_path, small_test_set, **changed))
    assert timeless(rows(tmp_path / "twice")) == timeless(rows(tmp_path / "once"))
