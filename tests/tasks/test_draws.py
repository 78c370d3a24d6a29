"""What families ask: questions of their own, no answer too often, and small cases often enough."""

import re
from collections import Counter
from random import Random

import pytest

from minisi.tasks.families import FAMILIES, family_of, matching
from minisi.tasks.family import up_to

from .world import asked, each_family, each_level, operations_in

MANY = 2500  # draws, where shares are counted
NOISE = 0.007  # of a share of 5 % in so many draws


@each_family
@each_level
def test_a_question_is_its_own_familys(family, level):
    for question in asked(family, level, 150):
        assert matching(question) == family_of(question) == family
        assert re.fullmatch(FAMILIES[family].pattern, question)


@each_family
def test_no_number_begins_with_a_zero(family):
    for level in range(1, 9):
        for question in asked(family, level, 150):
            assert family == "logic" or not re.search(r"\b0\d", question), question


@each_family
@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_no_answer_is_right_more_than_one_time_in_twenty(family, level):
    questions = asked(family, level, MANY)
    answers = Counter(FAMILIES[family].solve(question)[1] for question in questions)
    assert max(answers.values()) <= (0.05 + NOISE) * MANY


@pytest.mark.parametrize("level", [1, 4])
def test_a_story_has_nobody_give_to_themselves(level):
    for question in asked("story", level, MANY):
        name = question.split()[0]
        assert not re.search(rf"(to|from) {name}\b", question), question


@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_size_is_the_most_in_two_of_three_draws_and_any_in_the_third(most):
    rng = Random(most)
    counts = Counter(up_to(rng, most) for _ in range(MANY))
    for size in range(1, most + 1):
        share = (1 / most + 2 * (size == most)) / 3
        assert abs(counts.pop(size) / MANY - share) < 0.04
    assert not counts


# Small cases, and others that a person thinks of first.


def numbers(question):
    return re.findall(r"\d+", question)


def longer_first(question):
    a, b = numbers(question)
    return len(a) > len(b)


def longer_last(question):
    a, b = numbers(question)
    return len(a) < len(b)


def zero(question):
    return "0" in numbers(question)


def one_digit(question):
    return min(map(len, numbers(question))) == 1


def digits_only(question):
    return max(map(len, numbers(question))) == 1


def equal(question):
    return len(set(numbers(question))) == 1


def same_start(question):
    a, b = numbers(question)
    return len(a) == len(b) and a[0] == b[0]


def below_zero(question):
    """The answer."""
    return FAMILIES[family_of(question)].solve(question)[1].startswith("-")


def negative(question):
    """A number of the question."""
    return re.search(r"(?<![\d)])-", question)


def one_operation(question):
    return len(operations_in(question)) == 1


def no_brackets(question):
    return "(" not in question


def in_columns(question):
    return ":" in FAMILIES["expr"].solve(question)[0]


def one_item(question):
    return question.count(" ") == 1


def two_items(question):
    return question.count(" ") == 2


def twice(question):
    return len({*question.split()}) <= question.count(" ")


def one_hop(question):
    return question.endswith(" 1")


def one_event(question):
    return question.count(",") == 1


def nothing_at_first(question):
    return " has 0 " in question


def nothing_left(question):
    return FAMILIES["story"].solve(question)[1] == "0"


SHARES = {
    ("add", "sub", "mul"): {
        longer_first: 0.08,
        longer_last: 0.08,
        one_digit: 0.12,
        digits_only: 0.005,
        zero: 0.025,
    },
    ("sub",): {below_zero: 0.4, equal: 0.01, same_start: 0.015},
    ("expr",): {
        one_operation: 0.05,
        no_brackets: 0.008,
        negative: 0.08,
        below_zero: 0.2,
        zero: 0.03,
        digits_only: 0.3,
        in_columns: 0.3,
    },
    ("logic",): {one_operation: 0.06, no_brackets: 0.08, digits_only: 0.1},
    ("sort",): {one_item: 0.035, two_items: 0.035, twice: 0.3},
    ("chain",): {one_hop: 0.045},
    ("story",): {
        one_event: 0.06,
        digits_only: 0.1,
        nothing_at_first: 0.01,
        nothing_left: 0.005,
    },
}
SMALL = [
    (family, case, least)
    for families, cases in SHARES.items()
    for family in families
    for case, least in cases.items()
]


@pytest.mark.parametrize(("family", "case", "least"), SMALL)
def test_small_cases_are_asked_often_at_each_level(family, case, least):
    for level in (1, 2, 3, 4):
        questions = asked(family, level, MANY)[:1000]
        assert sum(map(bool, map(case, questions))) >= least * 1000, level


@pytest.mark.parametrize("level", [1, 4])
def test_bits_come_in_all_widths_and_operations(level):
    questions = asked("logic", level, MANY)
    widths = Counter(len(numbers(question)[0]) for question in questions)
    assert set(widths) == {1, 2, 3}
    assert min(widths.values()) > 0.1 * MANY
    for word in ("and", "xor", "or"):
        assert sum(word in question.split() for question in questions) > 0.2 * MANY
