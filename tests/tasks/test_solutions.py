"""The tutor program against answers, and readings of its steps, that are made another way."""

import re
from itertools import product
from random import Random

import pytest

from minisi.run.config import Config
from minisi.tasks import arithmetic
from minisi.tasks.problems import BAR, check, identity, solve

from .steps import STEPS
from .world import ANSWERS, asked, each_family, each_level

WORKED = """
347+586|7+6+0=13,4+8+1=13,3+5+1=09|933
7+12|7+2+0=09,0+1+0=01|19
32-6|30>,2-6-0=16,3-0-1=02|26
6-32|03<,2-6-0=16,3-0-1=02|-26
347-345|33=,44=,75>,7-5-0=02,4-4-0=00,3-3-0=00|2
47-47|44=,77=|0
7*8|7*8=56+0=56|56
47*86|7*6=42+0=42,4*6=24+4=28,7*8=56+0=56+8=64,4*8=32+6=38+2=40|4042
7*42|7*2=14+0=14,7*4=28+0=28+1=29|294
((3+4)*2)-5|3+4=7,7*2=14,14-5:10>,4-5-0=19,1-0-1=00=9|9
8+9*5-1|9*5=45,45+8:5+8+0=13,4+0+1=05=53,53-1:50>,3-1-0=02,5-0-0=05=52|52
(1+2)*(4+4)|1+2=3,4+4=8,8*3=24|24
4-9*2|9*2=18,18:4-18:01<,8-4-0=04,1-0-0=01=-14|-14
2-3*-4|3*-4:3*4=-12,-12:2--12:2+12:2+2+0=04,0+1+0=01=14|14
7-(2-9)|2-9=-7,-7:7--7:7+7=14|14
-26+(9-8)|9-8=1,1+-26:1-26:02<,6-1-0=05,2-0-0=02=-25|-25
5 xor 3 and 6|3 and 6=2,2 xor 5=7|7
(52 and 37) or 11|52 and 37=12,12 or 11=13|13
sort 5 2 8 3|5,2 5,2 5 8|2 3 5 8
sort 7|7|7
c>f,a>c,f>b,x>f from a 3|a>c,c>f,f>b|b
tom has 12 cups: how many?|12|12
tom has 0 cups, buys 3: how many?|0+3=3|3
ann has 9 pens, gives 6 to eva, buys 4: how many?|9-6=3,3+4=7|7
tom has 64 nuts, finds 17: how many?|64+17:4+7+0=11,6+1+1=08=81|81
""".strip().splitlines()


def holds(question):
    """Whether answer and steps are right, each by itself."""
    problem = solve(question)
    answer = ANSWERS[problem.family](question)
    return problem.answer == answer == STEPS[problem.family](question, problem.steps)


@each_family
@each_level
def test_answers_and_steps_are_right(family, level):
    for question in asked(family, level, 80):
        assert holds(question), question


@each_family
def test_a_digit_or_letter_that_is_changed_makes_steps_wrong(family):
    rng = Random(family)
    for question in asked(family, 3, 40):
        problem = solve(question)
        steps = problem.steps
        at = rng.choice([match.start() for match in re.finditer(r"\d|\b[a-z]\b", steps)])
        alike = "01234567" if steps[at].isdigit() else "abcdefgh"
        other = rng.choice(alike.replace(steps[at], ""))
        try:
            answer = STEPS[family](question, f"{steps[:at]}{other}{steps[at + 1 :]}")
        except (AssertionError, AttributeError, SyntaxError):
            continue
        assert answer != problem.answer, (question, at, other)


@pytest.mark.parametrize("line", WORKED)
def test_solutions_are_written_like_this(line):
    question = line.partition(BAR)[0]
    problem = solve(question)
    assert problem.prompt + problem.target == line
    assert check(problem.answer, problem.target) == "right"


def test_the_example_of_the_docstring_is_what_the_solver_writes():
    (line,) = re.findall(r"^ +(\d+\+\d+\|\S+)$", arithmetic.__doc__, re.MULTILINE)
    test_solutions_are_written_like_this(line)


# The ten tasks of the GPT-3 paper, section 3.9.1.


@pytest.mark.parametrize("digits", [2, 3, 4, 5, 6])
@pytest.mark.parametrize(("symbol", "family"), [("+", "add"), ("-", "sub"), ("*", "mul")])
def test_sums_differences_and_products_of_that_paper_are_solved(symbol, family, digits):
    rng = Random(f"{symbol}{digits}")
    for _ in range(60):
        a, b = rng.randrange(10**digits), rng.randrange(10**digits)
        question = f"{a}{symbol}{b}"
        assert holds(question)
        problem = solve(question)
        assert problem.family == family
        assert problem.level >= 1
        assert symbol == "*" or problem.level <= digits


@pytest.mark.parametrize("form", ["{}{}({}{}{})", "({}{}{}){}{}"])
def test_its_operations_on_three_digits_are_solved(form):
    rng = Random(form)
    for one, two in product("+-*", repeat=2):
        for _ in range(20):
            a, b, c = (rng.randrange(10) for _ in range(3))
            question = form.format(a, one, b, two, c)
            assert holds(question)
            assert (solve(question).family, solve(question).level) == ("expr", 1)


# Beyond what is asked.


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("007+5", "12"),
        ("5-005", "0"),
        ("005-7", "-2"),
        ("0*7", "0"),
        ("0-0", "0"),
        ("1+2+3", "6"),
        ("2+3*4-1", "13"),
        ("10-3-2", "5"),
        ("-3-4", "-7"),
        ("3--5", "8"),
        ("0*-3", "0"),
        ("500*3+1", "1501"),
        ("1234 and 5670", "1230"),
        ("10 or 03", "13"),
        ("sort 0 0", "0 0"),
        ("zed has 120 hats, buys 45, gives 6 to amy: how many?", "159"),
    ],
)
def test_typed_questions_beyond_what_is_asked_are_solved(question, answer):
    assert solve(question).answer == answer


@pytest.mark.parametrize(
    ("question", "bare"),
    [
        ("(3+4)*2-5", "((3+4)*2)-5"),
        ("(5)+3", "5+3"),
        ("(-5)+3", "-5+3"),
        ("5-(-3)", "5--3"),
        ("((5))+3", "5+3"),
        ("((3+4))*2", "(3+4)*2"),
        ("(((3-4)))", "3-4"),
        ("((5 and 3)) or 4", "5 and 3 or 4"),
        ("(52) xor (37)", "52 xor 37"),
    ],
)
def test_needless_brackets_are_read_and_make_no_other_problem(question, bare):
    family = solve(question).family
    assert solve(question).answer == ANSWERS[family](bare) == ANSWERS[family](question)
    assert identity(question) == identity(bare, family)


def tokens(codec, question):
    (ids,) = codec.encode([solve(question).target])
    return len(ids) + 1  # for the end of text


@each_family
def test_the_longest_solutions_up_to_level_8_are_within_the_limit(family, codec):
    most = max(tokens(codec, question) for question in asked(family, 8, 80))
    assert most <= Config().limit


@pytest.mark.parametrize("question", ["9999999*999", "999*9999999", "11111111-11111110"])
def test_the_longest_columns_of_level_8_are_within_the_limit(question, codec):
    assert solve(question).level == 8
    assert tokens(codec, question) <= Config().limit
