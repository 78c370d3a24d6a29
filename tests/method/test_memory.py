"""The failure memory on disk and in hand."""

import json
from collections import Counter
from dataclasses import asdict, fields
from random import Random

import pytest

from minisi.method.attempt import Attempt, Verdict
from minisi.method.memory import AGAIN, UNSOLVED, Failure, FailureMemory, failure
from minisi.model.generate import Completion
from minisi.run.files import read_rows
from minisi.run.runtime import UserError, dice
from minisi.tasks.arithmetic import Add
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Family
from minisi.tasks.problems import draw, identity


def distinct(split, count):
    """Different problems of a split, of all families."""
    rng = dice(1, f"memory {split}")
    families = list(FAMILIES)
    found = {}
    while len(found) < count:
        problem = draw(rng, split, families[len(found) % len(families)], 3)
        found[identity(problem.question)] = problem
    return list(found.values())


PROBLEMS = distinct("train", 24)
UNREADABLE = b"\xff\xfe"  # as UTF-8


def say(text, finished=True):
    return Completion(text, [5], [1 / 3], finished, [0.5])


def failed(problem, text=None, said="1+1|2", source="solver", kind="wrong"):
    """An answer that failed, and its correction, the right one if no text is given."""
    correction = problem.target if text is None else text
    return Attempt(
        problem,
        completion=say(said),
        verdict=Verdict(kind, 1 / 3, kind == "wrong"),
        correction=correction,
        source=source if correction else UNSOLVED,
    )


def name(problem):
    return identity(problem.question)


class Student:
    """Answers by a table, and notes what it was asked."""

    def __init__(self, table):
        self.table = table
        self.asked = []

    def answer(self, attempts):
        for attempt in attempts:
            self.asked.append(attempt.problem)
            attempt.completion = self.table[attempt.problem]


def knowing(right):
    """A student that knows the first problems right where it says so; all others are wrong."""
    said = {problem: say(f"{problem.target}?") for problem in PROBLEMS}
    for problem, ok in zip(PROBLEMS[: len(right)], right, strict=True):
        if ok:
            said[problem] = say(problem.target)
    return Student(said)


def recalled(memory):
    """The problems that the memory asks once more."""
    student = knowing([])
    memory.recall(student, Random(0))
    return sorted(student.asked, key=PROBLEMS.index)


@pytest.fixture
def memory(tmp_path):
    return FailureMemory(tmp_path / "memory.jsonl")


def test_what_was_stored_is_there_when_it_is_opened_again(memory):
    attempts = [failed(p, text="" if i % 3 == 0 else None) for i, p in enumerate(PROBLEMS)]
    memory.append(attempts[:10], 1)
    memory.append(attempts[10:], 1)
    rows = [failure(attempt, 1) for attempt in attempts]
    assert list(memory.failures.values()) == rows
    assert list(FailureMemory(memory.path).failures.values()) == rows


def test_a_row_holds_the_question_the_mistake_and_the_correction():
    problem = PROBLEMS[0]
    row = failure(failed(problem, said="a,b|c"), 3)
    assert (row.id, row.question) == (name(problem), problem.question)
    assert (row.said, row.wrong_steps) == ("c", "a,b")
    assert (row.round, row.kind, row.source) == (3, "wrong", "solver")
    assert (row.prompt, row.completion) == (problem.prompt, problem.target)
    assert (row.steps, row.answer) == (problem.steps, problem.answer)
    assert row.confidence == pytest.approx(1 / 3, abs=1e-5)
    assert row.problem == problem


@pytest.mark.parametrize("said", ["", "junk", "|", "a|b|c"])
def test_every_row_has_the_same_keys_and_types_and_no_nulls(said, memory):
    texts = [None, ""] * 5
    problems = PROBLEMS[: len(texts)]
    memory.append([failed(p, t, said) for p, t in zip(problems, texts, strict=True)], 1)
    types = {field.name: field.type for field in fields(Failure)}
    for line in memory.path.read_text().splitlines():
        row = json.loads(line)
        assert {key: type(value) for key, value in row.items()} == types


def test_the_last_row_of_a_problem_counts(memory):
    memory.append([failed(PROBLEMS[0], text=""), failed(PROBLEMS[1])], 1)
    memory.append([failed(PROBLEMS[0])], 2)
    for held in (memory, FailureMemory(memory.path)):
        assert len(held.failures) == 2
        assert held.failures[name(PROBLEMS[0])].round == 2
        assert held.unsolved() == []


def test_the_last_row_counts_within_a_round_too(memory):
    memory.append([failed(PROBLEMS[0], text=""), failed(PROBLEMS[1]), failed(PROBLEMS[0])], 1)
    for held in (memory, FailureMemory(memory.path)):
        assert len(held.failures) == 2
        assert held.failures[name(PROBLEMS[0])].completion == PROBLEMS[0].target
        assert held.unsolved() == []


def test_problems_are_parted_by_having_a_correction(memory):
    solved = [failed(PROBLEMS[1]), failed(PROBLEMS[2], source="self")]
    unsolved = [failed(PROBLEMS[0], text=""), failed(PROBLEMS[3], text="", source="self")]
    memory.append([unsolved[0], *solved, unsolved[1]], 1)
    assert memory.failures[name(PROBLEMS[0])].source == UNSOLVED
    assert memory.unsolved() == [PROBLEMS[0], PROBLEMS[3]]
    assert recalled(memory) == PROBLEMS[1:3]


@pytest.mark.parametrize("unsolved", [0, 3, AGAIN, AGAIN + 40])
def test_of_what_found_no_correction_the_newest_are_kept_in_order(unsolved, memory):
    problems = distinct("train", unsolved)
    attempts = [failed(problem, text="") for problem in problems]
    memory.append(attempts, 1)
    memory.append(attempts[:1], 2)  # to fail once more makes no question new
    for held in (memory, FailureMemory(memory.path)):
        assert held.unsolved() == problems[-AGAIN:]


def test_what_was_only_unsure_is_learned_from_but_not_asked_again(memory):
    unsure = failed(PROBLEMS[1], source="own", kind="unsure")
    memory.append([failed(PROBLEMS[0]), unsure, failed(PROBLEMS[2], text="")], 1)
    memory.append([failed(PROBLEMS[2], source="own", kind="right")], 1)  # right in the end
    for held in (memory, FailureMemory(memory.path)):
        assert recalled(held) == PROBLEMS[:1]
        assert held.unsolved() == []
        assert held.unknown(PROBLEMS[:3]) == []
        drawn = {row.question for row in held.sample(Random(0), 100, 1, 0.5)}
        assert drawn == {problem.question for problem in PROBLEMS[:3]}


def test_unknown_problems_come_once_each(memory):
    memory.append([failed(problem) for problem in PROBLEMS[:5]], 1)
    assert memory.unknown(PROBLEMS + PROBLEMS) == PROBLEMS[5:]


@pytest.mark.parametrize("left", [1, 30, -1])
def test_a_torn_last_line_is_dropped_and_the_file_goes_on(left, memory):
    memory.append([failed(problem) for problem in PROBLEMS[:4]], 1)
    *whole, last = memory.path.read_text().splitlines()
    lines = [f"{line}\n" for line in whole]
    memory.path.write_text("".join(lines) + last[:left])
    again = FailureMemory(memory.path)
    assert len(again.failures) == 3
    again.append([failed(PROBLEMS[7])], 1)
    assert len(FailureMemory(memory.path).failures) == 4


def lines_of(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


MISFITS = [
    ({"answer": "12"}, "its completion should be"),
    ({"question": "1-1"}, "its id should be"),
    ({"family": "none"}, "no question of none"),
    ({"family": "chain"}, "no question of chain"),
    ({"question": "what?", "prompt": "what?|"}, "what"),
    ({"more": 1}, "more"),
    ({"level": "4"}, "its level is no int"),
    ({"round": None}, "its round is no int"),
    ({"confidence": "0.5"}, "its confidence is no float"),
    ({"question": 5}, "its question is no str"),
    ({"source": "unsolved"}, "its source is not unsolved"),
    ({"steps": "", "answer": "", "completion": "|"}, "has steps and an answer"),
]


@pytest.mark.parametrize(("changed", "named"), MISFITS)
def test_a_row_that_was_edited_so_that_it_does_not_fit_is_named(changed, named, memory):
    memory.append([failed(problem) for problem in PROBLEMS[:3]], 1)
    rows = read_rows(memory.path)
    rows[1] |= changed
    memory.path.write_text(lines_of(rows))
    with pytest.raises(UserError, match=f"line 2 can't be used: .*{named}"):
        FailureMemory(memory.path)


def test_a_row_of_another_split_is_no_row_of_a_memory(memory):
    memory.append([failed(problem) for problem in PROBLEMS[:2]], 1)
    (other,) = distinct("test", 1)
    row = failure(failed(other), 1)
    memory.path.write_text(lines_of([*read_rows(memory.path), asdict(row)]))
    with pytest.raises(UserError, match="line 3 can't be used: its question is kept for tests"):
        FailureMemory(memory.path)


@pytest.mark.parametrize("damage", [b"{", b"", b"[]", b"7", b'{"id": "x"}', UNREADABLE])
def test_a_damaged_line_in_the_middle_is_the_users_error(damage, memory):
    memory.append([failed(problem) for problem in PROBLEMS[:3]], 1)
    lines = memory.path.read_bytes().splitlines()
    memory.path.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    with pytest.raises(UserError, match=r"memory\.jsonl"):
        FailureMemory(memory.path)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_problem_of_dev_or_test_is_never_stored(split, memory):
    for problem in distinct(split, 8):
        with pytest.raises(AssertionError, match="leak"):
            memory.append([failed(problem)], 1)
    assert not memory.failures
    assert not memory.path.exists()


def test_relapses_are_those_that_were_right_and_are_wrong_again(memory):
    memory.append([failed(problem) for problem in PROBLEMS[:4]], 1)
    assert memory.recall(knowing([True, True, False, False]), Random(0)) == 0
    assert memory.recall(knowing([True, False, True, False]), Random(0)) == 1
    assert memory.recall(knowing([False, False, False, True]), Random(0)) == 2
    assert memory.recall(knowing([True, True, True, True]), Random(0)) == 0
    memory.append([failed(PROBLEMS[0])], 2)  # not right any more, so it can't relapse
    assert memory.recall(knowing([False] * 4), Random(0)) == 3


def test_no_more_is_recalled_than_is_allowed_and_what_is_differs(memory, monkeypatch):
    monkeypatch.setattr("minisi.method.memory.RECALLED", 3)
    memory.append([failed(problem) for problem in PROBLEMS[:8]], 1)
    asked = []
    for seed in range(30):
        student = knowing([])
        memory.recall(student, Random(seed))
        asked.append({problem.question for problem in student.asked})
    assert {len(questions) for questions in asked} == {3}
    assert set.union(*asked) == {problem.question for problem in PROBLEMS[:8]}


def test_an_answer_is_recalled_if_it_ends_as_the_stored_correction_does(memory, monkeypatch):
    """Be that right or not: no solver is asked."""
    problems = PROBLEMS[:8]
    ids = [name(problem) for problem in problems]
    memory.append([failed(p, text="some steps|77", source="vote") for p in problems], 1)
    right = knowing([True] * 8)
    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", None)

    said = [say("other steps|77", finished=i % 2 == 0) for i in range(8)]
    assert memory.recall(Student(dict(zip(problems, said, strict=True))), Random(0)) == 0
    assert [memory.right[i] for i in ids] == [True, False] * 4  # unfinished is not right
    assert memory.recall(right, Random(0)) == 4
    assert not any(memory.right.values())
    assert sorted(right.asked, key=problems.index) == problems


def test_a_failure_that_is_alone_in_its_round_does_not_fill_a_lesson(memory):
    memory.append([failed(problem) for problem in PROBLEMS[:8]], 1)
    memory.append([failed(PROBLEMS[9])], 2)
    drawn = Counter(row.question for row in memory.sample(Random(0), 4000, 2, 0.5))
    assert drawn[PROBLEMS[9].question] == 100
    assert sum(drawn.values()) == 4000


@pytest.mark.parametrize("newest", [0.0, 0.25, 0.5, 1.0])
def test_samples_are_shared_between_this_round_and_before(newest, memory):
    memory.append([failed(problem) for problem in PROBLEMS[:10]], 1)
    memory.append([failed(problem) for problem in PROBLEMS[10:20]], 2)
    memory.append([failed(problem, text="") for problem in PROBLEMS[20:]], 2)
    drawn = memory.sample(Random(0), 400, 2, newest)
    new = int(400 * newest)
    assert Counter(row.round for row in drawn) == Counter({2: new, 1: 400 - new})
    assert all(row.completion for row in drawn)
    assert drawn == memory.sample(Random(0), 400, 2, newest)
    assert drawn != memory.sample(Random(1), 400, 2, newest)


def test_of_the_old_failures_those_that_still_fail_come_four_times_as_often(memory):
    memory.append([failed(problem) for problem in PROBLEMS[:10]], 1)
    memory.recall(knowing([True] * 5), Random(0))
    mastered = {name(problem) for problem in PROBLEMS[:5]}
    drawn = [row.id in mastered for row in memory.sample(Random(0), 20_000, 2, 0.5)]
    assert sum(drawn) / len(drawn) == pytest.approx(1 / 5, abs=0.015)


STORED = {"only new": ([2], 50), "only old": ([1], 50), "empty": ([], 0)}


@pytest.mark.parametrize(("rounds", "expected"), STORED.values(), ids=STORED)
def test_a_sample_fills_up_with_what_there_is(rounds, expected, memory):
    for round in rounds:
        memory.append([failed(problem) for problem in PROBLEMS[:3]], round)
    assert len(memory.sample(Random(0), 50, 2, 0.5)) == expected


class Ordered(Add):
    """Sums whose order matters, which look like those of `add`."""

    canonical = Family.canonical


def test_a_problem_is_known_by_its_own_family_where_two_look_alike(memory, monkeypatch):
    monkeypatch.setitem(FAMILIES, "ordered", Ordered())
    rng = dice(1, "look alike")
    problems = [draw(rng, "train", "ordered", 3) for _ in range(40)]
    assert any(identity(p.question) != identity(p.question, "ordered") for p in problems)
    memory.append([failed(problem) for problem in problems], 1)
    assert set(memory.failures) == {identity(p.question, "ordered") for p in problems}
    assert memory.unknown(problems) == []


def test_what_was_never_as_its_correction_says_cannot_relapse(memory):
    attempt = failed(PROBLEMS[0])
    attempt.verdict = attempt.verdict._replace(kind="unsure")  # as `vote` calls it
    memory.append([attempt], 1)
    assert not any(memory.right.values())
    assert memory.recall(Student({PROBLEMS[0]: say("1|1")}), Random(0)) == 0
