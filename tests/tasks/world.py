"""What is asked, and its answers, worked out in ways that share no code with the solver."""

import ast
import operator
import re
from functools import cache
from random import Random

import pytest

from minisi.tasks.families import FAMILIES
from minisi.tasks.stories import GAINS, LOSSES

each_family = pytest.mark.parametrize("family", FAMILIES)
each_level = pytest.mark.parametrize("level", range(1, 9))


@cache
def asked(family, level, count):
    """So many new questions of a cell."""
    rng = Random(f"{family} {level}")
    return [FAMILIES[family].ask(rng, level) for _ in range(count)]


SYMBOLS = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.BitAnd: (" and ", operator.and_),
    ast.BitXor: (" xor ", operator.xor),
    ast.BitOr: (" or ", operator.or_),
}


def parsed(text):
    """Python's own tree of an expression: & comes before ^, and that before |."""
    if re.search("[a-z]", text):
        text = re.sub(r"\d+", r"0o\g<0>", text)
        text = text.replace("xor", "^").replace("and", "&").replace("or", "|")
    else:
        text = re.sub(r"\b0+(?=\d)", "", text)
    return ast.parse(text, mode="eval").body


def walk(node, numbers, operations):
    """The value of a tree; its numbers and its operations are added to the lists."""
    if not isinstance(node, ast.BinOp):
        numbers.append(ast.literal_eval(node))
        return numbers[-1]
    symbol, work = SYMBOLS[type(node.op)]
    a = walk(node.left, numbers, operations)
    b = walk(node.right, numbers, operations)
    operations.append((symbol, a, b))
    return work(a, b)


def operations_in(question):
    """(symbol, a, b) of each operation, with the values of its operands."""
    operations = []
    walk(parsed(question), [], operations)
    return operations


def is_chain(question):
    """Whether no operation is on the results of two others."""
    nodes = [node for node in ast.walk(parsed(question)) if isinstance(node, ast.BinOp)]
    pairs = [(type(node.left), type(node.right)) for node in nodes]
    return (ast.BinOp, ast.BinOp) not in pairs


def calculated(question):
    return str(walk(parsed(question), [], []))


def by_bits(question):
    width = len(re.search(r"\d+", question)[0])
    return f"{walk(parsed(question), [], []):0{width}o}"


def in_order(question):
    return " ".join(sorted(question.split()[1:]))


def followed(question):
    arrows = dict(re.findall("([a-z])>([a-z])", question))
    *_, at, hops = question.split()
    for _ in range(int(hops)):
        at = arrows[at]
    return at


def lived(question):
    event = r", ([a-z]+) (\d+)(?: to [a-z]+| from [a-z]+)?"
    whole = re.fullmatch(rf"[a-z]+ has (\d+) [a-z]+(?:{event})*: how many\?", question)
    have = int(whole[1])
    for verb, number in re.findall(event, question):
        assert (verb in GAINS) != (verb in LOSSES)
        have += int(number) if verb in GAINS else -int(number)
        assert have >= 0
    return str(have)


ANSWERS = {
    "add": calculated,
    "sub": calculated,
    "mul": calculated,
    "expr": calculated,
    "sort": in_order,
    "logic": by_bits,
    "chain": followed,
    "story": lived,
}
