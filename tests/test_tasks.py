"""Splits, draws, the checker and the frozen test set."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from minisi.families import FAMILIES
from minisi.runtime import UserError, dice
from minisi.tasks import Problem, balanced, check, draw, identity, make_test_set, parse, read_test_set, solve, split_of

FROZEN = Path(__file__).parents[1] / "data" / "test.jsonl"


@pytest.fixture(scope="module")
def rows():
    return list(make_test_set())


@pytest.mark.parametrize(
    "text, verdict",
    [
        ("7+6+0=13|13", "right"), ("nonsense|13", "right"), ("7+6+0=13|14", "wrong"), ("7+6+0=13|013", "wrong"), ("7+6+0=13| 13", "wrong"),
        ("7+6+0=13|13 ", "wrong"), ("7+6+0=13|1", "wrong"), ("7+6+0=13|13,13", "wrong"), ("13", "unparsable"), ("", "unparsable"), ("|13", "unparsable"),
        ("7+6+0=13|", "unparsable"), ("|", "unparsable"), ("7+6+0=13|13|", "unparsable"), ("7+6+0=13||13", "unparsable"), ("7|6|13", "unparsable"),
    ],
)  # fmt: skip
def test_the_checker_is_strict(text, verdict):
    assert check("13", text) == verdict
    assert (parse(text) is None) == (verdict == "unparsable") and (verdict != "right" or parse(text) == (text[:-3], "13"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_target_is_parsed_into_its_steps_and_answer(family):
    p = draw(dice(1, "parse"), "train", family, 3)
    assert parse(p.target) == (p.steps, p.answer) == FAMILIES[family].solve(p.question)


def test_prompt_and_target_make_the_whole_text():
    p = solve("347+586", level=2)
    assert (p.prompt, p.target) == ("347+586|", f"{p.steps}|{p.answer}")


def test_problems_are_drawn_and_sorted_into_splits_without_being_solved(monkeypatch):
    problems = balanced(dice(1, "lazy"), "train", 3, 48)
    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", None)
    assert balanced(dice(1, "lazy"), "train", 3, 48) == problems and {split_of(p.question) for p in problems} == {"train"}
    assert all(p.prompt == p.question + "|" for p in problems)
    for name in ("steps", "answer", "target"):
        with pytest.raises(TypeError):
            getattr(problems[0], name)


@pytest.mark.parametrize("question", ["3-4", "(3-4)*2", "(3+4", "(1 and 2", "a>b from a 2", "a>b,a>c from a 1", "ann has 3 pens, eyes 4: how many?"])
def test_what_cant_be_solved_is_refused_at_once(question):
    with pytest.raises(UserError):
        solve(question)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_split_is_60_20_20(family):
    rng = Random(family)
    questions = {identity(q): q for q in (FAMILIES[family].ask(rng, 4) for _ in range(1500))}
    shares = Counter(split_of(q) for q in questions.values())
    assert len(questions) > 1000
    for split, share in dict(train=0.6, dev=0.2, test=0.2).items():
        assert abs(shares[split] / len(questions) - share) < 0.06


def test_the_split_belongs_to_the_problem_not_to_its_wording():
    rng = Random(0)
    for a, b in ((rng.randrange(100), rng.randrange(100)) for _ in range(50)):
        assert split_of(f"{a}+{b}") == split_of(f"{b}+{a}") and split_of(f"sort {a} {b}") == split_of(f"sort {b} {a}")


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_draws_keep_to_their_split_family_and_level(split):
    for family in FAMILIES:
        p = draw(dice(1, split), split, family, 2)
        assert (split_of(p.question), p.family, p.level) == (split, family, 2) and p == solve(p.question, family, 2)


@pytest.mark.parametrize("levels, count", [(1, 8), (3, 48), (4, 100)])
def test_a_balanced_draw_is_even_shuffled_and_of_one_split(levels, count):
    drawn = balanced(dice(1, "test"), "dev", levels, count)
    cells = Counter((p.family, p.level) for p in drawn)
    assert len(drawn) == count and set(cells) == {(f, n + 1) for f in FAMILIES for n in range(levels)}
    assert max(cells.values()) - min(cells.values()) <= 1
    assert {split_of(p.question) for p in drawn} == {"dev"}
    assert [p.level for p in drawn] != sorted(p.level for p in drawn) or levels == 1


def test_neighbouring_seeds_and_rounds_draw_different_items():
    draws = [{p.question for p in balanced(dice(seed, "questions", round), "train", 4, 320) if p.level > 2} for seed, round in ((1, 1), (2, 1), (1, 2))]
    assert all(len(a & b) < 16 for i, a in enumerate(draws) for b in draws[:i])
    assert balanced(dice(1, "x"), "train", 3, 48) == balanced(dice(1, "x"), "train", 3, 48)


def test_the_test_set_is_large_distinct_balanced_and_of_its_split(rows):
    rows = [json.loads(row) for row in rows]
    cells = Counter((row["family"], row["level"]) for row in rows)
    assert len(rows) >= 2000 and len({identity(row["question"]) for row in rows}) == len(rows)
    assert {f for f, _ in cells} == set(FAMILIES) and len(cells) == len(FAMILIES) * max(level for _, level in cells)
    assert len(set(cells.values())) == 1
    assert all(split_of(row["question"]) == "test" and row["id"] == identity(row["question"]) for row in rows)


@pytest.mark.skipif(not FROZEN.exists(), reason="not made yet")
def test_the_frozen_file_is_what_the_code_makes(rows):
    assert FROZEN.read_text().splitlines() == rows


def test_a_written_test_set_is_read_back(rows, tmp_path):
    (tmp_path / "t").write_text("\n".join(rows) + "\n")
    problems = read_test_set(tmp_path / "t")
    assert [(p.question, p.answer) for p in problems] == [(row["question"], row["answer"]) for row in map(json.loads, rows)]
    assert all(isinstance(p, Problem) for p in problems)


def question_of(split):
    return next(q for q in (f"{n}+{n}" for n in range(10, 99)) if split_of(q) == split)


DAMAGE = {
    "a wrong answer": lambda row: {**row, "answer": row["answer"] + "0"},
    "wrong steps": lambda row: {**row, "steps": "1+1+0=02"},
    "another question": lambda row: {**row, "question": question_of("test")},
    "a train question": lambda row: {**row, **{k: getattr(solve(question_of("train")), k) for k in ("question", "steps", "answer")}},
    "no family": lambda row: {k: v for k, v in row.items() if k != "family"},
    "a family that isn't there": lambda row: {**row, "family": "div"},
    "a question of no family": lambda row: {**row, "question": "what?"},
    "a question that is no text": lambda row: {**row, "question": 7},
    "a row that is no object": lambda row: [1],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_row_is_the_users_error(damage, rows, tmp_path):
    (tmp_path / "t").write_text("\n".join([*rows[:3], json.dumps(DAMAGE[damage](json.loads(rows[3])))]))
    with pytest.raises(UserError, match="test set"):
        read_test_set(tmp_path / "t")


@pytest.mark.parametrize("family", ["mul", "logic", "chain", "sort", "story"])
def test_a_row_with_another_rows_family_is_the_users_error(family, rows, tmp_path):
    (tmp_path / "t").write_text(json.dumps({**json.loads(rows[0]), "family": family}))
    with pytest.raises(UserError):
        read_test_set(tmp_path / "t")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[]\n"])
def test_a_file_that_is_no_test_set_is_the_users_error(content, tmp_path):
    (tmp_path / "t").write_bytes(content)
    for path in (tmp_path / "t", tmp_path / "missing"):
        with pytest.raises(UserError, match="test set"):
            read_test_set(path)
