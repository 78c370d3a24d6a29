"""The correctors, with models that are perfect, silent or set in their ways."""

from random import Random

import pytest

from minisi import correct, tasks
from minisi.correct import CORRECTORS, agreed, by_parts, by_self, by_vote
from minisi.families import FAMILIES
from minisi.generate import Completion
from minisi.parts import PARTS
from minisi.runtime import dice
from minisi.tasks import Problem, balanced, check, solve

STORY = solve("mia has 13 shells, finds 2, loses 4, buys 7, eats 9: how many?")
WHOLE = [STORY, solve("3474+5867"), solve("sort 5 2 8 3 9"), solve("c>f,a>c,f>b,b>e from a 4")]  # these have parts
SINGLE = solve("mia has 13 shells, finds 2: how many?")  # this has none


def say(text, finished=True):
    return Completion(text, [1], [0.5], finished, [0.5])


def model(target=lambda question: solve(question).target):
    """Answers each question by the function, and notes what it was asked."""
    asked = []

    def ask(prompts):
        asked.extend(prompts)
        return [say(target(prompt.removesuffix("|"))) for prompt in prompts]

    return ask, asked


def sampler(*texts, finished=True):
    """Says the texts in order, and notes what it was asked."""
    asked = []

    def sample(prompts):
        asked.extend(prompts)
        return [say(text, finished) for text in texts]

    return sample, asked


def mute(prompts):
    return [say("", False) for _ in prompts]


def forbidden(*_):
    raise AssertionError("neither solver nor checker may be asked")


def test_the_solvers_corrections_are_right_and_ask_no_model():
    ask, asked = model()
    texts = CORRECTORS["solver"](WHOLE, ask, ask, Random(0), 4)
    assert [check(p.answer, text) for p, text in zip(WHOLE, texts, strict=True)] == ["right"] * len(WHOLE) and not asked


@pytest.mark.parametrize("name", CORRECTORS)
def test_no_problems_need_no_corrections(name):
    assert CORRECTORS[name]([], mute, mute, Random(0), 4) == []


@pytest.mark.parametrize(
    "texts, least, text",
    [
        (["a", "b", "a"], 2, "a"), (["a", "b", "a"], 2.25, ""), (["a"], 0.75, "a"), (["", "", "", "a"], 2, ""), (["", "", "", "a"], 1, "a"),
        (["", ""], 1, ""), ([], 1, ""), (["a", "a", "b", "b", "b"], 3, "b"), (["b", "a", "b", "b"], 3, "b"), (["b", "a", "a", "b"], 3, ""),
    ],
)  # fmt: skip
def test_what_is_agreed_on_is_the_commonest_text_if_it_is_common_enough(texts, least, text):
    assert agreed(texts, least) == agreed(texts[::-1], least) == text


@pytest.mark.parametrize("count", [1, 4])
def test_as_many_texts_as_asked_for_come_of_each_problems_parts(count):
    texts = by_parts([WHOLE[0], SINGLE, *WHOLE[1:]], model()[0], Random(0), count)
    assert texts == [[WHOLE[0].target] * count, [""] * count, *([p.target] * count for p in WHOLE[1:])]
    assert by_parts(WHOLE, mute, Random(0), count) == [[""] * count] * len(WHOLE)


def test_only_finished_replies_with_steps_and_an_answer_count():
    for reply in (say(STORY.target, False), say("15"), say("|15"), say("13+2=15|"), say("13+2=15|15|15")):
        assert by_parts([STORY], lambda prompts: [reply for _ in prompts], Random(0), 3) == [[""] * 3]


def partly(lost, reply):
    """Perfect, but the first ways get their first reply from a function of their number."""
    (ask, _), rounds = model(), []

    def greedy(prompts):
        rounds.append(prompts)
        return [reply(i) if len(rounds) == 1 and i < lost else c for i, c in enumerate(ask(prompts))]

    return greedy


REPLIES = dict(silent=lambda i: say("", False), wrong=lambda i: say(f"9+9={20 + i}|{20 + i}"), misled=lambda i: say(f"9+{i}=15|15"))


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("count, lost, found", [(4, 0, 1), (4, 1, 1), (4, 2, 0), (4, 3, 0), (8, 2, 1), (8, 3, 0), (1, 0, 1), (2, 1, 0), (3, 0, 1), (3, 1, 0)])
def test_three_of_four_ways_must_agree_in_every_step(count, lost, found, reply):
    assert by_vote([STORY], partly(lost, REPLIES[reply]), forbidden, Random(0), count) == [STORY.target * found]


def test_a_vote_asks_neither_solver_nor_checker_nor_for_samples(monkeypatch):
    known, problems = {}, balanced(dice(1, "votes"), "train", 5, 80)
    ask, asked = model(lambda question: known.setdefault(question, solve(question).target))
    texts, right = by_vote(problems, ask, forbidden, Random(0), 4), [p.target for p in problems]
    assert {*texts} <= {"", *right} and all(t in ("", r) for t, r in zip(texts, right)) and sum(map(bool, texts)) > 48
    for module in (correct, tasks):
        monkeypatch.setattr(module, "check", forbidden)
    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", forbidden)
    again, asked_again = model(known.__getitem__)
    assert by_vote(problems, again, forbidden, Random(0), 4) == texts and asked_again == asked


def test_what_a_model_is_set_on_wins_the_vote_but_not_the_checker():
    ask, _ = model(lambda question: solve(question.replace("eats", "gets")).target)
    wrong = solve(STORY.question.replace("eats", "gets")).target
    assert by_vote([STORY], ask, mute, Random(0), 4) == [wrong] != [STORY.target]
    assert by_self([STORY], ask, lambda prompts: [say(wrong) for _ in prompts], Random(0), 4) == [""]


RIGHT = SINGLE.target


@pytest.mark.parametrize(
    "samples, text",
    [
        ([RIGHT, RIGHT], RIGHT), (["1|1", RIGHT, "", RIGHT], RIGHT), (["x|15", RIGHT, "x|15"], "x|15"), ([RIGHT, "x|15"], ""), ([RIGHT], ""),
        (["1|16", "1|16", "1|16", RIGHT], ""), (["15", "15"], ""), (["|15", "|15"], ""), (["1|15|", "1|15|"], ""), (["x|15", "y|15", "z|15"], ""),
    ],
)  # fmt: skip
def test_self_takes_what_two_samples_say_and_the_checker_accepts(samples, text):
    sample, asked = sampler(*samples)
    assert by_self([SINGLE], mute, sample, Random(0), len(samples)) == [text] and asked == [SINGLE.prompt] * len(samples)
    assert by_self([SINGLE], mute, sampler(*samples, finished=False)[0], Random(0), len(samples)) == [""]


def test_samples_and_parts_agree_with_each_other_and_each_problem_gets_its_own():
    other = solve("ann has 3 pens, buys 4, loses 1: how many?")
    mine, its = STORY.target, other.target
    for samples, texts in [(["x|9", its], ["", its]), ([mine, "3+4=7|6"], [mine, ""]), ([mine, its], [mine, its]), ([its, mine], ["", ""])]:
        assert by_self([STORY, other], model()[0], sampler(*samples)[0], Random(0), 1) == texts
    for samples, texts in [(["", mine, its, its], ["", its]), ([mine, mine, "", its], [mine, ""]), ([mine, its, its, mine], ["", ""])]:
        assert by_self([STORY, other], mute, sampler(*samples)[0], Random(0), 2) == texts
    ask, asked = model()
    sample, sampled = sampler(*["x"] * 8)
    assert by_self([STORY, other], ask, sample, Random(0), 4) == [STORY.target, other.target]
    assert sampled == [STORY.prompt] * 4 + [other.prompt] * 4 and STORY.prompt not in asked


def test_self_is_told_right_or_wrong_and_sees_no_solution(monkeypatch):
    (ask, asked), told = model(), []
    ways = by_parts([STORY], ask, Random(0), 4)[0]
    known = dict(zip(asked[:], ask(asked)))
    monkeypatch.setattr(correct, "check", lambda answer, text: told.append((answer, text)) or check(answer, text))
    for name in ("steps", "target"):
        monkeypatch.setattr(Problem, name, property(forbidden))
    drawn = ["x|9", "8|8", "y|8", "8|8"]
    assert by_self([STORY], lambda prompts: [known[p] for p in prompts], sampler(*drawn)[0], Random(0), 4) == [ways[0]]
    assert told == [("9", text) for text in [*ways, *drawn]]
    monkeypatch.setattr(correct, "check", lambda answer, text: "wrong")
    assert by_self([STORY], lambda prompts: [known[p] for p in prompts], sampler(*drawn)[0], Random(0), 4) == [""]


def test_a_family_without_parts_has_no_texts(monkeypatch):
    monkeypatch.delitem(PARTS, "add")
    problems = [solve("347+586"), solve("586-347")]
    ask, _ = model(lambda question: solve(question).target)
    assert by_parts(problems, ask, dice(1, "parts"), 2) == [["", ""], [problems[1].target] * 2]
