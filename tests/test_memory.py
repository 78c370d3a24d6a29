"""The failure memory on disk and in hand."""

import json
from collections import Counter
from dataclasses import fields
from random import Random

import pytest

from minisi.detect import Verdict
from minisi.families import FAMILIES
from minisi.generate import Completion
from minisi.memory import UNSOLVED, Failure, FailureMemory, failure
from minisi.runtime import UserError, dice
from minisi.tasks import draw, identity


def distinct(split="train", count=24):
    rng, found = dice(1, f"memory {split}"), {}
    while len(found) < count:
        p = draw(rng, split, list(FAMILIES)[len(found) % len(FAMILIES)], 3)
        found[identity(p.question)] = p
    return list(found.values())


PROBLEMS = distinct()


def row(problem, round=1, text=None, said="1+1|2", source="solver", kind="wrong"):
    return failure(problem, Completion(said, [5], [1 / 3], True, [0.5]), Verdict(kind, 1 / 3), problem.target if text is None else text, source, round)


def says(problems, right):
    """Answers that are right or wrong."""
    return [Completion(p.target if ok else f"{p.steps}|{p.answer}?", [5], [0.5], True, [0.5]) for p, ok in zip(problems, right, strict=True)]


@pytest.fixture
def memory(tmp_path):
    return FailureMemory(tmp_path / "memory.jsonl")


def test_what_was_stored_is_there_when_it_is_opened_again(memory):
    rows = [row(p, text="" if i % 3 == 0 else None) for i, p in enumerate(PROBLEMS)]
    memory.append(rows[:10])
    memory.append(rows[10:])
    assert list(FailureMemory(memory.path).failures.values()) == list(memory.failures.values()) == rows


def test_a_row_holds_the_question_the_mistake_and_the_correction():
    p = PROBLEMS[0]
    r = row(p, round=3, said="a,b|c")
    assert (r.id, r.question, r.said, r.wrong_steps, r.round, r.kind, r.source) == (identity(p.question), p.question, "c", "a,b", 3, "wrong", "solver")
    assert (r.prompt, r.completion, r.steps, r.answer) == (p.prompt, p.target, p.steps, p.answer) and r.confidence == pytest.approx(1 / 3, abs=1e-5)


@pytest.mark.parametrize("said", ["", "junk", "|", "a|b|c"])
def test_every_row_has_the_same_keys_and_types_and_no_nulls(said, memory):
    memory.append([row(p, text=text, said=said) for p, text in zip(PROBLEMS, [None, ""] * 5)])
    for line in memory.path.read_text().splitlines():
        assert {k: type(v) for k, v in json.loads(line).items()} == {f.name: f.type for f in fields(Failure)}


def test_the_last_row_of_a_problem_counts(memory):
    memory.append([row(PROBLEMS[0], text=""), row(PROBLEMS[1]), row(PROBLEMS[0], round=2)])
    for m in (memory, FailureMemory(memory.path)):
        assert len(m.failures) == 2 and m.failures[identity(PROBLEMS[0].question)].round == 2 and m.problems(solved=False) == []


def test_problems_are_parted_by_having_a_correction(memory):
    memory.append([row(PROBLEMS[0], text=""), row(PROBLEMS[1]), row(PROBLEMS[2], source="self"), row(PROBLEMS[3], text="", source="self")])
    assert memory.failures[identity(PROBLEMS[0].question)].source == UNSOLVED
    assert memory.problems(solved=False) == [PROBLEMS[0], PROBLEMS[3]] and memory.problems(solved=True) == PROBLEMS[1:3]


def test_what_was_only_unsure_is_learned_from_but_not_asked_again(memory):
    memory.append([row(PROBLEMS[0]), row(PROBLEMS[1], source="own", kind="unsure"), row(PROBLEMS[2], text="")])
    memory.append([row(PROBLEMS[2], source="own", kind="right")])  # found right in the end
    for m in (memory, FailureMemory(memory.path)):
        assert m.problems(solved=True) == PROBLEMS[:1] and m.problems(solved=False) == [] == m.unknown(PROBLEMS[:3])
        assert {f.question for f in m.sample(Random(0), 100, 1, 0.5)} == {p.question for p in PROBLEMS[:3]}


def test_unknown_problems_come_once_each(memory):
    memory.append([row(p) for p in PROBLEMS[:5]])
    assert memory.unknown(PROBLEMS + PROBLEMS) == PROBLEMS[5:]


@pytest.mark.parametrize("torn", [1, 30, 10**6])
def test_a_torn_last_line_is_dropped_and_the_file_goes_on(torn, memory):
    memory.append([row(p) for p in PROBLEMS[:4]])
    whole = memory.path.read_text().splitlines(keepends=True)
    memory.path.write_text("".join(whole[:3]) + whole[3][:-1][:torn])
    again = FailureMemory(memory.path)
    assert len(again.failures) == 3
    again.append([row(PROBLEMS[7])])
    assert len(FailureMemory(memory.path).failures) == 4


NOT_UTF8 = b"\xff\xfe"


@pytest.mark.parametrize("damage", [b"{", b"", b"[]", b"7", b'{"id": "x"}', NOT_UTF8])
def test_a_damaged_line_in_the_middle_is_the_users_error(damage, memory):
    memory.append([row(p) for p in PROBLEMS[:3]])
    lines = memory.path.read_bytes().splitlines()
    memory.path.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    with pytest.raises(UserError, match=r"memory\.jsonl"):
        FailureMemory(memory.path)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_problem_of_dev_or_test_is_never_stored(split, memory):
    for p in distinct(split, 8):
        with pytest.raises(AssertionError, match="leak"):
            memory.append([row(p)])
    assert not memory.failures and not memory.path.exists()


def test_relapses_are_those_that_were_right_and_are_wrong_again(memory):
    memory.append([row(p) for p in PROBLEMS[:4]])
    answers = [[True, True, False, False], [True, False, True, False], [False, False, False, True], [True] * 4]
    assert [memory.recall(PROBLEMS[:4], says(PROBLEMS[:4], right)) for right in answers] == [0, 1, 2, 0]
    memory.append([row(PROBLEMS[0], round=2)])  # it failed again: not right any more, so it can't relapse
    assert memory.recall(PROBLEMS[:4], says(PROBLEMS[:4], [False] * 4)) == 3


def test_an_answer_is_recalled_if_it_ends_as_the_stored_correction_does_be_that_right_or_not_and_no_solver_is_asked(memory, monkeypatch):
    memory.append([row(p, text="some steps|77", source="vote") for p in PROBLEMS[:8]])
    right = says(PROBLEMS[:8], [True] * 8)
    for family in FAMILIES.values():
        monkeypatch.setattr(family, "solve", None)
    said = [Completion("other steps|77", [5], [0.5], i % 2 == 0, [0.5]) for i in range(8)]
    assert memory.recall(PROBLEMS[:8], said) == 0
    assert [memory.right[identity(p.question)] for p in PROBLEMS[:8]] == [True, False] * 4  # unfinished is not right
    assert memory.recall(PROBLEMS[:8], right) == 4 and not any(memory.right.values())
    assert memory.problems(solved=True) == PROBLEMS[:8]


@pytest.mark.parametrize("newest", [0.0, 0.25, 0.5, 1.0])
def test_samples_are_shared_between_this_round_and_before(newest, memory):
    memory.append([row(p, round=1) for p in PROBLEMS[:10]] + [row(p, round=2) for p in PROBLEMS[10:20]] + [row(p, round=2, text="") for p in PROBLEMS[20:]])
    drawn = memory.sample(Random(0), 400, 2, newest)
    assert Counter(f.round for f in drawn) == Counter({2: int(400 * newest), 1: 400 - int(400 * newest)})
    assert all(f.completion for f in drawn) and drawn == memory.sample(Random(0), 400, 2, newest) != memory.sample(Random(1), 400, 2, newest)


def test_of_the_old_failures_those_that_still_fail_come_four_times_as_often(memory):
    memory.append([row(p) for p in PROBLEMS[:10]])
    memory.recall(PROBLEMS[:5], says(PROBLEMS[:5], [True] * 5))
    mastered = {identity(p.question) for p in PROBLEMS[:5]}
    drawn = [f.id in mastered for f in memory.sample(Random(0), 20_000, 2, 0.5)]
    assert sum(drawn) / len(drawn) == pytest.approx(1 / 5, abs=0.015)


@pytest.mark.parametrize("rounds, expected", [([2], 50), ([1], 50), ([], 0)], ids=["only new", "only old", "empty"])
def test_a_sample_fills_up_with_what_there_is(rounds, expected, memory):
    memory.append([row(p, round=r) for r in rounds for p in PROBLEMS[:3]])
    assert len(memory.sample(Random(0), 50, 2, 0.5)) == expected
