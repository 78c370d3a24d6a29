"""What was trained on is held against the split, and against the frozen sets."""

from itertools import chain
from types import SimpleNamespace

import pytest

from minisi.lab.evaluate import audit
from minisi.run.config import Config
from minisi.run.files import append_rows
from minisi.run.runtime import UserError, dice
from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import Problem, balanced, draw
from train import curriculum

TAUGHT = balanced(dice(1, "taught"), "train", 3, 24)
FROZEN = balanced(dice(1, "frozen"), "test", 3, 24)
KNOWN = [problem.question for problem in balanced(dice(1, "known"), "train", 4, 8)]


@pytest.fixture
def run(tmp_path):
    """As much of a run as an audit needs; it has learned nothing yet."""
    return SimpleNamespace(folder=tmp_path, memory=SimpleNamespace(path=tmp_path / "memory.jsonl"))


def remember(run, *questions):
    append_rows(run.memory.path, [{"question": question} for question in questions])


def teach(run, *lessons):
    """Log a lesson for each list of questions."""
    rows = [{"round": n, "questions": questions} for n, questions in enumerate(lessons, 1)]
    append_rows(run.folder / "lessons.jsonl", rows)


def leaks(run, taught=TAUGHT, frozen=FROZEN):
    """What an audit that fails says."""
    with pytest.raises(UserError) as found:
        audit(run, taught, frozen)
    return str(found.value)


def leak_of(split, family="expr"):
    return draw(dice(2, "leak"), split, family, 2)


def test_all_that_was_trained_on_is_counted(run):
    assert audit(run, TAUGHT, FROZEN) == "0 of 24"
    remember(run, *KNOWN[:3])
    assert audit(run, TAUGHT, FROZEN) == "0 of 27"
    teach(run, KNOWN[:2], KNOWN[3:])
    assert audit(run, TAUGHT, FROZEN) == "0 of 34"
    assert audit(run, [], []) == "0 of 10"


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_leak_is_found_in_the_memory(family, split, run):
    leak = leak_of(split, family).question
    remember(run, *KNOWN, leak)
    said = leaks(run)
    assert "1 of 33" in said
    assert repr(leak) in said
    assert "\n" not in said


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_leak_is_found_in_a_lesson(split, run):
    leak = leak_of(split).question
    teach(run, KNOWN[:4], [*KNOWN[4:], leak])
    assert "1 of 33" in leaks(run)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_leak_is_found_in_what_the_base_was_taught(split, run):
    leak = leak_of(split)
    assert "1 of 25" in leaks(run, [*TAUGHT, leak])
    assert repr(leak.question) in leaks(run, [*TAUGHT, leak])


def test_every_leak_counts(run):
    remember(run, leak_of("dev").question)
    teach(run, [leak_of("test").question, leak_of("dev").question])
    assert "4 of 28" in leaks(run, [*TAUGHT, leak_of("test")])


def in_other_words(problem):
    """The same problem as another question."""
    a, b = problem.question.split("+")
    return f"{b}+{a}"


@pytest.mark.parametrize("place", ["base", "memory", "lesson"])
def test_a_problem_of_a_frozen_set_is_a_leak_whatever_its_split_and_its_words(place, run):
    problem = draw(dice(4, "frozen"), "train", "add", 4)
    again = in_other_words(problem)
    assert again != problem.question
    taught = TAUGHT
    if place == "base":
        taught = [*TAUGHT, Problem("add", 4, again)]
    elif place == "memory":
        remember(run, again)
    else:
        teach(run, [again])
    assert audit(run, taught, FROZEN) == "0 of 25"
    assert "1 of 25" in leaks(run, taught, [*FROZEN, problem])


def test_a_whole_curriculum_has_no_leak(run):
    config = Config(base_steps=40, base_chain_steps=10, base_batch=16)
    taught = list(chain.from_iterable(curriculum(config)))
    assert audit(run, taught, FROZEN) == "0 of 640"
