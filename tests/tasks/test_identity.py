"""What makes two questions one problem, against a second implementation that shares no code."""

import ast
import re
from collections import Counter
from random import Random

import pytest

from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import identity
from minisi.tasks.stories import NAMES, THINGS

SWAPPED = {ast.Add: "+", ast.Mult: "*", ast.BitAnd: "&", ast.BitOr: "|"}


def tree(text):
    """An expression as nested sets: the order of operands is lost where it doesn't matter."""

    def walk(node):
        if isinstance(node, ast.Constant):
            return node.value
        left = walk(node.left)
        right = walk(node.right)
        if isinstance(node.op, ast.Sub):
            return ("-", left, right)
        return (SWAPPED[type(node.op)], frozenset(Counter([left, right]).items()))

    return walk(ast.parse(text, mode="eval").body)


def bits(text):
    """`and` and `or` are & and |, which Python orders alike."""
    return tree(text.replace("and", "&").replace("or", "|"))


def numbers(text):
    return tuple(sorted(re.findall(r"\d+", text)))


def facts(text):
    known, query = text.split(" from ")
    return frozenset(known.split(",")), query


def renamed(text):
    """A story in which people and things are numbers, in the order in which they come up."""
    words = re.findall(r"\w+|\W", text)
    seen = list(dict.fromkeys(word for word in words if word in (*NAMES, *THINGS)))
    return tuple(seen.index(word) if word in seen else word for word in words)


SECOND = {
    "add": numbers,
    "sub": str,
    "mul": numbers,
    "expr": tree,
    "sort": numbers,
    "logic": bits,
    "chain": facts,
    "story": renamed,
}


def shuffled(rng, text):
    """Another question that may be the same problem: digits, facts or words change places."""
    pieces = re.split(r"([ ,+*()-]|>)", text)
    places = [i for i, piece in enumerate(pieces) if re.fullmatch(r"\d+|[a-z]+", piece)]
    same_kind = [i for i in places if pieces[i].isdigit() == pieces[places[0]].isdigit()]
    i, j = rng.choice(same_kind), rng.choice(same_kind)
    pieces[i], pieces[j] = pieces[j], pieces[i]
    return "".join(pieces)


def questions(family):
    """Small questions, which often meet each other, and others made of them."""
    rng = Random(f"identity {family}")
    drawn = [FAMILIES[family].ask(rng, level) for level in (1, 1, 2, 3) for _ in range(150)]
    made = [shuffled(rng, question) for question in drawn]
    pattern = FAMILIES[family].pattern
    return drawn + [question for question in made if re.fullmatch(pattern, question)]


@pytest.mark.parametrize("family", FAMILIES)
def test_two_implementations_agree_on_which_questions_are_one_problem(family):
    pairs = {(identity(q, family), SECOND[family](q)) for q in questions(family)}
    first = {name for name, _ in pairs}
    second = {form for _, form in pairs}
    assert len(first) == len(second) == len(pairs)
    if family not in ("sub", "mul"):  # whose questions have one wording each
        assert len(first) < len(set(questions(family)))
