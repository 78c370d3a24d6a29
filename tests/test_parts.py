"""Questions taken apart, with answerers that are perfect, silent or confused."""

import re
from itertools import count, repeat
from random import Random

import pytest

from minisi.families import FAMILIES
from minisi.parts import PARTS, together
from minisi.runtime import UserError
from minisi.tasks import family_of, parse, solve
from minisi.tokenizer import VOCABULARY

NONE = {("expr", 1), ("expr", 2), ("logic", 1), ("logic", 2), ("story", 1)}  # two operations, or one event, have no parts
CELLS = [(family, level) for family in FAMILIES for level in range(1, 8)]
WHOLE = [cell for cell in CELLS if cell not in NONE]


def perfect(questions):
    return [(p.steps, p.answer) for p in map(solve, questions)]


def draw(family, level, count=30):
    rng = Random(f"{family} {level}")
    return [FAMILIES[family].ask(rng, level) for _ in range(count)]


def go(questions, ask, seed=0):
    """The texts of one way through each question, and the batches that were asked."""
    batches, rng = [], Random(seed)

    def noted(batch):
        batches.append(batch)
        return ask(batch)

    texts = together([PARTS[family_of(q)](q, rng) for q in questions], noted)
    return texts, [batch for batch in batches if batch]


def alone(question, ask, seed=0):
    """The text of one way, and its questions."""
    (text,), batches = go([question], ask, seed)
    return text, [q for (q,) in batches]


def nineteen(question):
    """Whether some bracket of two operations or more is worth 19, which no sum, difference or product of two digits is."""
    opened, values = [], []
    for i, c in enumerate(question):
        if c == "(":
            opened.append(i)
        if c == ")" and len(re.findall("[+*-]", part := question[opened.pop() : i + 1])) > 1:
            values.append(eval(part))
    return 19 in values


@pytest.mark.parametrize("family, level", WHOLE)
def test_right_answers_to_the_parts_make_the_solvers_text(family, level):
    for seed, question in enumerate(draw(family, level)):
        text, asked = alone(question, perfect, seed)
        assert text == solve(question).target or not text and family == "expr" and nineteen(question) and len(asked) == 1, question


def test_few_expressions_have_a_way_that_leads_nowhere():
    questions = draw("expr", 4, 300)
    assert sum(not text for text in go(questions, perfect)[0]) < 0.1 * len(questions)


@pytest.mark.parametrize("family, level", sorted(NONE))
def test_what_has_no_parts_gives_an_empty_text_and_asks_nothing(family, level):
    assert all(alone(question, perfect) == ("", []) for question in draw(family, level))


@pytest.mark.parametrize(
    "question",
    ["86+347", "347+86", "12+7", "7+12", "99+1", "999999+1", "40+60", "347+0", "3474-86", "1000-1", "347-347", "586-0347", "100-99", "10-9", "347-0"]
    + ["347*6", "347*0", "347*1", "999*9", "(3+4-5)*2", "(3+4*2)-5", "((1+2)*(3+4))-5", "2*(3+4-5)", "(10+9-1)*1", "((3-3)+2)*5", "5+((2*2)-4)"]
    + ["sort 5 2 8", "sort 31 20 7 7", "sort 3 3 3 3", "sort 100 20 3 100", "(1 or 2) and (3 or 4)", "(1 or 2) and (1 or 2)", "(1 or 2) and 3 and (4 or 5)"]
    + ["((1 or 2) and 3) or 4", "a>b,b>c,c>a from a 3", "z>a,a>b,b>c from a 2", "zed has 30 hats, buys 45, gives 6 to amy: how many?"],
)  # fmt: skip
def test_questions_that_a_person_may_type_have_parts_too(question):
    assert {alone(question, perfect, seed)[0] for seed in range(20)} == {solve(question).target}


@pytest.mark.parametrize("question", ["3+4-5+1", "3+4*2-1", "6*347", "1 or 2", "1 or 2 and 3", "((9*9)+1)-5", "ann has 3 pens: how many?"])
def test_without_brackets_to_take_out_or_a_sum_to_put_in_there_is_no_way(question):
    assert solve(question).answer and all(alone(question, perfect, seed)[0] == "" for seed in range(20))


@pytest.mark.parametrize("question", ["7+6", "9-4", "7*6"])
def test_a_single_column_has_no_way_or_a_right_one(question):
    assert {alone(question, perfect, seed)[0] for seed in range(20)} <= {"", solve(question).target}


def hardness(question, family):
    """What the levels of the family count: digits, operations, numbers, hops or events."""
    if family in ("add", "sub", "mul"):
        return max(map(len, re.findall(r"\d+", question)))
    if family == "chain":
        return int(question.split()[-1])
    return len(re.findall({"expr": "[+*-]", "sort": " ", "logic": "and|or", "story": ","}[family], question))


ADVANCE = dict(add=0, sub=0, mul=1, expr=0, sort=3, logic=0, chain=1, story=0)  # how much more of that there is than the level says


@pytest.mark.parametrize("family, level", WHOLE)
def test_parts_are_of_the_same_family_and_from_level_4_easier(family, level):
    for seed, question in enumerate(draw(family, level)):
        assert hardness(question, family) == max(level, 2 if family in ("add", "sub") else 0) + ADVANCE[family]
        for part in alone(question, perfect, seed)[1]:
            assert family_of(part) == family
            assert level < 4 or hardness(part, family) <= level - 1 + ADVANCE[family], (question, part)


@pytest.mark.parametrize("level", [3, 5, 7])
@pytest.mark.parametrize("family, most", [("expr", 9), ("logic", 7), ("chain", 9), ("story", 19)])
def test_parts_keep_to_the_numbers_facts_and_words_that_the_model_has_seen(family, most, level):
    for seed, question in enumerate(draw(family, level)):
        for part in alone(question, perfect, seed)[1]:
            found, known = (set(re.findall("[a-z]>[a-z]|[a-z]{2,}", text)) for text in (part, question))
            assert found <= known | {"and", "or"} and all(int(n) <= most for n in re.findall(r"\d+", part))


@pytest.mark.parametrize("family", FAMILIES)
def test_different_draws_go_different_ways(family):
    question = next(q for q in draw(family, 5) if not nineteen(q))
    ways = {tuple(alone(question, perfect, seed)[1]) for seed in range(12)}
    assert len(ways) > 2 and alone(question, perfect, 1) == alone(question, perfect, 1)


@pytest.mark.parametrize(
    "question, drawn",
    [("3474+5867", (0, 1)), ("5867-3474", (0, 1)), ("3474*2", (0, 1)), ("((3+4)*2)-5", (1,)), ("sort 5 2 8 3 9 4 7", (1, 2)), ("(2 and 3) or (7 or 1)", (0,))]
    + [("c>f,a>c,f>b,b>e from a 4", (0,)), ("ann has 9 pens, buys 4, eats 2, buys 1, eats 3, buys 5, eats 6: how many?", (0, 1))],
)
def test_padding_order_and_cuts_are_drawn(question, drawn):
    ways = [alone(question, perfect, seed)[1] for seed in range(30)]
    assert all(len({way[i] for way in ways}) > 4 for i in drawn)


@pytest.mark.parametrize("seed", range(6))
def test_a_chain_goes_on_by_the_facts_that_are_left_and_invents_none(seed):
    question = "c>f,a>c,x>y,f>b,b>e,e>g from a 5"
    text, (first, second) = alone(question, perfect, seed)
    facts, hops = ([part.split()[i] for part in (first, second)] for i in (0, 3))
    assert sorted(facts[0].split(",")) == sorted(question.split()[0].split(",")) and sum(map(int, hops)) == 5
    assert sorted(facts[1].split(",") + text.split("|")[0].split(",")[: int(hops[0])]) == sorted(facts[0].split(","))
    for turn, wrong in [(0, ("a>f,f>b", "b")), (0, ("a>c,c>z", "b")), (1, ("b>e,e>z", "z")), (1, ("b>g", "g"))]:
        assert alone(question, slip(turn, wrong), seed)[0] == ""


def test_no_solver_takes_part(monkeypatch):
    questions = [q for family in FAMILIES for q in draw(family, 5, 10)]
    known = {}
    texts, _ = go(questions, lambda batch: [known.setdefault(q, *perfect([q])) for q in batch])

    def forbidden(question):
        raise AssertionError(f"the solver was asked {question}")

    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", forbidden)
    with pytest.raises(AssertionError, match="the solver was asked"):
        perfect(["3+4"])
    assert go(questions, lambda batch: [known[q] for q in batch])[0] == texts and sum(map(bool, texts)) > 70


GARBAGE = [("", ""), ("", "7"), ("7", ""), (",", ","), (",,,,", "19"), ("=", "="), (" ", " "), ("7+6+0=13", "13"), ("7+6+0", "1 2 3"), ("a>b", "b"), ("a", "a")]
GARBAGE += [("5 5 5", "sort"), ("5", "5"), ("7 and 7", "9"), ("-3=-9", "-3"), ("(((", ")))"), ("1-9-0=9x,2-2-0=??", "x"), ("|", "|"), ("é\n", "\0")]


STEADY = [next(q for q in draw(*cell) if not nineteen(q)) for cell in WHOLE]


def confused(victim, replies):
    """Right about all families but one; what is no question at all comes of that one's replies."""
    def reply(question):
        try:
            return next(replies) if family_of(question) == victim else perfect([question])[0]
        except UserError:
            return next(replies)

    return lambda batch: [reply(question) for question in batch]


def babble(rng):
    """What a model could say: tokens in any order, if there are steps and an answer among them."""
    while (said := parse("".join(rng.choices([*VOCABULARY[1:], "|", ",", ",", "="], k=rng.randint(1, 30))))) is None:
        pass
    return said


@pytest.mark.parametrize("victim", FAMILIES)
def test_garbage_makes_no_right_text_and_stands_in_no_others_way(victim):
    rng = Random(victim)
    drawn = [iter(lambda: rng.choice(GARBAGE), 0)] * 5 + [iter(lambda: babble(rng), 0)] * 10  # iterators without an end
    for replies in [*map(repeat, [None, *GARBAGE]), *drawn]:
        texts, _ = go(STEADY, confused(victim, replies))
        for question, text in zip(STEADY, texts, strict=True):
            assert (text == solve(question).target) == (family_of(question) != victim), (question, text)


def slip(turn, wrong):
    """Perfect as far as possible, but for one turn."""
    turns = count()

    def ask(batch):
        try:
            return [wrong] if next(turns) == turn else perfect(batch)
        except UserError:  # a question that the wrong reply led to
            return [None]

    return ask


@pytest.mark.parametrize("family, turn", [(family, turn) for family in FAMILIES for turn in range(2 + (family == "sort"))])
def test_one_wrong_reply_spoils_the_text_and_one_missing_reply_ends_the_way(family, turn):
    others = perfect(draw(family, 5))
    for question in [q for q in draw(family, 6) if not nineteen(q)]:
        right, asked = alone(question, perfect)
        replies = perfect(asked)
        assert len(replies) == 2 + (family == "sort") and right == solve(question).target
        wrong = next(other for other in others if other[0][0] != replies[turn][0][0])
        assert alone(question, slip(turn, wrong))[0] != right
        assert alone(question, slip(turn, None)) == ("", asked[: turn + 1])


def test_questions_after_babble_stay_in_the_models_alphabet(codec):
    rng, asked = Random(0), []
    for _ in range(20):
        asked += sum(go(STEADY, lambda batch: [babble(rng) for _ in batch])[1], [])
    assert codec.decode(codec.encode(asked)) == asked and len({q for q in asked if q not in STEADY}) > 500


def test_all_ways_go_side_by_side_in_as_few_batches_as_the_longest_has_questions():
    questions = [q for cell in CELLS for q in draw(*cell, 2) if not nineteen(q)]
    paths = [alone(q, perfect)[1] for q in questions]
    for some in (questions, questions[::-1], [q for q, path in zip(questions, paths) if len(path) < 3]):
        texts, batches = go(some, perfect)
        lengths = [len(paths[questions.index(q)]) for q in some]
        assert [len(batch) for batch in batches] == [sum(n > i for n in lengths) for i in range(max(lengths))]
        assert [bool(text) for text in texts] == [n > 1 for n in lengths]
    assert together([], perfect) == []
