"""Families: their levels, what they refuse, and their words."""

import re
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from minisi.run.runtime import UserError
from minisi.tasks.bits import BITS
from minisi.tasks.families import FAMILIES, chosen, vocabulary_words
from minisi.tasks.family import Family
from minisi.tasks.problems import solve
from minisi.tasks.stories import GAINS, LOSSES, NAMES, THINGS

from .steps import on_bits, on_numbers
from .world import ANSWERS, asked, each_family, each_level, is_chain, operations_in

# Levels, from the sizes of questions.


def digits_in(question):
    """Of the shorter and the longer number."""
    return sorted(map(len, re.findall(r"\d+", question)))


def by_digits(question):
    shorter, longer = digits_in(question)
    return 1 if shorter == 1 and longer <= 2 else longer


SHAPES = [(1, 2), (2, 2), (2, 3), (2, 4), (2, 5), (3, 5), (3, 6), (3, 7)]  # of products


def by_shape(question):
    shorter, longer = digits_in(question)
    return 1 + next(i for i, (a, b) in enumerate(SHAPES) if shorter <= a and longer <= b)


def by_operations(question):
    """An operation more at each even level, and two-digit numbers at the odd one behind it."""
    count = len(operations_in(question))
    return max(1, 2 * (count - 2) + (count > 2 and max(digits_in(question)) > 1))


LEVEL = {
    "add": by_digits,
    "sub": by_digits,
    "mul": by_shape,
    "expr": by_operations,
    "sort": lambda question: max(1, question.count(" ") - 3),
    "logic": lambda question: len(operations_in(question)),
    "chain": lambda question: max(1, int(question.split()[-1]) - 1),
    "story": lambda question: question.count(","),
}


@each_family
@each_level
def test_a_level_is_up_to_so_much_and_often_just_that(family, level):
    levels = Counter()
    for question in asked(family, level, 150):
        size = LEVEL[family](question)
        assert FAMILIES[family].level(question) == size, question
        levels[size] += 1
    assert max(levels) == level
    assert levels[level] >= 0.4 * levels.total()


@each_family
def test_levels_have_no_upper_end(family):
    question = max((FAMILIES[family].ask(Random(i), 20) for i in range(20)), key=len)
    assert FAMILIES[family].level(question) > 8
    assert FAMILIES[family].solve(question)


@pytest.mark.parametrize(
    ("question", "level"),
    [
        ("1+1", 1),
        ("12+34", 2),
        ("007+5", 0),
        ("5-05", 0),
        ("00*7", 0),
        ("9-100", 3),
        ("78*42", 2),
        ("6*347", 3),
        ("1+2+3", 1),
        ("(9+8)*2", 1),
        ("10+20+30", 1),
        ("30*30+1", 0),
        ("(100+1)-99", 0),
        ("500*3+1", 0),
        ("1+2+3+4", 2),
        ("1+2+3+10", 3),
        ("1+1+98+1+1", 0),
        ("5 and 3", 1),
        ("5 and 3 or 1 xor 7", 0),
        ("1234 and 5670", 0),
        ("ann has 99 pens, eats 1: how many?", 1),
        ("ann has 99 pens, buys 1: how many?", 0),
        ("paul has 9 pens, buys 1: how many?", 0),
        ("ann has 9 dogs, buys 1: how many?", 0),
    ],
)
def test_a_typed_question_is_of_the_lowest_level_that_asks_such(question, level):
    assert solve(question).level == level


def test_small_numbers_with_a_large_result_are_of_a_level_if_some_level_asks_them():
    large = [
        question
        for level in (1, 2, 3, 4)
        for question in asked("expr", level, 2500)
        if max(abs(a) for _, *pair in operations_in(f"({question})+0") for a in pair) > 99
    ]
    assert (solve("9*9*9").level > 0) == bool(large)


# An expression is a chain: each operation is on the last result and one more number.


@pytest.mark.parametrize("family", ["expr", "logic"])
@each_level
def test_each_operation_is_on_the_result_of_the_one_before(family, level):
    for question in asked(family, level, 150):
        assert is_chain(question), question
        steps = FAMILIES[family].solve(question)[0]
        done = {"expr": on_numbers, "logic": on_bits}[family](steps)
        for (*_, value), (_, a, b, _) in pairwise(done):
            assert value in (a, b), question


NO_CHAINS = [
    *("(1+2)*(4+4)", "2*3+4*5", "1+2+3*5", "(9-1)-(2-6)+1", "((1+2)*(4+4))-9"),
    *("(1 or 2) and (4 or 5)", "4 and 5 xor 2 and 2"),
]


@pytest.mark.parametrize("question", NO_CHAINS)
def test_what_is_no_chain_is_solved_but_of_no_level(question):
    problem = solve(question)
    assert not is_chain(question)
    assert problem.level == 0
    assert problem.answer == ANSWERS[problem.family](question)


@pytest.mark.parametrize(("family", "symbols"), [("expr", "+-*"), ("logic", list(BITS))])
def test_two_results_make_no_chain_whatever_their_numbers(family, symbols):
    rng = Random(family)
    for _ in range(300):
        a, b, c, d = rng.choices("1234567", k=4)
        one, two, three = rng.choices(symbols, k=3)
        question = f"({a}{one}{b}){two}({c}{three}{d})"
        assert FAMILIES[family].level(question) == 0, question


# What is refused.

REFUSED = {
    "no family can solve": [
        *("", " ", "hello", "8", "12", "-5", "+5", "-", "-(", "()", "(2)3", "3 4"),
        "1" * 5000 + "-1",
        *("1 and 8", "5 and", "sort", "sort 12 3"),
        *("a>b from a 0", "tom has cups: how many?"),
    ],
    "is not a complete expression: check": [
        *("5+", "()+3", "3+*4", " and ", "( or 2)"),
    ],
    r"^'.*3.*' has a bracket too many or too few": ["3+4)", "(3+4", "3-(", "(5 and 3"],
    "lacks an operator or a number beside a bracket": [
        "--200+950",
        *("-(3+4)", "5+-(3+4)", "2(3+4)", "(2)3+1", "(3+4)5", "(1+2)(3+4)"),
        *("(1 or 2)(3 or 4)", "5(3 or 2)"),
    ],
    "must have as many digits: put zeros": ["12 and 5", "(1 or 2) xor 10"],
    "no fact leads on from": ["a>b from c 1", "a>b from a 2", "a>b,c>d from a 2"],
    "two facts start from the same letter": ["a>b,a>c from a 1", "a>b,b>a,b>c from a 1"],
    "are too few to take": [
        *("tom has 3 cups, loses 4: how many?", "tom has 0 cups, buys 1, eats 2: how many?"),
    ],
    "is no verb of a story": ["tom has 3 cups, paints 2: how many?"],
}


@pytest.mark.parametrize(
    ("question", "message"),
    [(question, message) for message, refused in REFUSED.items() for question in refused],
    ids=lambda text: text[:20],
)
def test_what_no_family_can_solve_is_refused_in_one_sentence(question, message):
    with pytest.raises(UserError, match=message) as refused:
        solve(question)
    assert "\n" not in str(refused.value)
    assert not str(refused.value).endswith(".")


# Those that are chosen.


def test_families_are_chosen_by_their_names_and_without_a_name_all_are():
    assert chosen("") == list(FAMILIES)
    assert chosen("story") == ["story"]
    assert chosen("sort,add") == ["sort", "add"]


@pytest.mark.parametrize(
    "names", ["div", "add,div", "Add", "add sort", "add, sort", ",add", "add,"]
)
def test_an_unknown_family_is_refused_in_one_sentence_with_those_that_are_known(names):
    unknown = next(name for name in names.split(",") if name not in FAMILIES)
    with pytest.raises(UserError) as refused:
        chosen(names)
    assert str(refused.value) == f"no family is called {unknown!r}: take of {', '.join(FAMILIES)}"


# The words for the tokenizer.


class Coin(Family):
    """A family that brings two words of its own, and one that another family has."""

    pattern = "toss how"
    words = "toss how coin"


def test_the_vocabulary_is_the_sorted_union_of_the_words_that_families_declare():
    declared = set()
    for family in FAMILIES.values():
        declared.update(family.words.split())
    assert vocabulary_words() == sorted(declared)
    assert {"sort", "xor", "from", "has", *NAMES, *THINGS, *GAINS, *LOSSES} <= declared


@each_family
@each_level
def test_the_words_of_a_question_are_in_the_vocabulary(family, level):
    for question in asked(family, level, 150):
        assert {*re.findall("[a-z]{2,}", question)} <= {*vocabulary_words()}


def test_a_family_that_is_added_adds_its_words(monkeypatch):
    before = vocabulary_words()
    monkeypatch.setitem(FAMILIES, "coin", Coin())
    assert vocabulary_words() == sorted([*before, "coin", "toss"])
