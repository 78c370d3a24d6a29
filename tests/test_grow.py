"""A world that grows: what opens when, where one looks, and nobody who has the key."""

import json
import re
from collections import Counter
from random import Random
from types import SimpleNamespace

import pytest

import loop
from minisi.lab import compare
from minisi.lab.ask import ask
from minisi.lab.controls import ARMS, check_arms, newly_solved
from minisi.method import gate, student
from minisi.method.run import Run
from minisi.run.config import configure
from minisi.run.runtime import UserError
from minisi.tasks.families import FAMILIES

from .answers import unconfirmed
from .programs import coin, rows, settings, timeless

pytestmark = pytest.mark.usefixtures("no_pictures")


def a_run(arm="failure", last=None, failed=None, **given):
    """As much of a run as knows where to look, after a round with these figures."""
    config = configure({"grow": 6, **given})
    names = ("levels", "coverage_above", "mastery", "failing")
    played = [dict(zip(names, (*last, failed), strict=True))] if last else []
    journal = SimpleNamespace(rows=played)
    run = Run.__new__(Run)
    run.config, run.arm, run.journal, run.families = config, ARMS[arm], journal, list(FAMILIES)
    return run


LEVELS = [  # after which level, labels of the one above and mastery, and how many are open
    ("failure", None, 4),
    ("failure", (4, 0.74, 1.0), 4),
    ("failure", (4, 0.75, 0.0), 5),
    ("failure", (6, 1.0, 1.0), 6),
    ("ladder", None, 4),
    ("ladder", (4, 1.0, 0.84), 4),
    ("ladder", (5, 0.0, 0.85), 6),
    ("ladder", (6, 1.0, 1.0), 6),
    ("wide", None, 6),
    ("wide", (5, 0.0, 0.0), 6),
]


@pytest.mark.parametrize(("arm", "last", "levels"), LEVELS)
def test_a_level_opens_when_the_arm_says_so_and_none_beyond_the_last(arm, last, levels):
    assert a_run(arm, last).levels == levels


def with_repeated(problems):
    """How many have a number of two digits or more that are all alike."""
    return sum(bool(re.search(r"(?<!\d)(\d)\1+(?!\d)", p.question)) for p in problems)


def test_numbers_of_repeated_digits_are_asked_while_it_grows_and_no_others_are_changed():
    shares = (0, 0.5, 1)
    asked = [a_run(repeated=share, unbracketed=0).fresh(960) for share in shares]
    plain, some, all_of_them = asked
    assert a_run("plain").fresh(960) == plain
    assert a_run(unbracketed=0).fresh(960) == some
    assert with_repeated(plain) < with_repeated(some) < with_repeated(all_of_them)
    assert [p.family for p in plain] == [p.family for p in some] == [p.family for p in all_of_them]
    changed = [after != before for before, after in zip(plain, some, strict=True)]
    assert 0.05 < sum(changed) / 960 < 0.25


def test_a_share_of_the_questions_loses_needless_brackets():
    shares = (0, 0.25, 1)
    asked = [a_run(repeated=0, unbracketed=share).fresh(960) for share in shares]
    assert a_run("plain", unbracketed=1).fresh(960) == asked[0]
    none, some, all_of_them = (sum("(" in p.question for p in problems) for problems in asked)
    assert all_of_them < some - 30 < none - 40
    differ = [p for p, q in zip(asked[0], asked[2], strict=True) if p != q]
    assert {p.family for p in differ} == {"expr", "logic"}


def test_what_is_new_without_end_varies_as_other_questions_do():
    run, plain = a_run("fresh"), a_run("fresh", repeated=0)
    for one in (run, plain):
        one.correct = lambda attempts, purpose: [setattr(a, "correction", "1|1") for a in attempts]
    varied, others = (newly_solved(one, Random(1), 640) for one in (run, plain))
    assert 0.02 < sum(a != b for a, b in zip(varied, others, strict=True)) / 640 < 0.25


@pytest.mark.parametrize("unsolved", [0, 5])
def test_what_found_no_correction_is_asked_again(unsolved):
    run = a_run()
    run.fresh = lambda count: ["new"] * count
    failed = list(range(unsolved))
    run.memory = SimpleNamespace(unknown=lambda problems: problems, unsolved=lambda: failed)
    found = run.sample()
    assert [a.problem for a in found if a.again] == failed
    assert [a.problem for a in found if not a.again] == ["new"] * run.config.questions


@pytest.mark.parametrize("last", [None, (4, 0.0, 0.2), (4, 1.0, 1.0)])
def test_a_world_that_does_not_grow_stays_as_it_is(last):
    assert a_run(last=last, grow=0).levels == 4


ALIKE = [  # settings under which an arm is `failure`, and others under which it is not
    ({"arm": "ladder"}, {"grow": 6}),
    ({"compare": "random,wide:2"}, {"grow": 6}),
    ({"compare": "even"}, {"focus": 0.5}),
    ({"compare": "lora,random"}, {"finetune": "full"}),
    ({"arm": "full", "grow": 6}, {"finetune": "lora"}),
    ({"compare": "vote", "corrector": "vote"}, {"corrector": "self"}),
    ({"arm": "plain", "repeated": 0, "unbracketed": 0}, {"unbracketed": 0.5}),
]


@pytest.mark.parametrize(("given", "other"), ALIKE, ids=str)
def test_an_arm_that_would_do_what_failure_does_is_refused(given, other):
    with pytest.raises(UserError, match=r"^(ladder|wide|even|lora|full|plain|vote) would do"):
        check_arms(configure(given))
    check_arms(configure(given | other))


@pytest.mark.parametrize("arm", ["failure", "random", "parts", "static", "full"])
def test_an_arm_that_differs_is_not_refused(arm):
    check_arms(configure({"arm": arm, "compare": "failure,vote:2"}))


@pytest.mark.parametrize(("arm", "focus"), [("failure", 0.5), ("even", 0.5), ("failure", 0.0)])
def test_a_share_of_the_questions_goes_where_most_failed_and_to_a_new_level(arm, focus):
    cells = [f"{family}/{level}" for family in FAMILIES for level in range(1, 5)]
    failed = dict.fromkeys(cells, 0.0) | {"expr/3": 0.8, "logic/4": 0.4}
    run = a_run(arm, (4, 0.9, 0.0), failed, focus=focus)
    count = 2000
    found = Counter((problem.family, problem.level) for problem in run.fresh(count))
    share = focus if arm == "failure" else 0.0
    each = count * (1 - share) / 40
    weights = {("expr", 3): 0.8, ("logic", 4): 0.4, ("add", 5): 1.0, ("story", 5): 1.0}
    total = 8 * 1.0 + 0.8 + 0.4 + 30 * 0.01
    for cell, weight in [*weights.items(), (("sort", 2), 0.01)]:
        wanted = each + count * share * weight / total
        assert abs(found[cell] - wanted) <= 4.5 * (count * share * weight / total) ** 0.5 + 1
    assert sum(found.values()) == count


def test_a_world_that_does_not_grow_has_settings_of_its_own():
    assert configure({}).focus == 0
    assert configure({"grow": 8}).focus > 0
    assert configure({"grow": 8, "focus": 0.1, "out": "x"}).focus == 0.1
    assert configure({"grow": 8}).out != configure({}).out
    assert configure({}).finetune == "lora"
    assert configure({"grow": 8}).finetune == "full"


@pytest.fixture
def growing(tmp_path, small_test_set, monkeypatch):
    """Plays a run that grows, whose answers are half right."""
    monkeypatch.setattr(student, "generate", coin)
    monkeypatch.setattr(student, "confirm", unconfirmed)

    def growing(name="loop", **given):
        changed = {"grow": 6, "mastery": 0.3, "rounds": 6, "full_lr": 0.01, "dev_questions": 64}
        changed |= {"out": f"{tmp_path}/{name}", **given}
        return loop.loop(settings(tmp_path, small_test_set, **changed))

    return growing


def test_levels_open_one_after_the_other_and_the_last_one_ends_the_run(growing, tmp_path):
    made = growing()
    assert list((tmp_path / "loop" / "adapters").iterdir()) == []  # all weights were trained
    levels = [row["levels"] for row in made]
    assert levels[0] == 4
    for row, following in zip(made, levels[1:], strict=False):
        assert row["coverage_above"] == 1  # by who has the solutions
        assert following == min(6, row["levels"] + 1)
    assert levels[-1] == 6
    assert [row["round"] for row in made if row["levels"] == 6 and row["mastery"] >= 0.3] == [
        made[-1]["round"]
    ]


def test_a_level_opens_where_enough_of_it_has_labels(growing):
    made = growing(corrector="vote", samples=2, coverage=0.1, rounds=3)
    levels = [row["levels"] for row in made]
    opened = [row["coverage_above"] >= 0.1 for row in made[:-1]]
    assert {*opened} == {True, False}
    assert all(0 < row["coverage_above"] < 1 for row in made)
    for row, opens, following in zip(made, opened, levels[1:], strict=False):
        assert following == min(6, row["levels"] + opens)


def test_nothing_opens_without_labels(growing):
    made = growing(corrector="vote", coverage=1.0, rounds=2)
    assert [row["levels"] for row in made] == [4, 4, 4]


def test_what_the_detector_is_fitted_on_rises_with_the_levels(growing, monkeypatch):
    seen = []
    examine = gate.examine

    def noted(run):
        exam = examine(run)
        inside = max(attempt.problem.level for attempt in exam.attempts)
        seen.append((run.levels, inside, {attempt.problem.level for attempt in exam.higher}))
        return exam

    monkeypatch.setattr(loop, "examine", noted)
    growing()
    assert len({levels for levels, _, _ in seen}) > 1
    for levels, inside, higher in seen:
        assert inside == levels
        assert higher == {levels + 1}


@pytest.mark.parametrize("corrector", ["solver", "vote"])
def test_a_run_that_grows_goes_on_as_if_it_had_never_stopped(corrector, growing, tmp_path):
    given = {"corrector": corrector, "samples": 2, "coverage": 0.0, "mastery": 1.0}
    whole = growing("whole", rounds=3, **given)
    for rounds in (0, 2, 3):
        cut = growing("cut", rounds=rounds, **given)
    assert timeless(cut) == timeless(whole)
    assert whole[-1]["levels"] > 4
    for log in ("memory", "lessons", "answers"):
        assert rows(tmp_path / "cut", log) == rows(tmp_path / "whole", log)


def test_runs_that_grow_are_compared_and_their_levels_told(growing, tmp_path, small_test_set):
    given = {"grow": 5, "mastery": 0.3, "rounds": 3, "compare": "vote,ladder,wide"}
    given |= {"samples": 2, "seeds": "1", "dev_questions": 64, "out": f"{tmp_path}/all"}
    compare.compare(settings(tmp_path, small_test_set, **given), loop.loop)
    told = json.loads((tmp_path / "all" / "compare.json").read_text())
    opened = {cell["arm"]: {row["levels"] for row in cell["rounds"]} for cell in told["cells"]}
    assert opened["failure"] == opened["ladder"] == {4, 5}
    assert opened["wide"] == {5}
    page = (tmp_path / "all" / "RESULTS.md").read_text()
    assert "opened after round" in page
    assert "(growth.png)" in page
    compare.compare(settings(tmp_path, small_test_set, **given), pytest.fail)  # all are there


def test_a_run_that_grew_grows_on(growing, tmp_path):
    first = growing(grow=5)
    assert first[-1]["levels"] == 5
    for question, inside in {"12345+6": True, "123456+6": False}.items():
        (row,) = ask(f"{tmp_path}/loop", [question], "cpu")
        assert row["inside"] == inside
    more = growing(grow=6)
    assert timeless(more)[: len(first)] == timeless(first)
    assert more[-1]["levels"] == 6
