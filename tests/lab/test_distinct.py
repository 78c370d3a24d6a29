"""Distinct problems of a cell, as the frozen sets have them."""

from functools import partial
from random import Random

import pytest

from minisi.lab.testset import distinct, make_set
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Family
from minisi.tasks.problems import Problem, draw, identity, split_of


class Coin(Family):
    """Many problems at level 1, and few above it."""

    pattern = r"toss \d+"
    words = "toss"

    def ask(self, rng, level):
        return f"toss {rng.randrange(1000 if level == 1 else 10)}"

    def solve(self, question):
        return question, "heads"


@pytest.fixture
def coin(monkeypatch):
    """The test problems that the family has above level 1."""
    monkeypatch.setitem(FAMILIES, "coin", Coin())
    questions = [f"toss {n}" for n in range(10)]
    return [question for question in questions if split_of(question, "coin") == "test"]


def asking(family, level):
    return partial(draw, Random(0), "test", family, level)


def test_distinct_problems_are_different_and_of_their_cell(coin):
    for family in FAMILIES:
        found = distinct(asking(family, 1), 20)
        assert len({identity(p.question, family) for p in found}) == len(found) == 20
        assert {split_of(p.question, family) for p in found} == {"test"}
        assert {(p.family, p.level) for p in found} == {(family, 1)}


def test_what_is_of_another_split_or_taken_is_passed_over(coin):
    def ask():
        return Problem("coin", 2, f"toss {rng.randrange(10)}")

    rng = Random(0)
    taken = {identity(coin[0], "coin")}
    assert sorted(p.question for p in distinct(ask, 10)) == coin
    assert sorted(p.question for p in distinct(ask, 10, taken)) == coin[1:]


def test_all_that_a_family_has_can_be_drawn(coin):
    found = distinct(asking("coin", 2), len(coin), least=len(coin))
    assert sorted(p.question for p in found) == coin


def test_more_problems_than_a_family_has_are_refused_in_one_sentence(coin):
    count = len(coin)
    assert len(distinct(asking("coin", 2), count + 1)) == count
    message = rf"^coin has only {count} distinct .* level 2.* {count + 1} are wanted: [^\n]+$"
    with pytest.raises(UserError, match=message):
        distinct(asking("coin", 2), count + 1, least=count + 1)


def test_a_set_for_which_a_family_has_too_few_problems_is_refused_in_one_sentence(coin):
    with pytest.raises(UserError, match=r"^coin has only [^\n]* level 2,[^\n]+$"):
        list(make_set("test"))
