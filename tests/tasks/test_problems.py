"""Problems, their splits and draws, and the checker."""

import re
from collections import Counter
from itertools import combinations, pairwise
from random import Random

import pytest

from minisi.run.runtime import UserError, dice
from minisi.tasks.families import FAMILIES, matching
from minisi.tasks.family import Family
from minisi.tasks.problems import (
    Problem,
    balanced,
    beyond,
    check,
    draw,
    identity,
    parse,
    prompt_of,
    repeated,
    solve,
    split_of,
    unbracketed,
)

from .world import asked, each_family

SPLITS = ["train", "dev", "test"]


@pytest.mark.parametrize("steps", ["7+6+0=13", "nonsense"])
def test_the_right_answer_is_right_whatever_the_steps_are(steps):
    assert check("13", f"{steps}|13") == "right"
    assert parse(f"{steps}|13") == (steps, "13")


@pytest.mark.parametrize("said", ["14", "013", " 13", "13 ", "1", "13,13"])
def test_any_other_answer_is_wrong(said):
    assert check("13", f"7+6+0=13|{said}") == "wrong"
    assert parse(f"7+6+0=13|{said}") == ("7+6+0=13", said)


@pytest.mark.parametrize(
    "text",
    ["13", "", "|13", "7+6+0=13|", "|", "7+6+0=13|13|", "7+6+0=13||13", "7|6|13"],
)
def test_what_is_not_steps_and_an_answer_is_unparsable(text):
    assert check("13", text) == "unparsable"
    assert parse(text) is None


@each_family
def test_a_target_is_parsed_into_its_steps_and_answer(family):
    p = draw(dice(1, "parse"), "train", family, 3)
    assert parse(p.target) == (p.steps, p.answer) == FAMILIES[family].solve(p.question)


def test_prompt_and_target_make_the_whole_text():
    p = solve("347+586")
    assert p.prompt == prompt_of("347+586") == "347+586|"
    assert p.target == f"{p.steps}|{p.answer}"


def test_problems_are_drawn_and_sorted_into_splits_without_being_solved(monkeypatch):
    families = ("expr", "sort", "logic", "chain", "story")
    problems = balanced(dice(1, "lazy"), "train", 3, 60, families)
    for family in families:
        monkeypatch.setattr(type(FAMILIES[family]), "solve", None)

    assert balanced(dice(1, "lazy"), "train", 3, 60, families) == problems
    assert {split_of(p.question) for p in problems} == {"train"}
    assert all(p.prompt == p.question + "|" for p in problems)
    for name in ("steps", "answer", "target"):
        with pytest.raises(TypeError):
            getattr(problems[0], name)


def test_a_typed_question_gets_its_family_and_level():
    assert solve("347+586") == Problem("add", 3, "347+586")
    assert solve("500*3+1") == Problem("expr", 0, "500*3+1")


@pytest.mark.parametrize("question", ["(3+4", "1 and 22", "a>b from a 2", "what?"])
def test_what_cant_be_solved_is_refused_at_once(question):
    with pytest.raises(UserError):
        solve(question)


@each_family
def test_the_split_is_60_20_20(family):
    questions = {identity(question): question for question in asked(family, 4, 2500)[:1500]}
    assert len(questions) > 1000

    counts = Counter(map(split_of, questions.values()))
    for split, share in {"train": 0.6, "dev": 0.2, "test": 0.2}.items():
        assert abs(counts[split] / len(questions) - share) < 0.06


def test_the_split_belongs_to_the_problem_not_to_its_wording():
    rng = Random(0)
    for _ in range(50):
        a, b, c = rng.choices("0123456789", k=3)
        assert split_of(f"{a}+{b}") == split_of(f"{b}+{a}")
        assert split_of(f"{a}*{b}-{c}") == split_of(f"({b}*({a}))-{c}")
        assert split_of(f"sort {a} {b} {c}") == split_of(f"sort {c} {b} {a}")


@pytest.mark.parametrize("split", SPLITS)
def test_draws_keep_to_their_split_family_and_level(split):
    for family in FAMILIES:
        p = draw(dice(1, split), split, family, 2)
        assert split_of(p.question) == split
        assert p == Problem(family, 2, p.question)
        assert solve(p.question) == Problem(family, FAMILIES[family].level(p.question), p.question)


class Coin(Family):
    """A family of one single problem, which is of one split."""

    pattern = "toss"
    words = "toss"

    def ask(self, rng, level):
        return "toss"


@pytest.fixture
def own_split(monkeypatch):
    """The split of the family's only problem."""
    monkeypatch.setitem(FAMILIES, "coin", Coin())
    return split_of("toss", "coin")


def test_a_family_of_one_problem_is_drawn_from_its_own_split(own_split):
    assert draw(Random(0), own_split, "coin", 3) == Problem("coin", 3, "toss")


def test_a_draw_ends_where_a_family_has_no_problem_of_the_split(own_split):
    for split in {*SPLITS} - {own_split}:
        message = f"^coin has no problem of the {split} split at level 3$"
        with pytest.raises(UserError, match=message):
            draw(Random(0), split, "coin", 3)


@pytest.mark.parametrize(("levels", "count"), [(1, 8), (3, 48), (4, 100)])
def test_a_balanced_draw_is_even_shuffled_and_of_one_split(levels, count):
    drawn = balanced(dice(1, "test"), "dev", levels, count)
    assert len(drawn) == count
    assert {split_of(p.question) for p in drawn} == {"dev"}

    cells = Counter((p.family, p.level) for p in drawn)
    assert set(cells) == {(family, n + 1) for family in FAMILIES for n in range(levels)}
    assert max(cells.values()) - min(cells.values()) <= 1

    order = [p.level for p in drawn]
    assert order != sorted(order) or levels == 1


def test_a_balanced_draw_may_begin_at_a_higher_level_and_be_of_some_families():
    drawn = balanced(dice(1, "test"), "dev", 6, 8, ["add", "story"], lowest=5)
    cells = Counter((p.family, p.level) for p in drawn)
    assert cells == dict.fromkeys([("add", 5), ("add", 6), ("story", 5), ("story", 6)], 2)


def test_a_balanced_draw_leaves_out_other_cells_each_time():
    left_out = [
        {(family, n) for family in FAMILIES for n in (1, 2, 3)}
        - {(p.family, p.level) for p in balanced(dice(seed, "few"), "train", 3, 20)}
        for seed in range(10)
    ]
    assert all(len(cells) == 4 for cells in left_out)
    assert len({family for cells in left_out for family, _ in cells}) > 4
    assert {level for cells in left_out for _, level in cells} == {1, 2, 3}


def test_a_family_that_is_named_more_often_is_drawn_more_often():
    drawn = balanced(dice(1, "more"), "train", 2, 24, ["add", "sort", "sort"])
    assert Counter(p.family for p in drawn) == {"add": 8, "sort": 16}


@pytest.mark.parametrize("levels", [1, 2, 4, 7])
def test_what_is_beyond_is_of_the_level_above_and_of_no_lower_one(levels):
    drawn = beyond(dice(1, "beyond"), "dev", levels, 64)
    assert 16 < len(drawn) <= 64
    assert {p.family for p in drawn} == {*FAMILIES}
    for p in drawn:
        assert split_of(p.question) == "dev"
        assert p.level == solve(p.question).level == levels + 1


def test_what_is_beyond_may_be_of_some_families():
    drawn = beyond(dice(1, "beyond"), "train", 2, 20, ["sort", "logic"])
    assert {p.family for p in drawn} == {"sort", "logic"}
    assert {split_of(p.question) for p in drawn} == {"train"}


NUMBER = re.compile(r"\d+")


@each_family
@pytest.mark.parametrize("level", [3, 11])
def test_digits_are_repeated_in_a_problem_of_the_same_cell_and_split(family, level):
    rng = dice(1, "repeated")
    before = [draw(rng, "train", family, level) for _ in range(300)]
    after = [repeated(rng, "train", problem) for problem in before]
    for one, other in zip(before, after, strict=True):
        assert (other.family, other.level) == (family, level)
        assert 0 < solve(other.question).level <= level
        assert split_of(other.question, family) == "train"
        assert NUMBER.sub("", other.question) == NUMBER.sub("", one.question)
        numbers = map(NUMBER.findall, (one.question, other.question))
        for old, new in zip(*numbers, strict=True):
            assert new in (old, *(old[0] + digit * len(old[1:]) for digit in ("0", "9", old[0])))
    varied = sum(one != other for one, other in zip(before, after, strict=True))
    assert varied > 3 or family in ("sort", "chain")  # whose numbers are digits, but for some hops


LONG = ",".join(f"{a}>{b}" for a, b in pairwise("abcdefghijk"))
NONSENSE = {  # what repeated digits could make of a question
    "tom has 31 nuts, eats 30: how many?": "tom has 31 nuts, eats 33: how many?",
    f"x>y,{LONG} from a 10": f"x>y,{LONG} from a 11",
}


@pytest.mark.parametrize("question", NONSENSE)
def test_what_repeated_digits_would_make_nonsense_of_stays_as_it_is(question):
    problem = solve(question)
    made = {repeated(Random(i), split_of(question), problem).question for i in range(60)}
    assert NONSENSE[question] not in made
    assert question in made


NEEDLESS = {
    "(2*(3-1))-6": "2*(3-1)-6",
    "9-((8-5)-2)": "9-(8-5-2)",
    "((7+1)+4)*2": "(7+1+4)*2",
    "5+(2*3)": "5+2*3",
    "5-(2-3)": "5-(2-3)",
    "(-3*4)--2": "-3*4--2",
    "(5-7)": "(5-7)",  # else it would be a difference
    "((52 and 37) xor 11) or 20": "52 and 37 xor 11 or 20",
    "52 and (37 or 11)": "52 and (37 or 11)",
    "tom has 31 nuts, eats 30: how many?": "tom has 31 nuts, eats 30: how many?",
}


@pytest.mark.parametrize("question", NEEDLESS)
def test_needless_brackets_are_dropped_and_no_others(question):
    assert unbracketed(split_of(question), solve(question)).question == NEEDLESS[question]


@pytest.mark.parametrize("family", ["expr", "logic"])
@pytest.mark.parametrize("level", [2, 4, 9])
def test_without_needless_brackets_it_is_the_same_problem_and_not_one_more_can_go(family, level):
    rng = dice(1, "unbracketed")
    before = [draw(rng, "train", family, level) for _ in range(200)]
    after = [unbracketed("train", problem) for problem in before]
    assert sum(one != other for one, other in zip(before, after, strict=True)) > 50
    for one, other in zip(before, after, strict=True):
        assert (other.family, other.level, other.answer) == (family, level, one.answer)
        assert identity(other.question) == identity(one.question)
        texts = re.findall(r"[()]|[^()]+", other.question)
        pairs = [i for i, text in enumerate(texts) if text == "("]
        ends = [i for i, text in enumerate(texts) if text == ")"][::-1]
        for pair in zip(pairs, ends, strict=True):
            fewer = "".join(text for i, text in enumerate(texts) if i not in pair)
            assert matching(fewer) != family or identity(fewer) != identity(other.question)


def test_neighbouring_seeds_and_rounds_draw_different_items():
    draws = []
    for seed, round in ((1, 1), (2, 1), (1, 2)):
        drawn = balanced(dice(seed, "questions", round), "train", 4, 320)
        draws.append({p.question for p in drawn if p.level > 2})
    for a, b in combinations(draws, 2):
        assert len(a & b) < 16


def test_the_same_dice_draw_the_same_items():
    assert balanced(dice(1, "x"), "train", 3, 48) == balanced(dice(1, "x"), "train", 3, 48)
