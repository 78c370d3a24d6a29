"""The frozen test set: what it is made of, and what is refused."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from minisi.lab import testset
from minisi.lab.testset import distinct, make_test_set, read_test_set
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Family
from minisi.tasks.problems import Problem, identity, solve, split_of

FROZEN = Path(__file__).parents[2] / "data" / "test.jsonl"


@pytest.fixture(scope="module")
def lines():
    return list(make_test_set())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "test.jsonl"


def test_the_test_set_is_large_distinct_balanced_and_of_its_split(lines):
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 2000
    assert len({identity(row["question"]) for row in rows}) == len(rows)

    cells = Counter((row["family"], row["level"]) for row in rows)
    levels = max(level for _, level in cells)
    assert {family for family, _ in cells} == set(FAMILIES)
    assert len(cells) == len(FAMILIES) * levels
    assert len(set(cells.values())) == 1

    for row in rows:
        assert split_of(row["question"]) == "test"
        assert row["id"] == identity(row["question"])


def test_the_frozen_file_is_what_the_code_makes(lines):
    assert FROZEN.read_text().splitlines() == lines


def test_a_written_test_set_is_read_back(lines, path):
    path.write_text("\n".join(lines) + "\n")
    problems = read_test_set(path)
    rows = [json.loads(line) for line in lines]
    assert [p.question for p in problems] == [row["question"] for row in rows]
    assert [p.answer for p in problems] == [row["answer"] for row in rows]
    assert all(isinstance(p, Problem) for p in problems)


# What is damaged.


def question_of(split):
    """A sum of the split."""
    sums = [f"{n}+{n}" for n in range(10, 99)]
    return next(question for question in sums if split_of(question) == split)


def a_wrong_answer(row):
    return {**row, "answer": row["answer"] + "0"}


def wrong_steps(row):
    return {**row, "steps": "1+1+0=02"}


def another_question(row):
    question = question_of("test")
    return {**row, "question": question, "id": identity(question)}


def a_train_question(row):
    return testset.row(solve(question_of("train"), row["family"], row["level"]))


def another_id(row):
    return {**row, "id": "0" * 16}


def no_family(row):
    del row["family"]
    return row


def a_family_that_is_not_there(row):
    return {**row, "family": "div"}


def a_question_of_no_family(row):
    return {**row, "question": "what?"}


def a_question_that_is_a_number(row):
    return {**row, "question": 7}


def a_question_that_is_null(row):
    return {**row, "question": None}


def a_list(row):
    return [1]


DAMAGES = [
    a_wrong_answer,
    wrong_steps,
    another_question,
    a_train_question,
    another_id,
    no_family,
    a_family_that_is_not_there,
    a_question_of_no_family,
    a_question_that_is_a_number,
    a_question_that_is_null,
    a_list,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_is_the_users_error(damage, lines, path):
    damaged = damage(json.loads(lines[3]))
    path.write_text("\n".join([*lines[:3], json.dumps(damaged)]))
    with pytest.raises(UserError, match="test set"):
        read_test_set(path)


@pytest.mark.parametrize("family", ["mul", "logic", "chain", "sort", "story"])
def test_a_row_with_another_rows_family_is_the_users_error(family, lines, path):
    path.write_text(json.dumps({**json.loads(lines[0]), "family": family}))
    with pytest.raises(UserError):
        read_test_set(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]\n"])
def test_a_file_that_is_no_test_set_is_the_users_error(content, path):
    path.write_bytes(content)
    with pytest.raises(UserError, match="test set"):
        read_test_set(path)


def test_a_file_that_is_missing_is_the_users_error(path):
    with pytest.raises(UserError, match="test set"):
        read_test_set(path)


# Families with few problems.


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


def test_distinct_problems_are_different_and_of_their_cell(coin):
    for family in FAMILIES:
        found = distinct(Random(0), family, 1, 20)
        assert len({identity(p.question, family) for p in found}) == len(found) == 20
        assert {split_of(p.question, family) for p in found} == {"test"}
        assert {(p.family, p.level) for p in found} == {(family, 1)}


def test_all_that_a_family_has_can_be_drawn(coin):
    found = distinct(Random(0), "coin", 2, len(coin))
    assert sorted(p.question for p in found) == coin


def test_more_problems_than_a_family_has_are_refused_in_one_sentence(coin):
    count = len(coin)
    message = rf"^coin has only {count} distinct .* level 2.* {count + 1} are wanted: [^\n]+$"
    with pytest.raises(UserError, match=message):
        distinct(Random(0), "coin", 2, count + 1)


def test_a_test_set_for_which_a_family_has_too_few_problems_is_refused_in_one_sentence(coin):
    count = (len(coin) + 1) * 2 * len(FAMILIES)
    made = make_test_set(count, levels=2)
    with pytest.raises(UserError, match=r"^coin has only [^\n]* level 2,[^\n]+$"):
        list(made)


def test_a_family_without_test_problems_is_refused_too(coin, monkeypatch):
    question = next(f"toss {n}" for n in range(10) if f"toss {n}" not in coin)
    monkeypatch.setattr(Coin, "ask", lambda self, rng, level: question)
    with pytest.raises(UserError, match=r"^coin has .* test split at level 1"):
        distinct(Random(0), "coin", 1, 1)
