"""A new family of questions, as the README adds one: from a class to a run that learns it."""

import json
import sys
from functools import partial
from random import Random
from runpy import run_path

import pytest

import loop
from minisi.lab.ask import ask, shown
from minisi.lab.testset import distinct, make_set, row
from minisi.method import student
from minisi.method.teacher import together
from minisi.model.tokenizer import Codec
from minisi.run.runtime import UserError, dice
from minisi.tasks import families
from minisi.tasks.families import FAMILIES, family_of, vocabulary_words
from minisi.tasks.family import Family
from minisi.tasks.problems import BAR, draw, solve, split_of
from train import curriculum

from .answers import unconfirmed
from .programs import NONSENSE, ROOT, known, rows, said, settings
from .test_key import mostly

QUESTIONS = 54  # of a round, 6 of each family
TINIER = {
    "rounds": 1,
    "levels": 2,
    "questions": QUESTIONS,
    "dev_questions": QUESTIONS,
    "base_levels": 2,
    "base_batch": 18,
    "base_chain_steps": 0,
    "sets": "",
}


FAMILY = ROOT / "tests" / "recipes" / "my_family.py"
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(families, "FAMILIES", {})
    Twice = run_path(str(FAMILY))["Twice"]


class Undivided(Twice):
    """The same for those who know no way to take it apart."""

    parts = Family.parts


@pytest.fixture(autouse=True)
def twice(monkeypatch):
    """The family, in the list of those that are known."""
    monkeypatch.setitem(FAMILIES, "twice", Twice())


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Plays a tiny run of one round from nothing: pretraining, round 0 and round 1."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # which would take most of the time
    old = (ROOT / "data" / "test.jsonl").read_text().splitlines()[::64]
    new = distinct(partial(draw, Random(1), "test", "twice", 2), 4)
    test = tmp_path / "test.jsonl"
    test.write_text("\n".join([*old, *(json.dumps(row(problem)) for problem in new)]))

    def play(**changed):
        return loop.loop(settings(tmp_path, test, **{**TINIER, **changed}))

    return play


def remembered(folder):
    """What the memory holds of the family."""
    memory = rows(folder / "loop", "memory")
    return [failure for failure in memory if failure["family"] == "twice"]


def test_a_question_is_recognised_and_solved():
    problem = solve("twice 476")
    assert problem.family == family_of("twice 476") == "twice"
    assert problem.target == "6+6+0=12,7+7+1=15,4+4+1=09|952"
    assert FAMILIES["add"].solve("476+476") == (problem.steps, problem.answer)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_what_is_asked_can_be_drawn_of_each_split(level):
    for split in ("train", "dev", "test"):
        problem = draw(dice(1, "twice"), split, "twice", level)
        assert family_of(problem.question) == "twice"
        assert split_of(problem.question) == split


def test_a_level_is_up_to_so_many_digits():
    family = FAMILIES["twice"]
    for level in (1, 2, 3, 4):
        questions = [family.ask(Random(seed), level) for seed in range(200)]
        levels = [family.level(question) for question in questions]
        assert max(levels) == level
        assert levels.count(level) >= 80
        assert max(map(len, questions)) == len("twice ") + level + 1


@pytest.mark.parametrize("question", ["twice 4", "twice 41", "twice 476", "twice 90909"])
def test_its_parts_are_sums_and_make_the_solvers_text(question):
    ways = [FAMILIES["twice"].parts(question, Random(seed)) for seed in range(8)]

    def ask(batch):
        assert all(family_of(part) == "add" for part in batch)
        return [FAMILIES["add"].solve(part) for part in batch]

    assert together(ways, ask) == [solve(question).target] * 8


def test_the_tokenizer_has_its_word():
    codec = Codec(vocabulary_words())
    (ids,) = codec.encode(["twice 41|"])
    assert [codec.vocabulary[i] for i in ids] == ["twice", " 4", "1", "|"]
    assert codec.decode([ids]) == ["twice 41|"]


def test_a_run_with_the_solver_corrects_and_measures_it(play, tmp_path):
    made = play(corrector="solver")
    assert [row["steps"] for row in made] == [0, 3]
    assert {name for row in made for name in row["by_family"]} == set(FAMILIES)
    failures = remembered(tmp_path)
    assert len(failures) == QUESTIONS / len(FAMILIES)
    for failure in failures:
        assert failure["source"] == "solver"
        assert failure["completion"] == solve(failure["question"]).target


def test_the_base_is_taught_it(tmp_path):
    batches = list(curriculum(settings(tmp_path, "", **TINIER)))
    assert all("twice" in {problem.family for problem in problems} for problems in batches)


def test_a_person_can_ask_it(play, tmp_path):
    play(rounds=0)
    (row,) = ask(f"{tmp_path}/loop", ["Twice  41 ?"], "cpu")
    assert row["question"] == "twice 41"
    assert shown(row).endswith("the answer is 82 by 1+1+0=02,4+4+0=08")


def knowing_others(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: no question of the family is known, and all others are."""
    questions = [prompt.removesuffix(BAR) for prompt in prompts]
    return [
        said(NONSENSE, 0.45) if question.startswith("twice") else said(known(question), 0.9)
        for question in questions
    ]


def test_a_vote_on_its_parts_corrects_it(play, tmp_path, monkeypatch):
    monkeypatch.setattr(student, "generate", knowing_others)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    made = play(corrector="vote")
    assert [row["steps"] for row in made] == [0, 3]
    voted = [failure for failure in remembered(tmp_path) if failure["source"] == "vote"]
    taken_apart = [failure for failure in voted if len(failure["question"]) > len("twice 4")]
    assert taken_apart
    for failure in taken_apart:
        assert failure["completion"] == solve(failure["question"]).target


def test_a_vote_without_parts_leaves_it_unsolved_and_goes_on(play, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "twice", Undivided())
    monkeypatch.setattr(student, "generate", mostly)
    monkeypatch.setattr(student, "confirm", unconfirmed)
    made = play(corrector="vote", rounds=2)
    assert [row["steps"] for row in made] == [0, 3, 3]
    sources = {failure["source"] for failure in remembered(tmp_path)}
    assert "unsolved" in sources
    assert "vote" not in sources
    assert "vote" in {failure["source"] for failure in rows(tmp_path / "loop", "memory")}


def test_a_test_set_of_more_problems_than_it_has_is_refused_in_one_sentence():
    with pytest.raises(UserError, match=r"^twice has only \d+ distinct problems .* at level 1,"):
        list(make_set("test"))
