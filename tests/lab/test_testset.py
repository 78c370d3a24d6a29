"""The frozen sets: what they are made of, and how they are read."""

import json
import re
from collections import Counter
from functools import cache
from itertools import chain, combinations_with_replacement, product
from random import Random

import pytest

from minisi.lab.testset import (
    PUBLISHED,
    REPEATED,
    SETS,
    TASKS,
    make_set,
    own_set,
    published,
    read_set,
)
from minisi.lab.testset import read_sets as read_all
from minisi.run.config import Config
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES, as_asked
from minisi.tasks.problems import Problem, draw, identity, solve, split_of

from ..programs import ROOT, program

TAUGHT = 4  # the highest level that a run is taught

each_set = pytest.mark.parametrize("name", SETS)


@cache
def lines(name):
    """What the code makes of a set."""
    return list(make_set(name))


def rows(name):
    return [json.loads(line) for line in lines(name)]


def cells(name):
    """How many rows each family and level has."""
    return Counter((row["family"], row["level"]) for row in rows(name))


def text_of(name):
    return "\n".join(lines(name)) + "\n"


# What is in them.


@each_set
def test_a_frozen_file_is_what_the_code_makes_to_the_byte(name):
    assert (ROOT / "data" / f"{name}.jsonl").read_bytes() == text_of(name).encode()


@pytest.mark.parametrize("given", ["--levels 3", "--count 10", "--seed 2"])
def test_a_frozen_set_has_no_settings(given):
    done = program("-m", "minisi", "testset", "typed", *given.split())
    assert done.returncode == 1
    assert done.stdout == ""
    assert "typed is frozen" in done.stderr


def test_the_documented_command_prints_a_set():
    done = program("-m", "minisi", "testset", "outside")
    assert done.stdout == text_of("outside"), done.stderr


@each_set
def test_a_row_is_of_the_test_split_and_says_what_the_solver_says(name):
    for row in rows(name):
        problem = Problem(row["family"], row["level"], row["question"])
        assert split_of(problem.question) == "test"
        assert row["id"] == identity(problem.question)
        assert (row["steps"], row["answer"]) == (problem.steps, problem.answer)
        assert solve(row["question"]).family == row["family"]


@pytest.mark.parametrize("name", sorted({*SETS} - {"typed"}))
def test_no_problem_comes_twice(name):
    assert len({row["id"] for row in rows(name)}) == len(rows(name))


def test_the_test_set_is_large_and_even_over_families_and_levels():
    assert len(rows("test")) >= 2000
    assert set(cells("test")) == set(product(FAMILIES, range(1, TAUGHT + 1)))
    assert len(set(cells("test").values())) == 1


def test_a_level_of_the_test_set_is_one_that_asks_such_a_question():
    for row in rows("test"):
        assert 0 < FAMILIES[row["family"]].level(row["question"]) <= row["level"]


def test_what_is_outside_is_of_a_level_that_a_run_is_never_taught():
    assert {family for family, _ in cells("outside")} == set(FAMILIES)
    for row in rows("outside"):
        assert TAUGHT < FAMILIES[row["family"]].level(row["question"]) <= row["level"] <= 8


def test_what_is_outside_is_not_drawn_at_the_levels_that_are_taught():
    names = {row["id"] for row in rows("outside")}
    rng = Random("inside")
    for family in FAMILIES:
        inside = [draw(rng, "test", family, TAUGHT) for _ in range(300)]
        assert not names & {identity(problem.question, family) for problem in inside}


SMALL = [*product(range(100), range(10)), *product(range(10), range(100))]
FEW = {  # all questions of a cell, by the families' descriptions
    "add": [f"{a}+{b}" for a, b in SMALL],
    "sub": [f"{a}-{b}" for a, b in SMALL],
    "mul": [f"{a}*{b}" for a, b in SMALL],
    "sort": [
        f"sort {' '.join(digits)}"
        for count in (1, 2, 3, 4)
        for digits in combinations_with_replacement("0123456789", count)
    ],
}


@pytest.mark.parametrize("family", FEW)
def test_at_most_half_of_the_test_problems_of_a_small_cell_are_in_the_test_set(family):
    names = {identity(question) for question in FEW[family] if split_of(question) == "test"}
    cell = {row["id"] for row in rows("test") if (row["family"], row["level"]) == (family, 1)}
    assert cell <= names
    assert len(cell) <= len(names) / 2


def test_what_was_typed_is_read_as_its_question_and_seldom_stands_as_it_is_asked():
    typed = rows("typed")
    assert len(typed) >= 200
    assert {family for family, _ in cells("typed")} == set(FAMILIES)
    for row in typed:
        assert as_asked(row["typed"]) == row["question"]
        assert row["level"] == FAMILIES[row["family"]].level(row["question"]) > 0
    texts = [row["typed"] for row in typed if row["typed"] != row["question"]]
    for habit in (r"\d \+ \d", r"=$", r"\?$", "[A-Z]"):
        assert any(re.search(habit, text) for text in texts), habit


# GPT-3's tasks (Brown et al. 2020, section 3.9.1).


def form(task):
    """A pattern of a task's questions: numbers of up to so many digits, without zeros in front."""
    if task == "1DC":
        return r"\d[+*-]\(\d[+*-]\d\)"
    number = rf"(0|[1-9]\d{{0,{int(task[0]) - 1}}})"
    return rf"{number}\{task[2].replace('x', '*')}{number}"


def test_the_tasks_are_the_papers_and_two_longer_ones():
    assert set(TASKS) - set(PUBLISHED) == {"6D+", "6D-"}
    counts = Counter(row["task"] for row in rows("gpt3"))
    assert set(counts) == set(TASKS)
    assert len(set(counts.values())) == 1


@pytest.mark.parametrize("task", TASKS)
def test_a_tasks_questions_have_the_form_that_the_paper_describes(task):
    asked = [row["question"] for row in rows("gpt3") if row["task"] == task]
    assert all(re.fullmatch(form(task), question) for question in asked)


def near(found, wanted, spread, n):
    """Whether a mean of n draws is where it should be, within 4.5 standard errors."""
    return abs(found - wanted) <= 4.5 * spread / n**0.5


@pytest.mark.parametrize("task", [task for task in TASKS if task != "1DC"])
def test_the_numbers_of_a_task_are_uniform_below_a_power_of_ten(task):
    rng = Random(task)
    n = 2000
    top = 10 ** int(task[0])
    pairs = [re.findall(r"\d+", published(rng, task).question) for _ in range(n)]
    for numbers in zip(*pairs, strict=True):
        values = [int(number) for number in numbers]
        assert near(sum(values) / n, (top - 1) / 2, top / 12**0.5, n)
        shorter = sum(value < top / 10 for value in values) / n
        assert near(shorter, 0.1, 0.3, n)
        assert top > 100 or set(values) == set(range(top))


def test_the_numbers_and_operations_of_the_composite_task_are_uniform():
    rng = Random("1DC")
    n = 3000
    drawn = [published(rng, "1DC").question for _ in range(n)]
    for place, kinds in {0: 10, 1: 3, 3: 10, 4: 3, 5: 10}.items():
        counts = Counter(question[place] for question in drawn)
        assert len(counts) == kinds
        p = 1 / kinds
        assert all(near(count / n, p, (p * (1 - p)) ** 0.5, n) for count in counts.values())


@pytest.mark.parametrize("task", REPEATED)
def test_a_task_of_digits_all_alike_has_each_digit_and_a_small_number(task):
    first, sign, _ = re.split(r"([+-])", task)
    seen = set()
    for row in rows("repeated"):
        if row["task"] == task:
            number, small = re.fullmatch(rf"(\d+)\{sign}(\d+)", row["question"]).groups()
            assert number == first.replace("7", number[0])
            assert 0 < int(small) < 100
            seen.add(number[0])
    assert seen == {*"123456789"}


# Reading them.


@each_set
def test_a_set_that_was_written_is_read_back(name, tmp_path):
    path = tmp_path / f"{name}.jsonl"
    path.write_text(text_of(name))
    found = read_set(path)
    assert list(found) == {"gpt3": [*TASKS], "repeated": [*REPEATED]}.get(name, [name])
    problems = [problem for group in found.values() for problem in group]
    assert [p.question for p in problems] == [row["question"] for row in rows(name)]
    assert [p.answer for p in problems] == [row["answer"] for row in rows(name)]
    assert [(p.family, p.level) for p in problems] == [
        (row["family"], row["level"]) for row in rows(name)
    ]


@pytest.fixture
def folder(tmp_path):
    """All sets, as the code makes them."""
    for name in SETS:
        (tmp_path / f"{name}.jsonl").write_text(text_of(name))
    return tmp_path


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ([], []),
        (["typed"], ["typed"]),
        (["gpt3", "outside"], [*TASKS, "outside"]),
    ],
    ids=str,
)
def test_a_run_reads_its_test_set_and_the_sets_beside_it_by_their_names(names, wanted, folder):
    paths = [f"{folder}/{name}.jsonl" for name in names]
    test, sets = read_all(Config(test=f"{folder}/test.jsonl", sets=",".join(paths)))
    assert [problem.question for problem in test] == [row["question"] for row in rows("test")]
    assert list(sets) == wanted


@pytest.mark.parametrize("families", ["add,sort", "story"])
def test_a_run_reads_of_its_families_alone(families, folder):
    known = families.split(",")
    names = ("typed", "gpt3")
    paths = ",".join(f"{folder}/{name}.jsonl" for name in names)
    test, sets = read_all(Config(test=f"{folder}/test.jsonl", sets=paths, base_families=families))
    found = [*test, *chain.from_iterable(sets.values())]
    made = [row for name in ("test", *names) for row in rows(name)]
    assert [problem.question for problem in found] == [
        row["question"] for row in made if row["family"] in known
    ]
    assert {problem.family for problem in test} == {*known}
    assert all(sets.values())  # a set of which nothing is left is not named
    assert set(sets) & {*TASKS} == {task for task in TASKS if task[1:] == "D+" and "add" in known}


def test_a_set_of_ones_own_is_even_repeats_with_its_seed_and_is_read(tmp_path, monkeypatch):
    lines = list(own_set(2, 40, 7))
    assert lines == list(own_set(2, 40, 7))
    assert lines != list(own_set(2, 40, 8))
    found = list(map(json.loads, lines))
    cells = Counter((row["family"], row["level"]) for row in found)
    assert set(cells.values()) == {40 // (2 * len(FAMILIES))}
    assert len(cells) == 2 * len(FAMILIES)
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(lines))
    (problems,) = read_set(path).values()
    assert [problem.question for problem in problems] == [row["question"] for row in found]


@pytest.mark.parametrize("path", ["mine.jsonl", "data/mine.jsonl"])
def test_who_has_a_set_of_their_own_is_not_told_to_restore_it(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="of your own"):
        read_set(path)


def test_a_committed_set_that_is_damaged_is_restored(monkeypatch):
    monkeypatch.setattr(json, "loads", lambda line: {})
    with pytest.raises(UserError, match=r"git checkout data/test\.jsonl"):
        read_set("data/test.jsonl")
