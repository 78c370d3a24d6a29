"""Questions taken apart, with wrong answers to the parts."""

import re
from itertools import count
from random import Random
from string import ascii_lowercase

import pytest

from minisi.run.runtime import UserError
from minisi.tasks.problems import parse, solve

from .test_parts import LONG_CHAIN, perfect, through
from .world import asked, each_family

GARBAGE = [
    ("", ""),
    ("", "7"),
    ("7", ""),
    (",", ","),
    (",,,,", "19"),
    ("=", "="),
    (" ", " "),
    ("7+6+0=13", "13"),
    ("7+6+0", "1 2 3"),
    ("03<", "-2"),
    ("1=1,2=2", "0"),
    ("a>b", "b"),
    ("a", "a"),
    ("5 5 5", "sort"),
    ("5", "5"),
    ("7 and 7", "9"),
    ("-3=-9", "-3"),
    ("2+2=4", "--4"),
    ("(((", ")))"),
    ("1-9-0=9x,2-2-0=??", "x"),
    ("|", "|"),
    ("é\n", "\0"),
]


def hard(family):
    """Questions that are taken apart, and have no answer by chance."""
    questions = asked(family, 5, 60)
    return [question for question in questions if solve(question).level == 5][:12]


def babble(rng, codec):
    """What a model could say: tokens in any order, where there are steps and an answer in them."""
    tokens = [*codec.vocabulary[1:], "|", ",", ",", "="]
    while True:
        said = parse("".join(rng.choices(tokens, k=rng.randint(1, 30))))
        if said is not None:
            yield said


@each_family
def test_garbage_makes_no_right_text(family):
    for seed, question in enumerate(hard(family)):
        for reply in GARBAGE:
            text, _ = through(question, lambda _, reply=reply: reply, seed)
            assert text != solve(question).target


@each_family
def test_babble_makes_no_right_text_and_leads_to_questions_in_the_models_alphabet(family, codec):
    replies = babble(Random(family), codec)
    for seed, question in enumerate(hard(family) * 10):
        text, parts = through(question, lambda _: next(replies), seed)
        assert text != solve(question).target
        assert codec.decode(codec.encode(parts)) == parts


def following(match):
    """The next digit or letter."""
    alike = ascii_lowercase if match[0].isalpha() else "0123456789"
    return alike[(alike.index(match[0]) + 1) % len(alike)]


def slip(turn):
    """Right as far as can be, but for one turn, in which all digits and letters are others."""
    turns = count()

    def answer(part):
        wrong = next(turns) == turn
        try:
            steps, answer = perfect(part)
        except UserError:  # a part that the wrong reply led to
            return "?", "?"
        if not wrong:
            return steps, answer
        return tuple(re.sub(r"\d|\b[a-z]\b", following, text) for text in (steps, answer))

    return answer


@each_family
def test_one_wrong_reply_spoils_the_text(family):
    for seed, question in enumerate(hard(family)):
        text, parts = through(question, seed=seed)
        assert text == solve(question).target
        assert len(parts) > 1
        for turn in range(len(parts)):
            spoilt, _ = through(question, slip(turn), seed)
            assert spoilt != text


@pytest.mark.parametrize(
    ("turn", "invented"),
    [
        (0, ("a>f,f>b", "b")),
        (0, ("a>c,c>z", "b")),
        (1, ("b>e,e>z", "z")),
        (1, ("b>g", "g")),
    ],
)
def test_a_chain_with_an_invented_fact_leads_nowhere(turn, invented):
    for seed in range(6):
        replies = iter([("a>c,c>f", "f")] * turn + [invented, ("b>e", "e")])
        text, _ = through(LONG_CHAIN, lambda _, replies=replies: next(replies), seed)
        assert text == ""
