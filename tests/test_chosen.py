"""A run of some families alone: it is taught, asks, examines and is tested on nothing else."""

import json

import pytest

import loop
from minisi.lab.testset import make_set
from minisi.method import student
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES, family_of
from train import curriculum

from .answers import unconfirmed
from .programs import TEST_QUESTIONS, coin, rows, settings

pytestmark = pytest.mark.usefixtures("no_pictures")

CHOSEN = {"add", "sort"}
NAMES = ",".join(sorted(CHOSEN))


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Paths of a frozen set of some families, and of one that has none of the run's."""
    folder = tmp_path_factory.mktemp("sets")
    lines = {family: [] for family in FAMILIES}
    for line in make_set("typed"):
        lines[json.loads(line)["family"]].append(line)
    mixed = [line for family in ("add", "sort", "mul") for line in lines[family][:3]]
    for name, some in {"mixed": mixed, "other": lines["mul"]}.items():
        (folder / f"{name}.jsonl").write_text("\n".join(some))
    return ",".join(f"{folder}/{name}.jsonl" for name in ("mixed", "other"))


@pytest.fixture(scope="module")
def played(tmp_path_factory, small_test_set, sets):
    """The folder of a run, from its pretraining on, and the prompts that the model was given."""
    folder = tmp_path_factory.mktemp("chosen")
    prompts = []

    def generate(model, codec, given, limit, **sampling):
        prompts.extend(given)
        return coin(model, codec, given, limit, **sampling)

    config = settings(folder, small_test_set, base_families=NAMES, sets=sets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "generate", generate)
        patch.setattr(student, "confirm", unconfirmed)
        loop.loop(config)
    return folder / "loop", prompts


def families(questions):
    return set(map(family_of, questions))


def test_nothing_else_is_asked(played):
    _, prompts = played
    assert families(prompt.removesuffix("|") for prompt in prompts) == CHOSEN


def test_nothing_else_is_learned_or_remembered(played):
    folder, _ = played
    lessons = rows(folder, "lessons")
    assert len(lessons) == 2
    assert families(question for row in lessons for question in row["questions"]) == CHOSEN
    assert families(row["question"] for row in rows(folder, "memory")) == CHOSEN


def test_its_tests_are_those_of_the_frozen_sets_that_are_of_its_families(played, small_test_set):
    folder, _ = played
    asked = [json.loads(line) for line in small_test_set.read_text().splitlines()]
    wanted = [row for row in asked if row["family"] in CHOSEN]
    assert 0 < len(wanted) < TEST_QUESTIONS
    for row in rows(folder):
        assert row["test_n"] == len(wanted)
        assert set(row["by_family"]) == set(row["right_steps_by_family"]) == CHOSEN
        assert set(row["by_cell"]) == {f"{told['family']}/{told['level']}" for told in wanted}
    asked = json.loads((folder / "sets.json").read_text())
    assert [(name, after["n"]) for name, (_, after) in asked.items()] == [("mixed", 6)]


def test_what_is_told_is_of_its_families(played):
    folder, _ = played
    report = (folder / "report.md").read_text()
    assert "| round | open levels | add | sort |" in report
    assert "family_add: " in report
    assert "family_mul: " not in report


@pytest.mark.parametrize("names", [NAMES, "story", "logic,expr,chain"])
def test_a_base_is_taught_nothing_else(names, tmp_path, small_test_set):
    changed = {"base_steps": 4, "base_chain_steps": 2, "base_batch": 24}
    config = settings(tmp_path, small_test_set, base_families=names, **changed)
    taught = [problem.family for problems in curriculum(config) for problem in problems]
    assert set(taught) == set(names.split(","))


def test_a_run_on_the_base_of_other_families_is_refused(played, tmp_path, small_test_set):
    folder, _ = played
    base = str(folder.parent / "base")
    for names in ("", "add"):
        config = settings(tmp_path, small_test_set, base=base, base_families=names)
        with pytest.raises(UserError, match=f"base_families {NAMES}, not {names}[^\n]*$"):
            loop.loop(config)


def test_an_unknown_family_is_refused_before_anything_is_made(tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, base_families="add,div")
    for begin in (loop.loop, lambda config: list(curriculum(config))):
        with pytest.raises(UserError, match="no family is called 'div'"):
            begin(config)
    assert list(tmp_path.iterdir()) == []
