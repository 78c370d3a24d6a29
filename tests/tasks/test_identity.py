"""What makes two questions one problem, against a second implementation that shares no code."""

import ast
import re
from collections import Counter
from random import Random

import pytest

from minisi.tasks.families import FAMILIES
from minisi.tasks.problems import identity, split_of
from minisi.tasks.stories import NAMES, THINGS

from .world import SYMBOLS, asked, each_family, parsed


def tree(text):
    """An expression as nested sets: the order of operands is lost where it doesn't matter."""

    def walk(node):
        if not isinstance(node, ast.BinOp):
            return ast.literal_eval(node)
        operands = walk(node.left), walk(node.right)
        if isinstance(node.op, ast.Sub):
            return ("-", *operands)
        return (SYMBOLS[type(node.op)][0], frozenset(Counter(operands).items()))

    return walk(parsed(text))


def bits(text):
    return len(re.search(r"\d+", text)[0]), tree(text)


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


# Other wordings.


def operands_swapped(question, rng):
    symbol = re.search("[+*]", question)[0]
    return symbol.join(reversed(question.split(symbol)))


def written(node, rng):
    """The expression with all brackets there can be, and some operands swapped."""
    if not isinstance(node, ast.BinOp):
        return ast.unparse(node)
    symbol = SYMBOLS[type(node.op)][0]
    operands = [f"({written(side, rng)})" for side in (node.left, node.right)]
    if symbol != "-" and rng.random() < 0.5:
        operands.reverse()
    return symbol.join(operands)


def mirrored(question, rng):
    return written(parsed(question), rng)


def mirrored_in_octal(question, rng):
    width = len(re.search(r"\d+", question)[0])
    text = written(parsed(question), rng)
    return re.sub(r"\d+", lambda decimal: f"{int(decimal[0]):0{width}o}", text)


def list_shuffled(question, rng):
    sort, *digits = question.split()
    return " ".join([sort, *rng.sample(digits, len(digits))])


def facts_shuffled(question, rng):
    known, query = question.split(" ", 1)
    known = known.split(",")
    return f"{','.join(rng.sample(known, len(known)))} {query}"


def people_renamed(question, rng):
    words = NAMES + THINGS
    others = rng.sample(NAMES, len(NAMES)) + rng.sample(THINGS, len(THINGS))
    new = dict(zip(words, others, strict=True))
    return re.sub("[a-z]+", lambda match: new.get(match[0], match[0]), question)


REWORDED = {
    "add": operands_swapped,
    "mul": operands_swapped,
    "expr": mirrored,
    "logic": mirrored_in_octal,
    "sort": list_shuffled,
    "chain": facts_shuffled,
    "story": people_renamed,
}


@each_family
def test_two_implementations_agree_on_which_questions_are_one_problem(family):
    rng = Random(f"identity {family}")
    drawn = [question for level in (1, 2, 3) for question in asked(family, level, 150)]
    made = [shuffled(rng, question) for question in drawn]
    made += [REWORDED[family](question, rng) for question in drawn if family != "sub"]
    questions = drawn + [q for q in made if re.fullmatch(FAMILIES[family].pattern, q)]
    pairs = {(identity(q, family), SECOND[family](q)) for q in questions}
    first = {name for name, _ in pairs}
    second = {form for _, form in pairs}
    assert len(first) == len(second) == len(pairs)
    assert len(first) < len({*questions}) or family == "sub"  # which has one wording each


@pytest.mark.parametrize("family", REWORDED)
@pytest.mark.parametrize("level", [1, 3, 6])
def test_another_wording_is_the_same_problem_with_the_same_answer(family, level):
    rng = Random(f"wording {family}")
    changed = 0
    for question in asked(family, level, 60):
        other = REWORDED[family](question, rng)
        changed += other != question
        assert identity(other, family) == identity(question, family)
        assert split_of(other, family) == split_of(question, family)
        assert FAMILIES[family].solve(other)[1] == FAMILIES[family].solve(question)[1]
    assert changed > 30


@each_family
def test_problems_of_one_identity_have_one_answer(family):
    answers = {}
    for question in asked(family, 1, 2500):
        answer = FAMILIES[family].solve(question)[1]
        assert answers.setdefault(identity(question, family), answer) == answer
    assert len(answers) > 700


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("3*7", "7*3"),
        ("(1*2)+3", "3+2*1"),
        ("(9-2)-1", "9-2-1"),
        ("(3+4)", "(4+3)"),
        ("(68+5)", "5+68"),  # which are of two families
        ("(58-74)", "58-74"),
        ("((7*12))", "12*7"),
        ("-5+3", "3+-5"),
        ("1 or 2 and 3", "(3 and 2) or 1"),
        ("1 xor 2 or 3", "3 or (2 xor 1)"),
        ("a>b,b>c from a 2", "b>c,a>b from a 2"),
    ],
)
def test_swapped_operands_and_needless_brackets_leave_the_problem_the_same(a, b):
    assert identity(a) == identity(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("31+2", "32+1"),
        ("8-5", "5+8"),
        ("8-5", "5-8"),
        ("12*3", "13*2"),
        ("sort 1 2 2", "sort 1 1 2"),
        ("a>b,b>c from a 1", "a>b,b>c from a 2"),
        ("(3-2)-1", "3-(2-1)"),
        ("(7-5)+1", "(5-7)+1"),
        ("-5+3", "5+-3"),
        ("3--5", "3-5"),
        ("1+2+3", "2+3+1"),
        ("(2 and 3) or 7", "(2 or 3) and 7"),
        ("2 xor 3", "2 or 3"),
        ("2 and 3", "02 and 03"),
        ("tom has 3 cups, buys 2: how many?", "tom has 2 cups, buys 3: how many?"),
        (
            "tom has 3 cups, gives 2 to ann, gets 1 from ann: how many?",
            "tom has 3 cups, gives 2 to ann, gets 1 from eva: how many?",
        ),
    ],
)
def test_different_problems_have_different_identities(a, b):
    assert identity(a) != identity(b)
