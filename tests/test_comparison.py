"""Whole comparisons: what they leave, how they go on, and what they refuse."""

import json
import shutil
from functools import partial

import pytest

import loop
from minisi.lab import compare
from minisi.method import student
from minisi.run.files import append_rows
from minisi.run.runtime import UserError

from .answers import unconfirmed
from .programs import options, program, python, rows, settings, timeless
from .test_key import mostly

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def copied(compared, tmp_path):
    """A copy of the comparison's folder."""
    return shutil.copytree(compared.folder / "loop", tmp_path / "loop")


def comparison(folder):
    return json.loads((folder / "compare.json").read_text())


def cells(folder):
    """The arms and seeds that were compared."""
    return [(cell["arm"], cell["seed"]) for cell in comparison(folder)["cells"]]


def told(folder):
    """What was told of each run that was compared."""
    return [(cell["curve"], cell["mcnemar"]) for cell in comparison(folder)["cells"]]


def test_a_comparison_plays_each_arm_with_each_seed(compared):
    folder = compared.folder / "loop"
    assert compared.returncode == 0, compared.stderr
    runs = {"failure-1", "failure-2", "random-1", "random-2"}
    results = {"compare.json", "RESULTS.md", "compare.png"}
    assert {path.name for path in folder.iterdir()} == {*runs, "base-1", "base-2", *results}
    assert cells(folder) == [("failure", 1), ("failure", 2), ("random", 1), ("random", 2)]
    *_, first, second, where = compared.stdout.splitlines()
    assert (first.split()[0], second.split()[0]) == ("failure", "random")
    assert where == f"all tables: {folder / 'RESULTS.md'}"
    assert compare.results(comparison(folder)) == (folder / "RESULTS.md").read_text()
    for name in runs:
        made = json.loads((folder / name / "config.json").read_text())
        assert f"{made['arm']}-{made['seed']}" == name
        assert made["base"] == f"{folder}/base-{made['seed']}"


@pytest.mark.parametrize("name", ["random-2", "failure-1"])
def test_finished_runs_are_kept_and_one_that_was_cut_short_goes_on(
    name, compared, copied, tmp_path, small_test_set
):
    cut = copied / name
    before = rows(cut)
    lessons = rows(cut, "lessons")
    stamps = {path: path.stat().st_mtime_ns for path in copied.rglob("*.jsonl")}
    for lost in ("report.md", "manifest-2.json"):
        (cut / lost).unlink()
    for log in ("metrics", "lessons"):
        append_rows(cut / f"{log}.jsonl", [{"half": "a row"}])
    first = (cut / "manifest-1.json").stat().st_mtime_ns
    config = settings(tmp_path, small_test_set, compare="random", seeds="1,2")
    compare.compare(config, loop.loop)

    touched = {path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp}
    assert {path.parent.name for path in touched} == {name}
    assert timeless(rows(cut)) == timeless(before)
    assert rows(cut, "lessons") == lessons
    assert (cut / "manifest-1.json").stat().st_mtime_ns == first
    assert told(copied) == told(compared.folder / "loop")


@pytest.mark.parametrize("corrector", ["self", "vote"])
def test_arms_share_their_steps_where_not_each_correction_is_found(
    corrector, tmp_path, small_test_set, monkeypatch
):
    monkeypatch.setattr(student, "generate", partial(mostly, of=10))
    monkeypatch.setattr(student, "confirm", unconfirmed)
    changed = {"corrector": corrector, "compare": "random,matched", "seeds": "1", "samples": 2}
    changed |= {"questions": 64, "dev_questions": 64}
    compare.compare(settings(tmp_path, small_test_set, **changed), loop.loop)
    steps = [row["steps"] for row in rows(tmp_path / "loop" / "failure-1")]
    assert steps[1] > 0
    for arm in ("random", "matched"):
        assert [row["steps"] for row in rows(tmp_path / "loop" / f"{arm}-1")] == steps


def test_a_comparison_of_no_rounds_compares_the_bases(tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, compare="random", seeds="1", rounds=0)
    compare.compare(config, loop.loop)
    assert cells(tmp_path / "loop") == [("failure", 1), ("random", 1)]
    (first, p), (second, q) = told(tmp_path / "loop")
    assert first == second
    assert p == q == 1


def test_a_finished_run_that_was_damaged_since_is_played_again_and_never_compared_as_it_is(
    compared, copied, tmp_path, small_test_set
):
    damaged = copied / "random-1"
    before = rows(damaged)
    path = damaged / "metrics.jsonl"
    *first, last = path.read_text().splitlines(keepends=True)
    changed = last.replace('"corrections": ', '"corrections": 1', 1)
    path.write_text("".join([*first, changed]))
    config = settings(tmp_path, small_test_set, compare="random", seeds="1,2")
    compare.compare(config, loop.loop)

    assert timeless(rows(damaged)) == timeless(before)
    assert told(copied) == told(compared.folder / "loop")


@pytest.mark.parametrize("changed", [{"steps": 4}, {"base_steps": 5}, {"corrector": "self"}])
def test_finished_runs_of_other_settings_are_not_compared(changed, compared, small_test_set):
    (name,) = changed
    other = {"compare": "random", "seeds": "1,2", **changed}
    with pytest.raises(UserError, match=name):
        compare.compare(settings(compared.folder, small_test_set, **other), loop.loop)


def test_an_arm_or_a_seed_that_is_named_twice_counts_once(copied, tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, compare="random,,random", seeds="1,1")
    compare.compare(config, pytest.fail)  # all runs are there
    assert cells(copied) == [("failure", 1), ("random", 1)]


def test_an_arm_may_have_fewer_seeds_and_is_paired_with_those(copied, tmp_path, small_test_set):
    config = settings(tmp_path, small_test_set, compare="random:1", seeds="2,1")
    compare.compare(config, pytest.fail)  # all runs are there
    assert cells(copied) == [("failure", 2), ("failure", 1), ("random", 2)]
    random = comparison(copied)["arms"][1]
    after = [cell["test_accuracy"] for cell in comparison(copied)["cells"]]
    assert random["seeds"] == 1
    assert random["to_failure"] == pytest.approx(after[2] - after[0])


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("random:3", "take 1 to 2"),
        ("random:0", "take 1 to 2"),
        ("failure:1", "failure has 2 seeds already"),
        ("random:1,random", "random has 1 seeds already"),
    ],
)
def test_a_number_of_seeds_that_makes_no_sense_is_refused(named, told, copied, small_test_set):
    config = settings(copied, small_test_set, compare=named, seeds="1,2")
    with pytest.raises(UserError, match=told):
        compare.compare(config, pytest.fail)


def test_a_comparison_refuses_a_base_of_other_settings(compared, tmp_path, small_test_set):
    shutil.copytree(compared.folder / "loop" / "base-1", tmp_path / "base-1")
    other = {"compare": "random", "seeds": "1", "out": str(tmp_path), "base_steps": 9}
    with pytest.raises(UserError, match="base_steps"):
        compare.compare(settings(tmp_path, small_test_set, **other), loop.loop)


def test_a_comparison_with_a_seed_of_its_own_is_the_users_error(monkeypatch):
    monkeypatch.setattr(loop, "GIVEN", {"compare": "random", "seed": 3}, raising=False)
    with pytest.raises(UserError, match="--seed"):
        loop.main()


def options_of(folder, test, *more):
    """The command line of a comparison of tiny runs."""
    given = options(folder, test)
    place = given.index("--base")
    return [*given[:place], *given[place + 2 :], "--compare", "random", *more]


def test_runs_side_by_side_are_the_same_as_one_after_the_other(compared, tmp_path, small_test_set):
    seeds = ("--jobs", "2", "--seeds", "1")
    done = python("loop.py", *options_of(tmp_path, small_test_set, *seeds, "--rounds", "1"))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "leaked" not in done.stderr
    for name in ("failure-1", "random-1"):
        alone = timeless(rows(compared.folder / "loop" / name))[:2]
        for row in alone[1:]:
            row["sets"] = {}
        assert timeless(rows(tmp_path / "loop" / name)) == alone
        assert "round failed" in (tmp_path / "loop" / name / "log.txt").read_text()


def test_an_error_of_one_of_them_is_told_and_ends_them_all(tmp_path, small_test_set):
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / "base-2").touch()
    seeds = ("--jobs", "2", "--seeds", "1,2", "--rounds", "0")
    done = program("loop.py", *options_of(tmp_path, small_test_set, *seeds))
    assert done.returncode == 1
    assert "failure-2" in done.stderr.splitlines()[-1]
    assert "base-2" in (tmp_path / "loop" / "failure-2" / "log.txt").read_text()
