"""The teachers, with students that are perfect, silent or set in their ways."""

from itertools import islice, product
from math import ceil
from types import SimpleNamespace

import pytest
import torch

from minisi.method import teacher
from minisi.method.attempt import Attempt, Verdict
from minisi.method.teacher import TEACHERS, Nobody, Teacher, agreed
from minisi.model.generate import Completion
from minisi.run.config import Config
from minisi.run.runtime import UserError, dice, torch_dice
from minisi.tasks import problems
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Family
from minisi.tasks.problems import BAR, Problem, balanced, check, solve

STREAM = ("teacher", 1)
STORY = solve("mia has 13 shells, finds 2, loses 4, buys 7, eats 9: how many?")
# These are taken apart.
WHOLE = [STORY, solve("3474+5867"), solve("sort 5 2 8 3 9"), solve("c>f,a>c,f>b,b>e from a 4")]
# This is too small for that, and asked as it is.
SINGLE = solve("leo has 13 cups, finds 2: how many?")
OTHER = solve("ann has 3 pens, buys 4, loses 1: how many?")


def say(text, finished=True):
    return Completion(text, [1], [0.5], finished, [0.5])


def forbidden(*_):
    raise AssertionError("this may not be asked")


def mute(prompts):
    return [say("", False) for _ in prompts]


def answering(target):
    """Answers each question by a function of it."""

    def answer(prompts):
        return [say(target(prompt.removesuffix("|"))) for prompt in prompts]

    return answer


perfect = answering(lambda question: solve(question).target)


def silent_on(problem):
    """Perfect, but says nothing to this one."""

    def answer(prompts):
        said = zip(prompts, perfect(prompts), strict=True)
        return [say("", False) if prompt == problem.prompt else reply for prompt, reply in said]

    return answer


def always(text):
    return answering(lambda question: text)


def sampler(*texts, finished=True):
    """Says the texts in order."""
    return lambda prompts: [say(text, finished) for text in texts]


class Student:
    """Has one function for greedy answers and one for samples, and notes what it was asked."""

    def __init__(self, greedy, sampled=forbidden):
        self.model = SimpleNamespace(head=torch.nn.Linear(1, 1))
        self.greedy = greedy
        self.sampled = sampled
        self.asked = []
        self.drawn = []
        self.sampling = {}

    def complete(self, prompts, **sampling):
        if sampling:
            self.drawn += prompts
            self.sampling = sampling
            return self.sampled(prompts)
        self.asked += prompts
        return self.greedy(prompts)


def corrections(name, asked, student, samples=4):
    return TEACHERS[name](Config(samples=samples), student).solutions(asked, STREAM)


def ways_of(student, questions, count):
    """What so many ways through each question's parts come to."""
    rng = dice(1, *STREAM)
    return teacher.by_parts(questions, rng, count, Teacher(Config(), student).asking(rng, 0))


def by_parts(asked, greedy, samples):
    return ways_of(Student(greedy), [problem.question for problem in asked], samples)


def test_the_solvers_corrections_are_right_and_ask_no_model():
    student = Student(forbidden, forbidden)
    texts = corrections("solver", WHOLE, student)
    kinds = [check(problem.answer, text) for problem, text in zip(WHOLE, texts, strict=True)]
    assert kinds == ["right"] * len(WHOLE)
    assert student.asked == student.drawn == []


@pytest.mark.parametrize("name", TEACHERS)
def test_no_problems_need_no_corrections(name):
    assert corrections(name, [], Student(mute, mute)) == []


AGREED = [
    (["a", "b", "a"], 2, "a"),
    (["a", "b", "a"], 3, ""),
    (["a"], 1, "a"),
    (["", "", "", "a"], 2, ""),
    (["", "", "", "a"], 1, "a"),
    (["", ""], 1, ""),
    ([], 1, ""),
    (["a", "a", "b", "b", "b"], 3, "b"),
    (["b", "a", "b", "b"], 3, "b"),
    (["b", "a", "a", "b"], 3, ""),
]


@pytest.mark.parametrize(("texts", "least", "text"), AGREED)
def test_what_is_agreed_on_is_the_commonest_text_if_it_is_common_enough(texts, least, text):
    assert agreed(texts, least) == text
    assert agreed(texts[::-1], least) == text


@pytest.mark.parametrize("samples", [1, 4])
def test_as_many_texts_as_asked_for_come_of_each_problems_parts(samples):
    asked = [WHOLE[0], SINGLE, *WHOLE[1:]]
    wanted = [[problem.target] * samples for problem in asked]
    assert by_parts(asked, perfect, samples) == wanted
    assert by_parts(WHOLE, mute, samples) == [[""] * samples] * len(WHOLE)


def test_a_question_that_comes_up_more_than_once_is_asked_once():
    student = Student(perfect)
    ways_of(student, ["3 xor 5"], 4)
    assert student.asked == ["3 xor 5|", "5 xor 3|"]


def test_nor_is_it_asked_again_when_it_comes_up_later():
    student = Student(perfect)
    ways_of(student, ["222*3"], 4)
    assert student.asked == ["2*3|", "3*2|", "6+0|", "0+6|"]


def test_nor_when_a_further_way_comes_to_it(monkeypatch):
    ends = iter(["7|7", "", "7|7", "7|7"])

    def way(question, rng):
        yield "3+4"
        return next(ends)

    monkeypatch.setattr(teacher, "way_of", way)
    student = Student(perfect)
    assert Teacher(Config(samples=4), student).voted(["7"], dice(1, *STREAM), 0) == ["7|7"]
    assert list(ends) == []
    assert student.asked == ["3+4|"]


def up_to(level):
    """A student who knows the questions of some levels, and talks nonsense about others."""

    def greedy(prompts):
        asked = [solve(prompt.removesuffix(BAR)) for prompt in prompts]
        known = [problem.target if problem.level <= level else "" for problem in asked]
        return [say(text or f"x|{i}") for i, text in enumerate(known)]

    return Student(greedy)


# A sum of six digits comes of sums of four, and those of sums of three.
DEEP = [(4, 1, True), (3, 1, False), (3, 2, True), (2, 2, False)]


@pytest.mark.parametrize(("level", "depth", "found"), DEEP)
def test_parts_are_taken_apart_as_deep_as_is_allowed_where_their_ways_do_not_agree(
    level, depth, found
):
    problem = solve("123456+654321")
    (text,) = TEACHERS["vote"](Config(depth=depth), up_to(level)).solutions([problem], STREAM)
    assert text == (problem.target if found else "")


def test_what_the_ways_agree_on_is_taken_apart_no_further():
    students = [up_to(4), up_to(4)]
    for depth, student in zip((1, 4), students, strict=True):
        texts = TEACHERS["vote"](Config(depth=depth), student).solutions(WHOLE, STREAM)
        assert all(texts)
    assert students[0].asked == students[1].asked


UNFIT = [
    say(STORY.target, False),
    say("15"),
    say("|15"),
    say("13+2=15|"),
    say("13+2=15|15|15"),
]


@pytest.mark.parametrize("reply", UNFIT, ids=lambda reply: reply.text)
def test_only_finished_replies_with_steps_and_an_answer_count(reply):
    assert by_parts([STORY], lambda prompts: [reply for _ in prompts], 3) == [[""] * 3]


def test_a_family_without_parts_has_no_texts(monkeypatch):
    monkeypatch.setattr(FAMILIES["add"], "parts", Family().parts)
    asked = [solve("347+586"), solve("586-347")]
    assert by_parts(asked, perfect, 2) == [["", ""], [asked[1].target] * 2]


OTHERS = {
    "silent": lambda i: "",
    "wrong": lambda i: f"9+9={20 + i}|{20 + i}",
    "misled": lambda i: f"{STORY.target}{i}",
}


VOTES = [  # ways, how many of them are misled, whether the others decide
    (4, 0, True),
    (4, 1, True),
    (4, 2, False),
    (4, 3, False),
    (8, 2, True),
    (8, 3, False),
    (1, 0, True),
    (2, 1, False),
    (3, 0, True),
    (3, 1, False),
]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(("samples", "lost", "decided"), VOTES)
def test_three_of_four_ways_must_agree_in_every_step(samples, lost, decided, other, monkeypatch):
    ways = [OTHERS[other](i) if i < lost else STORY.target for i in range(samples)]
    monkeypatch.setattr(teacher, "by_parts", walked(iter(ways)))
    wanted = STORY.target if decided else ""
    assert corrections("vote", [STORY], Student(forbidden), samples) == [wanted]


def walked(ways):
    """Takes the place of `by_parts`, for one question: the next of its ways."""
    return lambda questions, rng, count, ask: [list(islice(ways, count)) for _ in questions]


@pytest.mark.parametrize("samples", range(1, 9))
def test_the_last_ways_are_tried_where_they_can_decide_and_nowhere_else(samples, monkeypatch):
    least = ceil(0.75 * samples)
    for first in product(("", "a", "b"), repeat=least):
        outcomes = set()
        tried = set()
        for rest in product(("", "a", "b"), repeat=samples - least):
            ways = iter([*first, *rest])
            monkeypatch.setattr(teacher, "by_parts", walked(ways))
            (found,) = Teacher(Config(samples=samples), None).voted(["3+4"], dice(1, *STREAM), 0)
            outcomes.add(agreed([*first, *rest], least))
            assert found == agreed([*first, *rest], least)
            tried.add(next(ways, None) is None)
        if samples > least:
            assert tried == {len(outcomes) > 1}


def test_a_vote_asks_neither_solver_nor_checker_nor_for_samples(monkeypatch):
    known = {}

    def note(question):
        known[question] = solve(question).target
        return known[question]

    asked = balanced(dice(1, "votes"), "train", 5, 80)
    first = Student(answering(note))
    texts = corrections("vote", asked, first)
    for text, problem in zip(texts, asked, strict=True):
        assert text in ("", problem.target)
    assert sum(map(bool, texts)) > 48

    for module in (teacher, problems):
        monkeypatch.setattr(module, "check", forbidden)
    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", forbidden)
    second = Student(answering(known.__getitem__))
    assert corrections("vote", asked, second) == texts
    assert second.asked == first.asked


def test_what_a_model_is_set_on_wins_the_vote_but_not_the_checker():
    def mistaken(question):
        return solve(question.replace("eats", "gets")).target

    wrong = mistaken(STORY.question)
    assert wrong != STORY.target
    student = Student(answering(mistaken), always(wrong))
    assert corrections("vote", [STORY], student) == [wrong]
    assert corrections("self", [STORY], student) == [""]


RIGHT = SINGLE.target
SAMPLED = [
    ([RIGHT, RIGHT], RIGHT),
    (["1|1", RIGHT, "", RIGHT], RIGHT),
    (["x|15", RIGHT, "x|15"], "x|15"),
    ([RIGHT, "x|15"], ""),
    ([RIGHT], ""),
    (["1|16", "1|16", "1|16", RIGHT], ""),
    (["15", "15"], ""),
    (["|15", "|15"], ""),
    (["1|15|", "1|15|"], ""),
    (["x|15", "y|15", "z|15"], ""),
]


@pytest.mark.parametrize(("samples", "text"), SAMPLED)
def test_self_takes_what_two_samples_say_and_the_checker_accepts(samples, text):
    student = Student(mute, sampler(*samples))
    assert corrections("self", [SINGLE], student, len(samples)) == [text]
    assert student.drawn == [SINGLE.prompt] * len(samples)

    unfinished = Student(mute, sampler(*samples, finished=False))
    assert corrections("self", [SINGLE], unfinished, len(samples)) == [""]


def test_samples_are_drawn_at_the_temperature_and_from_the_stream_that_are_given():
    student = Student(mute, mute)
    corrections("self", [SINGLE], student)
    assert student.sampling["temperature"] == Config().temperature
    state = torch_dice("cpu", Config().seed, *STREAM).get_state()
    assert torch.equal(student.sampling["generator"].get_state(), state)


MINE = STORY.target
ITS = OTHER.target
WITH_PARTS = [  # a sample of each
    (["x|9", ITS], ["", ITS]),
    ([MINE, "3+4=7|6"], [MINE, ""]),
    ([MINE, ITS], [MINE, ITS]),
    ([ITS, MINE], ["", ""]),
]
WITHOUT_PARTS = [  # two samples of each
    (["", MINE, ITS, ITS], ["", ITS]),
    ([MINE, MINE, "", ITS], [MINE, ""]),
    ([MINE, ITS, ITS, MINE], ["", ""]),
]


@pytest.mark.parametrize(("samples", "texts"), WITH_PARTS)
def test_a_sample_and_a_text_of_parts_agree_with_each_other(samples, texts):
    student = Student(perfect, sampler(*samples))
    assert corrections("self", [STORY, OTHER], student, samples=1) == texts


@pytest.mark.parametrize(("samples", "texts"), WITHOUT_PARTS)
def test_each_problem_gets_the_samples_of_its_own(samples, texts):
    student = Student(mute, sampler(*samples))
    assert corrections("self", [STORY, OTHER], student, samples=2) == texts


def test_the_texts_of_parts_are_enough_and_the_whole_question_is_only_sampled():
    student = Student(perfect, always("x"))
    assert corrections("self", [STORY, OTHER], student) == [MINE, ITS]
    assert student.drawn == [STORY.prompt] * 4 + [OTHER.prompt] * 4
    assert STORY.prompt not in student.asked


def test_self_is_told_right_or_wrong_and_sees_no_solution(monkeypatch):
    known = {}

    def note(question):
        known[question] = solve(question).target
        return known[question]

    (ways,) = by_parts([STORY], answering(note), 4)
    drawn = ["x|9", "8|8", "y|8", "8|8"]
    told = []

    def noted(answer, text):
        told.append((answer, text))
        return check(answer, text)

    for name in ("steps", "target"):
        monkeypatch.setattr(Problem, name, property(forbidden))
    monkeypatch.setattr(teacher, "check", noted)
    student = Student(answering(known.__getitem__), sampler(*drawn))
    assert corrections("self", [STORY], student) == [ways[0]]
    assert told == [("9", text) for text in [*ways, *drawn]]

    monkeypatch.setattr(teacher, "check", lambda answer, text: "wrong")
    assert corrections("self", [STORY], student) == [""]


SOURCES = [
    ("solver", ["solver", "solver"]),
    ("self", ["self", "unsolved"]),
    ("vote", ["vote", "unsolved"]),
]


@pytest.mark.parametrize(("name", "sources"), SOURCES)
def test_a_correction_names_its_teacher_and_where_there_is_none_it_is_unsolved(name, sources):
    attempts = [Attempt(STORY), Attempt(SINGLE)]
    student = Student(silent_on(SINGLE), mute)
    TEACHERS[name](Config(), student).correct(attempts, STREAM)
    assert [attempt.source for attempt in attempts] == sources
    for attempt in attempts:
        solved = attempt.source != "unsolved"
        assert attempt.correction == (attempt.problem.target if solved else "")


@pytest.mark.parametrize(("name", "count"), [("solver", 2), ("self", 2), ("vote", 1)])
def test_without_a_key_only_what_was_agreed_on_can_be_marked(name, count):
    attempts = [Attempt(STORY), Attempt(SINGLE)]
    marking = TEACHERS[name](Config(), Student(silent_on(SINGLE)))
    assert marking.markable(attempts, STREAM) == attempts[:count]


SAID = [("x|7", True), ("y|7", True), ("x|8", True), ("x|7", False), ("7", True)]
ENDING = {
    "7": [True, True, False, False, False],
    "8": [False, False, True, False, False],
    "1": [False] * 5,
}


def answered(problem, correction=""):
    """All of SAID, beside a correction."""
    said = [say(text, finished) for text, finished in SAID]
    return [Attempt(problem, completion=c, correction=correction) for c in said]


@pytest.mark.parametrize("name", ["solver", "self"])
@pytest.mark.parametrize("key", ENDING)
def test_with_a_key_what_ends_in_it_is_right(key, name):
    marking = TEACHERS[name](Config(), Student(forbidden))
    attempts = answered(solve(f"{key}+0"), correction="x|3")
    assert [marking.says(attempt) for attempt in attempts] == ENDING[key]


@pytest.mark.parametrize("answer", ENDING)
def test_without_a_key_what_ends_as_the_correction_does_is_held_to_be_right(answer, monkeypatch):
    monkeypatch.setattr(FAMILIES["add"], "solve", forbidden)
    marking = Nobody(Config(), Student(forbidden))
    attempts = answered(Problem("add", 1, "3+4"), correction=f"steps|{answer}")
    assert [marking.says(attempt) for attempt in attempts] == ENDING[answer]


def test_with_neither_key_nor_correction_nothing_is_said():
    marking = Nobody(Config(), Student(forbidden))
    assert [marking.says(attempt) for attempt in answered(solve("3+4"))] == [None] * 5


VOUCHED = [  # text, kind: who vouches for its steps
    (RIGHT, "right", ["solver", "self", "vote"]),
    (RIGHT, "unsure", ["solver"]),
    ("x|15", "right", ["self", "vote"]),
    ("x|15", "unsure", []),
    (f"{RIGHT}|", "unparsable", []),
    ("1|16", "wrong", []),
]


@pytest.mark.parametrize(("text", "kind", "names"), VOUCHED)
def test_a_solver_vouches_for_its_own_steps_and_others_for_what_is_right_and_sure(
    text, kind, names
):
    attempt = Attempt(SINGLE, completion=say(text), verdict=Verdict(kind, 0.5, False))
    found = [name for name in TEACHERS if TEACHERS[name](Config(), None).vouches(attempt)]
    assert found == names


def test_an_answer_that_came_to_no_end_has_no_right_steps():
    verdict = Verdict("unparsable", 0.5, True)
    attempt = Attempt(SINGLE, completion=say(RIGHT, False), verdict=verdict)
    assert not any(kind(Config(), None).vouches(attempt) for kind in TEACHERS.values())


def test_without_a_solver_nobody_vouches_by_the_key(monkeypatch):
    monkeypatch.setattr(FAMILIES["story"], "solve", forbidden)
    attempt = Attempt(SINGLE, completion=say(RIGHT), verdict=Verdict("right", 0.5, False))
    for name in ("self", "vote"):
        assert TEACHERS[name](Config(), None).vouches(attempt)


@pytest.mark.parametrize(
    ("texts", "error", "told"),
    [
        ([], ValueError, "zip"),
        (["1+1=2|2"], ValueError, "zip"),
        (["1+1=2|2", "2"], UserError, "careless gave '2'"),
        (["1+1=2|2", "|2"], UserError, r"careless gave '\|2'"),
    ],
)
def test_a_teacher_that_breaks_its_contract_is_stopped_at_once(texts, error, told):
    class Careless(Teacher):
        name = "careless"

        def solutions(self, problems, stream):
            return texts

    attempts = [Attempt(problem) for problem in WHOLE[:2]]
    with pytest.raises(error, match=told):
        Careless(Config(), None).correct(attempts, STREAM)
