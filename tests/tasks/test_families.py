"""The tutor program against arithmetic that is done another way."""

import re
from itertools import pairwise
from random import Random

import pytest

from minisi.run.runtime import UserError
from minisi.tasks import arithmetic
from minisi.tasks.families import FAMILIES, family_of, vocabulary_words
from minisi.tasks.family import Family
from minisi.tasks.problems import check, identity, solve
from minisi.tasks.stories import GAINS, LOSSES, NAMES, THINGS

CELLS = [(family, level) for family in FAMILIES for level in range(1, 7)]

each_family = pytest.mark.parametrize("family", FAMILIES)
each_cell = pytest.mark.parametrize(("family", "level"), CELLS)


def problems(family, level, count=30):
    rng = Random(f"{family} {level}")
    return [solve(FAMILIES[family].ask(rng, level), family, level) for _ in range(count)]


# Answers, worked out another way.


def calculated(question):
    return str(eval(question))


def by_bits(question):
    return str(eval(question.replace("and", "&").replace("or", "|")))


def in_order(question):
    numbers = [int(number) for number in question.split()[1:]]
    return " ".join(str(number) for number in sorted(numbers))


def followed(question):
    arrows = dict(re.findall("([a-z])>([a-z])", question))
    *_, at, hops = question.split()
    for _ in range(int(hops)):
        at = arrows[at]
    return at


def lived(question):
    event = r", ([a-z]+) (\d+)(?: to [a-z]+| from [a-z]+)?"
    whole = re.fullmatch(rf"[a-z]+ has (\d+) [a-z]+(?:{event})+: how many\?", question)
    have = int(whole[1])
    for verb, number in re.findall(event, question):
        assert (verb in GAINS) != (verb in LOSSES)
        have += int(number) if verb in GAINS else -int(number)
        assert 0 <= have < 20
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


@each_cell
def test_answers_equal_an_independent_computation(family, level):
    for p in problems(family, level):
        assert p.answer == ANSWERS[family](p.question), p


# Steps: whether one is true, given its problem.


def is_an_equation(step, problem):
    left, right = step.split("=")
    return eval(left) == int(right)


def is_a_small_equation(step, problem):
    return is_an_equation(step, problem) and int(step.split("=")[1]) < 20


def borrows_ten(step, problem):
    left, right = step.split("=")
    borrow, digit = int(right[0]), int(right[1:])
    return eval(left) == digit - 10 * borrow


def is_worth_the_answer(step, problem):
    return by_bits(step) == problem.answer


def is_a_fact(step, problem):
    return step in problem.question.split()[0].split(",")


def is_sorted(step, problem):
    numbers = step.split()
    return numbers == sorted(numbers, key=int)


TRUE = {
    "add": is_an_equation,
    "sub": borrows_ten,
    "mul": is_an_equation,
    "expr": is_a_small_equation,
    "sort": is_sorted,
    "logic": is_worth_the_answer,
    "chain": is_a_fact,
    "story": is_a_small_equation,
}


@each_cell
def test_every_step_is_true(family, level):
    for p in problems(family, level):
        for step in p.steps.split(","):
            assert TRUE[family](step, p), (step, p)


@pytest.mark.parametrize("level", range(1, 7))
def test_each_step_of_logic_has_one_operation_less(level):
    for p in problems("logic", level):
        texts = [p.question, *p.steps.split(",")]
        operations = [len(re.findall("and|or", text)) for text in texts]
        assert operations == list(range(max(2, level), 0, -1))


@pytest.mark.parametrize(("family", "least"), [("expr", 2), ("story", 1)])
@pytest.mark.parametrize("level", range(1, 7))
def test_each_equation_takes_up_the_last_value_with_the_larger_operand_in_front(
    family, least, level
):
    for p in problems(family, level):
        steps = p.steps.split(",")
        equations = [re.fullmatch(r"(\d+)[+*-](\d+)=(\d+)", step).groups() for step in steps]
        assert len(equations) == max(least, level)
        assert equations[-1][2] == p.answer
        assert all(int(x) >= int(y) for x, y, _ in equations)
        for (_, _, value), (x, y, _) in pairwise(equations):
            assert value in (x, y)


# Questions: which family they belong to, and which are the same problem.


@each_cell
def test_a_question_is_recognised_as_its_own_familys_and_solved_right(family, level):
    for p in problems(family, level):
        matching = {name for name, f in FAMILIES.items() if re.fullmatch(f.pattern, p.question)}
        assert family in matching
        assert matching - {"expr"} == {family} - {"expr"}  # expr covers plain sums too
        assert family_of(p.question) == family
        assert check(p.answer, p.target) == "right"


@each_family
def test_levels_have_no_upper_end_and_grow(family):
    sizes = []
    for level in (1, 3, 6, 20):
        sizes.append(sum(len(p.target) for p in problems(family, level, 20)))
    assert sizes == sorted(set(sizes))


def shuffled(rng, items):
    return rng.sample(items, len(items))


def operands_swapped(question, rng):
    return "+".join(shuffled(rng, question.split("+")))


def list_shuffled(question, rng):
    return " ".join(["sort", *shuffled(rng, question.split()[1:])])


def facts_shuffled(question, rng):
    facts, query = question.split(" ", 1)
    return f"{','.join(shuffled(rng, facts.split(',')))} {query}"


def people_renamed(question, rng):
    known = NAMES + THINGS
    others = shuffled(rng, NAMES) + shuffled(rng, THINGS)
    new = dict(zip(known, others, strict=True))
    return re.sub("[a-z]+", lambda match: new.get(match[0], match[0]), question)


@pytest.mark.parametrize(
    ("family", "reworded"),
    [
        ("add", operands_swapped),
        ("sort", list_shuffled),
        ("chain", facts_shuffled),
        ("story", people_renamed),
    ],
)
def test_another_wording_is_the_same_problem(family, reworded):
    rng = Random(0)
    changed = 0
    for p in problems(family, 3):
        other = reworded(p.question, rng)
        changed += other != p.question
        assert identity(other) == identity(p.question)
    assert changed > 10


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("3*7", "7*3"),
        ("(1*2)+3", "3+2*1"),
        ("(9-2)-1", "9-2-1"),
        ("1 or 2 and 3", "(3 and 2) or 1"),
    ],
)
def test_swapped_operands_and_needless_brackets_leave_the_problem_the_same(a, b):
    assert identity(a) == identity(b)


def tree(rng, symbols, size, digits):
    """A random expression of `size` operations: (left, symbol, right), or a digit."""
    if size == 0:
        return str(rng.randrange(digits))
    before = rng.randrange(size)
    left = tree(rng, symbols, before, digits)
    symbol = rng.choice(symbols)
    right = tree(rng, symbols, size - 1 - before, digits)
    return left, symbol, right


def operand(node):
    return node if isinstance(node, str) else f"({written(node)})"


def written(node):
    """The tree as a question."""
    if isinstance(node, str):
        return node
    left, symbol, right = node
    return f"{operand(left)}{symbol}{operand(right)}"


def mirrored(rng, node):
    """The tree with the operands of some + * and/or swapped."""
    if isinstance(node, str):
        return node
    left = mirrored(rng, node[0])
    symbol = node[1]
    right = mirrored(rng, node[2])
    if symbol != "-" and rng.random() < 0.5:
        return right, symbol, left
    return left, symbol, right


def unordered(node):
    """One text for a tree and its mirror images."""
    if isinstance(node, str):
        return node
    left, symbol, right = node
    operands = [unordered(left), unordered(right)]
    if symbol != "-":
        operands.sort()
    return f"[{symbol.join(operands)}]"


each_kind_of_tree = pytest.mark.parametrize(
    ("family", "symbols"), [("expr", "+-*"), ("logic", (" and ", " or "))]
)


@each_kind_of_tree
def test_mirror_images_are_one_problem(family, symbols):
    rng = Random(family)
    changed = 0
    for _ in range(200):
        one = tree(rng, symbols, rng.randint(1, 7), 8)
        other = mirrored(rng, one)
        changed += other != one
        assert identity(written(other), family) == identity(written(one), family)
    assert changed > 100


@each_kind_of_tree
def test_only_mirror_images_are_one_problem(family, symbols):
    rng = Random(family)
    trees = [tree(rng, symbols, rng.randint(1, 3), 2) for _ in range(1000)]
    pairs = {(identity(written(node), family), unordered(node)) for node in trees}
    identities = {name for name, _ in pairs}
    images = {text for _, text in pairs}
    assert len(identities) == len(images) == len(pairs)

    questions = {written(node) for node in trees}
    assert len(pairs) < len(questions) < len(trees)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("31+2", "32+1"),
        ("8-5", "5+8"),
        ("12*3", "13*2"),
        ("sort 12 3", "sort 1 23"),
        ("a>b,b>c from a 1", "a>b,b>c from a 2"),
        ("(3-2)-1", "3-(2-1)"),
        ("(7-5)+1", "(5-7)+1"),
        ("(2 and 3) or 7", "(2 or 3) and 7"),
    ],
)
def test_different_problems_have_different_identities(a, b):
    assert identity(a) != identity(b)


@each_family
def test_problems_of_one_identity_have_one_answer(family):
    answers = {}
    for p in problems(family, 1, 400):
        assert answers.setdefault(identity(p.question), p.answer) == p.answer


def test_story_level_1_has_more_than_a_thousand_problems():
    assert len({identity(p.question) for p in problems("story", 1, 4000)}) > 1000


@pytest.mark.parametrize("level", [1, 4])
def test_a_story_has_nobody_give_to_themselves(level):
    for p in problems("story", level, 300):
        asked = p.question.split()[0]
        assert not re.search(rf"(to|from) {asked}\b", p.question), p.question


# What is written by hand.


def test_the_example_of_the_docstring_is_what_the_solver_writes():
    example = re.search(r"^ +(\d+\+\d+)(\|\S+)$", arithmetic.__doc__, re.MULTILINE)
    problem = solve(example[1])
    assert problem.prompt + problem.target == example[1] + example[2]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("007+5", "12"),
        ("5-005", "0"),
        ("0*7", "0"),
        ("0+0", "0"),
        ("2+3*4-1", "13"),
        ("10-3-2", "5"),
        ("5 or 3 and 6", "7"),
        ("7", "7"),
        ("tom has 12 cups: how many?", "12"),
        ("sort 7", "7"),
        ("sort 100 9 9", "9 9 100"),
    ],
)
def test_typed_questions_beyond_what_is_asked_are_solved(question, answer):
    p = solve(question)
    assert p.answer == answer
    assert check(answer, p.target) == "right"


UNSOLVABLE = [
    "",
    " ",
    "hello",
    "12",  # nothing to work out
    "1" * 5000 + "-1",  # too long to be read as a number
    # below zero
    "3-5",
    "(3-5)+4",
    # not a complete expression
    "3+",
    "(3+4",
    "3+4)",
    "()",
    "3--5",
    "1 and (2",
    "( or 2)",
    # no operator beside a bracket
    "2(3+4)",
    "(1+2)(3+4)",
    "(1 or 2)(3 or 4)",
    # no number from 0 to 7
    "1 and 8",
    "10 or 3",
    # nothing to sort
    "sort",
    # no way to go
    "a>b from c 1",
    "a>b from a 2",
    "a>b from a 0",
    "a>b,a>c from a 1",
    # nothing that can happen
    "tom has cups: how many?",
    "tom has 3 cups, loses 4: how many?",
    "tom has 3 cups, paints 2: how many?",
]


@pytest.mark.parametrize("question", UNSOLVABLE, ids=lambda question: question[:20])
def test_what_no_family_can_solve_is_the_users_error(question):
    with pytest.raises(UserError):
        solve(question)


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
    assert {"sort", "and", "or", "from", "how", *NAMES, *THINGS, *GAINS, *LOSSES} <= declared


@each_cell
def test_the_words_of_a_question_are_in_the_vocabulary(family, level):
    known = {*vocabulary_words()}
    for p in problems(family, level):
        assert {*re.findall("[a-z]{2,}", p.question)} <= known


def test_a_family_that_is_added_adds_its_words(monkeypatch):
    before = vocabulary_words()
    monkeypatch.setitem(FAMILIES, "coin", Coin())
    assert vocabulary_words() == sorted([*before, "coin", "toss"])
