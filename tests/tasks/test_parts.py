"""Questions taken apart, with answerers that are perfect, silent or confused."""

import re
from itertools import count, repeat
from random import Random

import pytest

from minisi.method.teacher import together
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES, family_of
from minisi.tasks.family import Family
from minisi.tasks.problems import parse, solve

# Two operations, or one event, have no parts.
WITHOUT = [("expr", 1), ("expr", 2), ("logic", 1), ("logic", 2), ("story", 1)]
CELLS = [(family, level) for family in FAMILIES for level in range(1, 8)]
WITH = [cell for cell in CELLS if cell not in WITHOUT]

each_family = pytest.mark.parametrize("family", FAMILIES)
each_cell_with_parts = pytest.mark.parametrize(("family", "level"), WITH)


def solution(question):
    problem = solve(question)
    return problem.steps, problem.answer


def perfect(questions):
    return [solution(question) for question in questions]


def draw(family, level, count=30):
    rng = Random(f"{family} {level}")
    return [FAMILIES[family].ask(rng, level) for _ in range(count)]


def go(questions, ask, seed=0):
    """The texts of one way through each question, and the batches that were asked."""
    rng = Random(seed)
    batches = []

    def noted(batch):
        batches.append(batch)
        return ask(batch)

    ways = [FAMILIES[family_of(question)].parts(question, rng) for question in questions]
    texts = together(ways, noted)
    return texts, [batch for batch in batches if batch]


def alone(question, ask, seed=0):
    """The text of one way, and its questions."""
    (text,), batches = go([question], ask, seed)
    return text, [asked for (asked,) in batches]


def texts_of(question, seeds=20):
    """What right answers make of different ways through a question."""
    return {alone(question, perfect, seed)[0] for seed in range(seeds)}


def operations(text):
    return len(re.findall("[+*-]", text))


def brackets(question):
    """The text of each bracket."""
    opened = []
    found = []
    for i, c in enumerate(question):
        if c == "(":
            opened.append(i)
        if c == ")":
            found.append(question[opened.pop() : i + 1])
    return found


def nineteen(question):
    """Whether a bracket of two operations or more is worth 19.

    No sum, difference or product of two digits is, so that none can stand in its place.
    """
    return any(eval(text) == 19 for text in brackets(question) if operations(text) > 1)


def passable(questions):
    """Those in which no way leads nowhere."""
    return [question for question in questions if not nineteen(question)]


# Right answers to the parts.


@each_cell_with_parts
def test_right_answers_to_the_parts_make_the_solvers_text(family, level):
    for seed, question in enumerate(draw(family, level)):
        text, asked = alone(question, perfect, seed)
        led_nowhere = text == "" and len(asked) == 1
        excused = family == "expr" and nineteen(question)
        assert text == solve(question).target or (led_nowhere and excused), question


def test_few_expressions_have_a_way_that_leads_nowhere():
    questions = draw("expr", 4, 300)
    texts, _ = go(questions, perfect)
    assert texts.count("") < 0.1 * len(questions)


@pytest.mark.parametrize(("family", "level"), WITHOUT)
def test_what_has_no_parts_gives_an_empty_text_and_asks_nothing(family, level):
    for question in draw(family, level):
        assert alone(question, perfect) == ("", [])


def test_a_family_without_a_way_gives_an_empty_text_and_asks_nothing(monkeypatch):
    monkeypatch.setattr(type(FAMILIES["sort"]), "parts", Family.parts)
    assert alone("sort 5 2 8 3", perfect) == ("", [])


@pytest.mark.parametrize(
    "question",
    [
        "86+347",
        "347+86",
        "12+7",
        "7+12",
        "99+1",
        "999999+1",
        "40+60",
        "347+0",
        "3474-86",
        "1000-1",
        "347-347",
        "586-0347",
        "100-99",
        "10-9",
        "347-0",
        "347*6",
        "347*0",
        "347*1",
        "999*9",
        "(3+4-5)*2",
        "(3+4*2)-5",
        "((1+2)*(3+4))-5",
        "2*(3+4-5)",
        "(10+9-1)*1",
        "((3-3)+2)*5",
        "5+((2*2)-4)",
        "sort 5 2 8",
        "sort 31 20 7 7",
        "sort 3 3 3 3",
        "sort 100 20 3 100",
        "(1 or 2) and (3 or 4)",
        "(1 or 2) and (1 or 2)",
        "(1 or 2) and 3 and (4 or 5)",
        "((1 or 2) and 3) or 4",
        "a>b,b>c,c>a from a 3",
        "z>a,a>b,b>c from a 2",
        "zed has 30 hats, buys 45, gives 6 to amy: how many?",
    ],
)
def test_questions_that_a_person_may_type_have_parts_too(question):
    assert texts_of(question) == {solve(question).target}


@pytest.mark.parametrize(
    "question",
    [
        "3+4-5+1",
        "3+4*2-1",
        "6*347",
        "1 or 2",
        "1 or 2 and 3",
        "((9*9)+1)-5",
        "ann has 3 pens: how many?",
    ],
)
def test_without_brackets_to_take_out_or_a_sum_to_put_in_there_is_no_way(question):
    assert solve(question).answer
    assert texts_of(question) == {""}


@pytest.mark.parametrize("question", ["7+6", "9-4", "7*6"])
def test_a_single_column_has_no_way_or_a_right_one(question):
    assert texts_of(question) <= {"", solve(question).target}


# What the parts are like.


def most_digits(question):
    return max(len(number) for number in re.findall(r"\d+", question))


def hops(question):
    return int(question.split()[-1])


HARDNESS = {
    "add": most_digits,
    "sub": most_digits,
    "mul": most_digits,
    "expr": operations,
    "sort": lambda question: question.count(" "),
    "logic": lambda question: len(re.findall("and|or", question)),
    "chain": hops,
    "story": lambda question: question.count(","),
}
ADVANCE = {"mul": 1, "sort": 3, "chain": 1}  # how much harder a question is than its level says
LEAST = {"add": 2, "sub": 2}


@each_cell_with_parts
def test_parts_are_of_the_same_family_and_from_level_4_easier(family, level):
    hardness = HARDNESS[family]
    advance = ADVANCE.get(family, 0)
    for seed, question in enumerate(draw(family, level)):
        assert hardness(question) == max(level, LEAST.get(family, 0)) + advance
        _, asked = alone(question, perfect, seed)
        for part in asked:
            assert family_of(part) == family
            assert level < 4 or hardness(part) <= level - 1 + advance, (question, part)


def facts_and_words(text):
    return {*re.findall("[a-z]>[a-z]|[a-z]{2,}", text)}


@pytest.mark.parametrize("level", [3, 5, 7])
@pytest.mark.parametrize(
    ("family", "most"), [("expr", 9), ("logic", 7), ("chain", 9), ("story", 19)]
)
def test_parts_keep_to_the_numbers_facts_and_words_that_the_model_has_seen(family, most, level):
    for seed, question in enumerate(draw(family, level)):
        known = facts_and_words(question) | {"and", "or"}
        _, asked = alone(question, perfect, seed)
        for part in asked:
            assert facts_and_words(part) <= known
            assert all(int(number) <= most for number in re.findall(r"\d+", part))


@each_family
def test_different_draws_go_different_ways(family):
    question = passable(draw(family, 5))[0]
    ways = set()
    for seed in range(12):
        _, asked = alone(question, perfect, seed)
        ways.add(tuple(asked))
    assert len(ways) > 2


@each_family
def test_the_same_draws_go_the_same_way(family):
    question = passable(draw(family, 5))[0]
    assert alone(question, perfect, 1) == alone(question, perfect, 1)


@pytest.mark.parametrize(
    ("question", "drawn"),
    [
        ("3474+5867", (0, 1)),
        ("5867-3474", (0, 1)),
        ("3474*2", (0, 1)),
        ("((3+4)*2)-5", (1,)),
        ("sort 5 2 8 3 9 4 7", (1, 2)),
        ("(2 and 3) or (7 or 1)", (0,)),
        ("c>f,a>c,f>b,b>e from a 4", (0,)),
        ("ann has 9 pens, buys 4, eats 2, buys 1, eats 3, buys 5, eats 6: how many?", (0, 1)),
    ],
)
def test_padding_order_and_cuts_are_drawn(question, drawn):
    ways = [alone(question, perfect, seed)[1] for seed in range(30)]
    for i in drawn:
        assert len({way[i] for way in ways}) > 4


LONG_CHAIN = "c>f,a>c,x>y,f>b,b>e,e>g from a 5"


def facts_of(question):
    return question.split()[0].split(",")


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_goes_on_by_the_facts_that_are_left(seed):
    text, (first, second) = alone(LONG_CHAIN, perfect, seed)
    assert sorted(facts_of(first)) == sorted(facts_of(LONG_CHAIN))
    assert hops(first) + hops(second) == 5

    used = parse(text)[0].split(",")[: hops(first)]
    assert sorted(facts_of(second) + used) == sorted(facts_of(first))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("turn", "wrong"),
    [
        (0, ("a>f,f>b", "b")),
        (0, ("a>c,c>z", "b")),
        (1, ("b>e,e>z", "z")),
        (1, ("b>g", "g")),
    ],
)
def test_a_chain_with_an_invented_fact_leads_nowhere(turn, wrong, seed):
    text, _ = alone(LONG_CHAIN, slip(turn, wrong), seed)
    assert text == ""


def test_no_solver_takes_part(monkeypatch):
    questions = []
    for family in FAMILIES:
        questions += draw(family, 5, 10)
    known = {}

    def learning(batch):
        known.update(zip(batch, perfect(batch), strict=True))
        return remembering(batch)

    def remembering(batch):
        return [known[question] for question in batch]

    def forbidden(self, question):
        raise AssertionError(f"the solver was asked {question}")

    texts, _ = go(questions, learning)
    for family in FAMILIES.values():
        monkeypatch.setattr(type(family), "solve", forbidden)
    with pytest.raises(AssertionError, match="the solver was asked"):
        perfect(["3+4"])
    assert go(questions, remembering)[0] == texts
    assert len(texts) - texts.count("") > 70


# Wrong answers to the parts.

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
    ("a>b", "b"),
    ("a", "a"),
    ("5 5 5", "sort"),
    ("5", "5"),
    ("7 and 7", "9"),
    ("-3=-9", "-3"),
    ("(((", ")))"),
    ("1-9-0=9x,2-2-0=??", "x"),
    ("|", "|"),
    ("é\n", "\0"),
]
STEADY = [passable(draw(*cell))[0] for cell in WITH]


def any_garbage(rng):
    while True:
        yield rng.choice(GARBAGE)


def babble(rng, codec):
    """What a model could say: tokens in any order, where there are steps and an answer in them."""
    tokens = [*codec.vocabulary[1:], "|", ",", ",", "="]
    while True:
        said = parse("".join(rng.choices(tokens, k=rng.randint(1, 30))))
        if said is not None:
            yield said


def confused(victim, replies):
    """Right about all families but one.

    What is no question at all comes of that one's replies.
    """

    def reply(question):
        try:
            family = family_of(question)
            return next(replies) if family == victim else solution(question)
        except UserError:
            return next(replies)

    return lambda batch: [reply(question) for question in batch]


@each_family
def test_garbage_makes_no_right_text_and_stands_in_no_others_way(family, codec):
    rng = Random(family)
    targets = [solve(question).target for question in STEADY]
    others = [family_of(question) != family for question in STEADY]

    constant = [repeat(reply) for reply in (None, *GARBAGE)]
    drawn = [any_garbage(rng) for _ in range(5)]
    spoken = [babble(rng, codec) for _ in range(10)]
    for replies in constant + drawn + spoken:
        texts, _ = go(STEADY, confused(family, replies))
        right = [text == target for text, target in zip(texts, targets, strict=True)]
        assert right == others


def slip(turn, wrong):
    """Perfect as far as possible, but for one turn."""
    turns = count()

    def ask(batch):
        try:
            return [wrong] if next(turns) == turn else perfect(batch)
        except UserError:  # a question that the wrong reply led to
            return [None]

    return ask


PARTS = {family: 3 if family == "sort" else 2 for family in FAMILIES}


@pytest.mark.parametrize(
    ("family", "turn"), [(family, turn) for family in FAMILIES for turn in range(PARTS[family])]
)
def test_one_wrong_reply_spoils_the_text_and_one_missing_reply_ends_the_way(family, turn):
    others = perfect(draw(family, 5))
    for question in passable(draw(family, 6)):
        right, asked = alone(question, perfect)
        assert right == solve(question).target
        assert len(asked) == PARTS[family]

        steps, _ = solution(asked[turn])
        wrong = next(other for other in others if other[0][0] != steps[0])
        spoilt, _ = alone(question, slip(turn, wrong))
        assert spoilt != right
        assert alone(question, slip(turn, None)) == ("", asked[: turn + 1])


def test_questions_after_babble_stay_in_the_models_alphabet(codec):
    replies = babble(Random(0), codec)
    asked = []
    for _ in range(20):
        _, batches = go(STEADY, lambda batch: [next(replies) for _ in batch])
        for batch in batches:
            asked += batch
    assert codec.decode(codec.encode(asked)) == asked
    assert len({*asked} - {*STEADY}) > 500


# All ways side by side.


@pytest.fixture(scope="module")
def lengths():
    """Questions of all cells, and how many parts the way through each has."""
    questions = []
    for cell in CELLS:
        questions += passable(draw(*cell, 2))
    return {question: len(alone(question, perfect)[1]) for question in questions}


def all_of_them(lengths):
    return list(lengths)


def backwards(lengths):
    return list(reversed(lengths))


def short_ones(lengths):
    return [question for question, length in lengths.items() if length < 3]


@pytest.mark.parametrize("choose", [all_of_them, backwards, short_ones])
def test_all_ways_go_side_by_side_in_as_few_batches_as_the_longest_has_questions(choose, lengths):
    questions = choose(lengths)
    texts, batches = go(questions, perfect)
    wanted = [lengths[question] for question in questions]
    sizes = [sum(length > turn for length in wanted) for turn in range(max(wanted))]
    assert [len(batch) for batch in batches] == sizes
    assert [text != "" for text in texts] == [length > 1 for length in wanted]


def test_no_ways_come_to_no_texts():
    assert together([], perfect) == []
