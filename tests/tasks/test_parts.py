"""Questions taken apart, with answers to the parts that are right."""

import re
from functools import cache, partial
from itertools import count
from random import Random

import pytest

from minisi.method.teacher import together
from minisi.run.runtime import UserError
from minisi.tasks import arithmetic
from minisi.tasks.families import FAMILIES, family_of
from minisi.tasks.family import Family
from minisi.tasks.problems import solve

from .world import asked, each_family


@cache
def perfect(question):
    problem = solve(question)
    return problem.steps, problem.answer


def through(question, answer=perfect, seed=0):
    """The text of one way through a question, and the parts; no text where it leads nowhere."""
    way = FAMILIES[family_of(question)].parts(question, Random(seed))
    parts = []
    reply = None
    try:
        while True:
            parts.append(way.send(reply))
            reply = answer(parts[-1])
    except StopIteration as end:
        return end.value, parts
    except (ValueError, LookupError, UserError):
        return "", parts


@each_family
@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_right_answers_to_the_parts_make_the_solvers_text(family, level):
    for seed, question in enumerate(asked(family, level, 80)):
        text, _ = through(question, seed=seed)
        assert text == solve(question).target, question


TYPED = """
1+1
7+12
999999+1
347+0
0+0
1000-1
1-1000
347-347
347-345
3-5
10-9
7*8
6*347
347*6
0*12
999*999
1+2+3
5--3
-26+(9-8)
(3+4*2)-5
((1+2)*(3+4))-5
500*3+1
((3-3)+2)*5
(5)+3
((3+4))*2
2*((3+4))-5
sort 5
sort 5 2
sort 3 3 3 3
sort 9 8 7 6 5 4 3 2 1 0
1 or 2
(1 or 2) and (1 or 2)
123 xor 456 and 777 or (012)
a>b,b>c,c>a from a 3
z>a,a>b,b>c,q>r,r>s from a 2
ann has 3 pens: how many?
zed has 30 hats, buys 45, gives 6 to amy: how many?
""".strip().splitlines()


@pytest.mark.parametrize("question", TYPED)
def test_questions_that_a_person_may_type_have_parts_too(question):
    assert {through(question, seed=seed)[0] for seed in range(12)} == {solve(question).target}


@pytest.mark.parametrize(
    "question",
    [
        *("sort 5", "sort 5 2", "a>b from a 1", "ann has 3 pens: how many?"),
    ],
)
def test_what_is_too_small_is_asked_as_it_stands(question):
    assert through(question) == (solve(question).target, [question])


MISTAKES = [  # a question, one of its parts, and a wrong reply to that
    ("(34+9)", "34+9", ("x", "33")),
    ("(34+9)", "(34+9)", ("34+9:x", "33")),
    ("(34+9)-5", "34+9", ("x", "33")),
    ("(34+9)-5", "(34+9)", ("34+6:4+6+0=10,3+0+1=04", "43")),
    ("(34+9)-5", "(43-5)", ("43-5:x", "39")),
    ("(3+4)-5", "(3+4)", ("3+4=7,7+0=7", "7")),
    ("(-4+9)-5", "(-4+9)", ("-4+9:9-4=6", "6")),
    ("(-4+9)-5", "(0-4)+9", ("x", "6")),
    ("52 and 37", "37 and 52", ("x", "10")),
    ("52 and 37", "52 and 37", ("52 and 36=12", "12")),
    ("7*8", "8*7", ("x", "58")),
    ("7*8", "7*8", ("7*8=56+0=56", "88")),
    ("sort 3 1 2", "sort 3 1", ("3", "1 1")),
    ("sort 3 1 2", "sort 3 1", ("x", "1 3")),
    ("sort 5 2", "sort 5 2", ("x", "2 5")),
    ("52 and 37", "52 and 37", ("52 and 37:x=12", "12")),
    ("(97-6)", "(97-6)", ("97-6:", "91")),
    ("(97-6)", "(97-6)", ("97-6:7-6-0=01,9-0-0=09=91", "91")),
    ("a>b,b>c from a 1", "a>b,b>c from a 1", ("a>c", "c")),
    ("ann has 3 pens: how many?", "ann has 3 pens: how many?", ("x", "3")),
    ("ann has 3 pens, buys 4: how many?", "3+4", ("3+4+0=08", "8")),
    ("ann has 8 pens, buys 14: how many?", "8+14", ("8+4+0=12,0+1+1=03", "32")),
    ("ann has 3 pens, buys 4: how many?", "ann has 3 pens, buys 4: how many?", ("3+5=8", "8")),
]


@pytest.mark.parametrize(("question", "part", "said"), MISTAKES)
def test_a_mistake_in_a_part_is_noticed(question, part, said):
    def answer(asked):
        return said if asked == part else perfect(asked)

    texts = []
    for seed in range(6):
        text, parts = through(question, answer, seed)
        texts += [text] * (part in parts)
    assert texts
    assert not any(texts)


def forgetful(asked, known, said):
    """Solutions in which one step is always another one."""
    steps, answer = perfect(asked)
    return steps.replace(known, said), answer


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("question", "known", "said"),
    [
        ("1265-166", "6-6-1=19", "6-6-1=00"),  # what is left and what was taken don't add up
        ("44-43", "43>", "43="),
        ("960-960", "66=", "66<"),
        ("4352-4351", "55=,", ""),
        ("3474+5867", "4+8+1=13", "3+8+1=12"),  # the digit of another column
        ("1114+10", ",1+0+0=01", ""),
        ("15+26", "1+2+1=04", "1+2+0=03"),  # a carry that is forgotten
    ],
)
def test_columns_must_be_of_the_question_and_fit_each_other(question, known, said, seed):
    text, _ = through(question, partial(forgetful, known=known, said=said), seed)
    assert known in solve(question).steps
    assert text == ""


GARBAGE = (
    "",
    "|",
    "1",
    "=",
    "x=1+2,",
    "5-3-0=0+",
    "31<,5-3-0=02",
    "52 and 37:",
    "a>b,b>",
    " ",
    "--1",
)


@each_family
def test_whatever_is_said_to_a_part_it_does_not_fit_or_it_does(family):
    rng = Random(family)
    for seed, question in enumerate(asked(family, 4, 60)):
        spoilt = rng.randrange(6)
        turns = count()

        def answer(part, spoilt=spoilt, turns=turns):
            steps, said = perfect(part)
            if next(turns) != spoilt:
                return steps, said
            at = rng.randrange(len(steps))
            steps = rng.choice((rng.choice(GARBAGE), f"{steps[:at]}{steps[at + 1 :]}"))
            return steps, rng.choice((rng.choice(GARBAGE), said))

        text, _ = through(question, answer, seed)  # no other errors than those of a way
        assert text == "" or text.endswith(f"|{solve(question).answer}"), question


def test_a_family_that_knows_no_way_says_so():
    with pytest.raises(ValueError, match="no way is known"):
        next(Family().parts("3+4", Random(0)))


# What the parts are like.

HELPING = {  # families of parts
    "mul": ["add"],
    "sub": ["add"],
    "expr": ["add", "sub", "mul"],
    "story": ["add", "sub"],
}


@each_family
@pytest.mark.parametrize("level", [4, 5])
def test_the_parts_of_a_hard_question_are_of_lower_levels(family, level):
    hard = [question for question in asked(family, level, 150) if solve(question).level == level]
    assert len(hard) > 50
    for seed, question in enumerate(hard):
        _, parts = through(question, seed=seed)
        assert len(parts) > 1
        for part in parts:
            assert family_of(part) in (family, *HELPING.get(family, ()))
            least = 0 if family == "chain" else 1  # a part of a chain has all its facts
            assert least <= solve(part).level < level, (question, part)


def form(question):
    """A question without its digits, symbols and words, but with its brackets."""
    text = re.sub(r"(?<![\d)])-?\d+", "1", question)
    text = re.sub(" (and|xor|or) |(?<=[1)])[+*-]", "+", text)
    return re.sub("[a-z]{2,}", "w", text)


@pytest.mark.parametrize("family", ["add", "sub", "mul", "expr", "logic", "story"])
def test_the_parts_of_level_4_have_forms_that_are_asked_below(family):
    below = set()
    for level in (1, 2, 3):
        below |= {form(question) for question in asked(family, level, 2500)}
    below.add("1+1")  # the sums within a product
    for seed, question in enumerate(asked(family, 4, 80)):
        _, parts = through(question, seed=seed)
        for part in parts:
            assert form(part) in below, (question, part)


def test_parts_keep_to_the_digits_facts_and_words_of_their_question():
    for family in ("sort", "logic", "chain", "story"):
        for seed, question in enumerate(asked(family, 5, 60)):
            known = {*re.findall(r"[a-z]>[a-z]|[a-z]{2,}|(?<=sort )\d", question)}
            _, parts = through(question, seed=seed)
            for part in parts:
                assert {*re.findall("[a-z]>[a-z]|[a-z]{2,}", part)} <= known
                assert family != "sort" or {*part.split()} <= {*question.split()}


LONG_CHAIN = "c>f,a>c,x>y,f>b,b>e,e>g from a 5"


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_goes_on_by_the_facts_that_are_left(seed):
    text, parts = through(LONG_CHAIN, seed=seed)
    facts, hops = zip(*(part.replace(" from", "").split(" ")[::2] for part in parts), strict=True)
    first, second = (known.split(",") for known in facts)
    used = text.split(",")[: int(hops[0])]
    assert sum(map(int, hops)) == 5
    assert sorted(second + used) == sorted(first)
    assert sorted(first) == sorted(LONG_CHAIN.split()[0].split(","))


# Different ways check each other.


CHECKED = ("mul", "expr", "logic", "story")  # their one way asks for each thing twice


@each_family
def test_different_draws_go_different_ways_and_the_same_draws_the_same(family):
    question = max(asked(family, 5, 20), key=len)
    ways = {tuple(through(question, seed=seed)[1]) for seed in range(12)}
    assert len(ways) > 2 or family in CHECKED
    assert through(question, seed=1) == through(question, seed=1)


@pytest.mark.parametrize(
    ("question", "turns", "least"),
    [
        ("3474+5867", (0, 1), 5),
        ("5867-3474", (1, 2), 5),
        ("sort 5 2 8 3 9 4 7", (1, 2), 5),
        ("c>f,a>c,f>b,b>e from a 4", (0,), 5),
    ],
)
def test_padding_and_order_are_drawn(question, turns, least):
    ways = [through(question, seed=seed)[1] for seed in range(30)]
    for turn in turns:
        assert len({way[turn] for way in ways}) >= least


@pytest.mark.parametrize(
    "question",
    ["34745+58679", "34745-58679", "c>f,a>c,f>b,b>e,e>g from a 5"],
)
def test_cuts_are_drawn(question):
    ways = [through(question, seed=seed)[1] for seed in range(30)]
    assert len({(len(way), len(way[0]), way[0][-1]) for way in ways}) > 1


def test_no_solver_takes_part(monkeypatch):
    questions = [question for family in FAMILIES for question in asked(family, 5, 20)]
    texts = [through(question)[0] for question in questions]
    known = {part: perfect(part) for question in questions for part in through(question)[1]}

    def forbidden(*arguments):
        raise AssertionError("the solver was asked")

    for family in FAMILIES.values():
        for name in ("solve", "columns", "work"):
            if hasattr(family, name):
                monkeypatch.setattr(type(family), name, forbidden)
    monkeypatch.setattr(arithmetic, "operation", forbidden)
    with pytest.raises(AssertionError, match="the solver was asked"):
        solve("3+4")
    assert [through(question, known.get)[0] for question in questions] == texts


def test_all_ways_go_side_by_side_in_as_few_batches_as_the_longest_has_parts():
    questions = [question for family in FAMILIES for question in asked(family, 4, 5)]
    lengths = [len(through(question)[1]) for question in questions]
    batches = []

    def ask(batch):
        batches.append(len(batch))
        return [perfect(part) for part in batch]

    ways = [FAMILIES[family_of(question)].parts(question, Random(0)) for question in questions]
    assert together(ways, ask) == [solve(question).target for question in questions]
    sizes = [sum(length > turn for length in lengths) for turn in range(max(lengths))]
    assert [size for size in batches if size] == sizes
    assert together([], ask) == []
