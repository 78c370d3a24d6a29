"""The comparison against counting by hand."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from minisi.lab.compare import around, averages, forgotten, main, summarise, wrong_before
from minisi.lab.results import results
from minisi.lab.statistics import mcnemar, wilson
from minisi.method.attempt import Attempt, Verdict
from minisi.method.memory import FailureMemory, failure
from minisi.method.teacher import UNSOLVED
from minisi.model.generate import Completion
from minisi.run.checkpoint import commit
from minisi.run.config import Config
from minisi.run.files import append_rows, write_json
from minisi.run.runtime import UserError
from minisi.tasks.problems import Problem


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_an_accuracy_of_seeds_that_agree_is_no_surer_than_of_one(share):
    right = np.repeat((np.arange(50) < 50 * share)[None].astype(float), 4, 0)
    low, high = around(right)
    least = wilson(round(50 * share), 50)
    assert low <= least[0] < least[1] <= high
    assert 0 <= low < high <= 1


def test_the_share_of_failures_is_of_what_was_corrected(tmp_path):
    memory = FailureMemory(tmp_path / "memory.jsonl")
    assert wrong_before(memory) is None
    memory.remember([replace(row, said="7") for row in remembered()])
    assert {row.kind for row in memory.failures.values()} == {"unsure"}  # says who has no key
    assert wrong_before(memory) == 3 / 4  # of 3+4, 13+4, 12+4 and 17+4


def test_what_is_forgotten_is_what_the_known_cells_lost():
    before = {"by_cell": {"add/1": 0.9, "add/2": 0.5, "sub/2": 0.6, "add/4": 1.0}}
    after = {"by_cell": {"add/1": 0.8, "add/2": 0.7, "sub/2": 0.4, "add/4": 0.0}}
    assert forgotten(before, after, 3) == pytest.approx((0.1 + 0 + 0.2) / 3)
    assert forgotten(before, after, 1) == pytest.approx(0.1)
    assert forgotten(before, before, 4) == 0
    assert forgotten(before, after, 0) is None


@pytest.mark.parametrize("given", [{"arm": "random"}, {"seed": 3}, {"base": "b"}], ids=str)
def test_a_comparison_has_arms_seeds_and_bases_of_its_own(given):
    (name,) = given
    with pytest.raises(UserError, match=f"leave out --{name}"):
        main({"compare": "random", **given}, pytest.fail)


# Two arms with two seeds, each a run of two rounds that is made up.

N = 200
ARMS = ("failure", "random")
SEEDS = (1, 2)
SHARES = {"failure": (0.4, 0.6, 0.9), "random": (0.4, 0.6, 0.8)}  # right after each round
SAME = {"steps": 3, "batch": 8, "train_tokens": 1000, "generated_tokens": 500, "seconds": 2.5}
SAME |= {"verdicts": 70, "test_tokens": 30.5, "levels": 2, "mastery": 0.5, "coverage_above": 1.0}
SAME |= {"label_precision_by_level": {}}
SAME |= {"broken": 2, "auroc": 0.8, "ece": 0.1, "test_n": N, "test_low": 0.0, "test_high": 1.0}
SAME |= {"by_level": {"1": 0.5, "2": 0.25}}
MEASURES = {"auroc": 0.8, "ece": 0.1, "aurc": 0.1, "precision": 0.75, "recall": 0.5}


def answers(arm, seed, round):
    """(N,) which test questions a run answers right after a round."""
    rng = np.random.default_rng(100 * seed + round + 10 * (arm == "random"))
    return rng.random(N) < SHARES[arm][round]


def row_of(arm, seed, round, price):
    """A row of metrics.jsonl; `random` forgets a little of one cell in each round."""
    accuracy = float(answers(arm, seed, round).mean())
    lost = 0.1 * round if arm == "random" else 0.0
    row = {"round": round, "arm": arm, "seed": seed, "corrections": price * round, **SAME}
    row |= {"test_accuracy": accuracy, "test_right_steps": accuracy / 2}
    row |= {"by_cell": {"add/1": accuracy, "sub/1": 0.5 - lost}}
    row |= {"fixed": 4 + seed, "label_coverage": 0.5 + round / 10, "label_precision": round / 4}
    row["detector"] = {"scaled": MEASURES, "plain": {**MEASURES, "auroc": 0.6 + round / 10}}
    return row


def remembered():
    """Rows of a memory: two right labels and a wrong one, and what is no label of a teacher."""
    said = Completion("7", [], [], True, [])
    seen = {"completion": said, "verdict": Verdict("unsure", 0.5, True)}
    first = Attempt(Problem("add", 1, "3+4"), **seen)
    second = replace(first, problem=Problem("add", 2, "13+4"))
    wrong = replace(first, correction="3+4+0=08|8", source="vote")
    right = replace(second, correction="3+4+0=07,1+0+0=01|17", source="vote")
    other = replace(right, problem=Problem("add", 2, "12+4"), correction="2+4+0=06,1+0+0=01|16")
    own = replace(right, problem=Problem("add", 2, "15+3"), source="own")
    nobody = replace(second, problem=Problem("add", 2, "17+4"), source=UNSOLVED)
    earlier = replace(right, correction="3+4+0=07,1+0+0=01|18")  # of a question that came again
    return [failure(attempt, 1) for attempt in (wrong, earlier, right, other, own, nobody)]


def play(folder, arm, seed, price=50):
    """Leave the files of a run, each of whose rounds has so many corrections."""
    out = folder / f"{arm}-{seed}"
    out.mkdir()
    for round in range(3):
        digits = "".join(str(int(ok)) for ok in answers(arm, seed, round))
        append_rows(out / "metrics.jsonl", [row_of(arm, seed, round, price)])
        append_rows(out / "answers.jsonl", [{"round": round, "right": digits}])
    after = {"n": 8, "accuracy": SHARES[arm][-1], "sure_wrong": 0.1 * seed, "low": 0.0}
    append_rows(out / "memory.jsonl", [asdict(row) for row in remembered()])
    write_json(out / "sets.json", {"2D+": [{**after, "accuracy": 0.5}, after]})
    commit(out, 2, {"model": {}}, {"vocabulary": "", "config": asdict(Config(base_levels=1))})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What is found of all four runs."""
    folder = tmp_path_factory.mktemp("compare")
    for arm in ARMS:
        for seed in SEEDS:
            play(folder, arm, seed)
    arms = {arm: list(SEEDS) for arm in ARMS}
    return {"command": "python loop.py", "grow": 0, **summarise(folder, arms)}


def test_the_summary_is_json_and_has_the_cells_in_order(found):
    assert json.loads(json.dumps(found)) == found
    assert found["seeds"] == list(SEEDS)
    cells = [(cell["arm"], cell["seed"]) for cell in found["cells"]]
    assert cells == [(arm, seed) for arm in ARMS for seed in SEEDS]
    assert [arm["arm"] for arm in found["arms"]] == list(ARMS)


def test_the_summary_has_the_figures_of_each_cell(found):
    for cell in found["cells"]:
        right = answers(cell["arm"], cell["seed"], 2)
        first = answers("failure", cell["seed"], 2)
        fixed = int((right & ~first).sum())
        broken = int((first & ~right).sum())
        assert cell["test_accuracy"] == pytest.approx(right.mean())
        assert cell["base"] == answers(cell["arm"], cell["seed"], 0).mean()
        assert [corrections for corrections, _ in cell["curve"]] == [0, 50, 100]
        assert cell["mcnemar"] == mcnemar(fixed, broken)
        assert cell["seconds"] == 3 * 2.5
        assert cell["corrections"] == 100
        assert (cell["known_before"], cell["known_after"]) == (0.5, 0.5)
        assert cell["auroc"] == [0.8, 0.8]
        assert cell["label_precision"] == [0.25, 0.5]
        assert cell["labels"] == {"1": [1, 0], "2": [2, 2]}
        assert cell["scores"]["plain"]["auroc"] == pytest.approx((0.7 + 0.8) / 2)


def accuracies(arm):
    """The accuracy at the end of an arm's runs, by seed."""
    return [answers(arm, seed, 2).mean() for seed in SEEDS]


def test_the_summary_has_the_means_of_each_arm(found):
    for arm in found["arms"]:
        assert arm["test_accuracy"] == pytest.approx(np.mean(accuracies(arm["arm"])))
        assert arm["test_right_steps"] == pytest.approx(arm["test_accuracy"] / 2)
        assert arm["test_low"] < arm["test_accuracy"] < arm["test_high"]
        assert arm["n"] == N
        assert arm["verdicts"] == 210
        assert arm["levels_after"] == {"1": 0.5, "2": 0.25}
        assert arm["fixed"] == 3 * 5.5
    assert [arm["forgotten"] for arm in found["arms"]] == pytest.approx([0, 0.1])


def test_the_summary_has_the_paired_difference_of_each_arm_to_failure(found):
    failure, random = found["arms"]
    difference = np.mean(accuracies("random")) - np.mean(accuracies("failure"))
    assert failure["to_failure"] == 0
    assert random["to_failure"] == pytest.approx(difference, abs=1e-4)
    for arm in (failure, random):
        assert arm["to_failure_low"] <= arm["to_failure"] <= arm["to_failure_high"]


def test_without_a_question_of_the_bases_levels_the_figures_are_json_and_the_cells_empty(found):
    fresh = json.loads(json.dumps(found))
    for row in fresh["arms"] + fresh["cells"]:
        row |= {"known_before": None, "known_after": None, "forgotten": None}
    first, _, _, _, second, _ = tables(results(fresh))
    assert {row["forgotten"] for row in first} == {""}
    assert {row["levels of the base"] for row in first + second} == {""}


def test_the_means_are_of_what_all_were_asked():
    found = averages([{"a": {"n": 1}, "b": {"n": 2}}, {"a": {"n": 5}}])
    assert found == {"a": {"n": 3}}


# RESULTS.md.


def columns(line):
    return [part.strip() for part in line.strip("|").split("|")]


def table(block):
    """The rows of a table in Markdown, each by its titles."""
    titles, rule, *lines = map(columns, block.splitlines())
    assert set("".join(rule)) <= set("-:")
    assert len(rule) == len(titles)
    return [dict(zip(titles, line, strict=True)) for line in lines]


def tables(page):
    return [table(block) for block in page.split("\n\n") if block.startswith("|")]


def test_the_page_has_its_command_and_its_picture_on_top(found):
    page = results(found)
    assert "opened after round" not in page
    assert "`parts`" not in page
    assert page.startswith("# ")
    assert "\n    python loop.py\n" in page
    assert "(compare.png)" in page
    assert page.endswith(".\n")


def test_the_first_table_has_each_arm_and_what_sets_it_apart_from_failure(found):
    first, prices, levels, *_ = tables(results(found))
    assert [row["arm"] for row in first] == list(ARMS)
    for row, arm in zip(first, found["arms"], strict=True):
        mean = float(row["after (95 % interval)"].split("**")[1])
        assert row["n"] == f"{N}"
        assert mean == pytest.approx(arm["test_accuracy"], abs=5e-4)
        assert float(row["with right steps"]) == pytest.approx(mean / 2, abs=1e-3)
        assert float(row["forgotten"]) == pytest.approx(100 * arm["forgotten"], abs=0.005)

    assert [row["arm"] for row in prices] == [row["arm"] for row in levels] == list(ARMS)
    assert {row["corrections"] for row in prices} == {"100"}
    assert {row["tokens an answer"] for row in prices} == {"30"}
    assert {row["level 2"] for row in levels} == {"0.250 -> 0.250"}
    points = [row["points to `failure`"] for row in first]
    assert points[0] == ""
    mean, low, high = [100 * found["arms"][1][f"to_failure{end}"] for end in ("", "_low", "_high")]
    assert points[1] == f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def test_the_frozen_sets_have_a_row_each_and_a_column_for_each_arm(found):
    *_, sets, _, _ = tables(results(found))
    figures = {"base": "0.500", "failure": "0.900", "random": "0.800", "wrong but sure": "0.150"}
    assert sets == [{"set": "2D+", "n": "8", **figures}]


def test_without_frozen_sets_there_is_no_table_of_them(found):
    fresh = json.loads(json.dumps(found))
    del fresh["arms"][1]["sets"]["2D+"]
    assert "frozen sets" in results(found)
    assert len(tables(results(fresh))) == len(tables(results(found))) - 1
    assert "frozen sets" not in results(fresh)


def price(cell):
    """How many corrections it took to get to 90 %."""
    reached = [corrections for corrections, accuracy in cell["curve"] if accuracy >= 0.9]
    return str(reached[0]) if reached else "never"


def test_the_second_table_has_each_run_and_says_what_was_not_reached(found):
    *_, second, _ = tables(results(found))
    for row, cell in zip(second, found["cells"], strict=True):
        assert (row["arm"], row["seed"]) == (cell["arm"], str(cell["seed"]))
        assert row["corrections"] == "100"
        assert row["to reach 90 %"] == price(cell)
        assert row["labels right"] == "0.25-0.50"
    assert len({row["to reach 90 %"] for row in second}) > 1


def test_the_second_table_has_mcnemars_p_but_not_for_failure_itself(found):
    *_, second, _ = tables(results(found))
    told = [row["McNemar's p"] for row in second]
    assert told[:2] == ["", ""]
    wanted = [cell["mcnemar"] for cell in found["cells"][2:]]
    assert [float(p) for p in told[2:]] == pytest.approx(wanted, rel=0.5)


def test_the_last_table_has_the_scores_of_failure(found):
    *_, last = tables(results(found))
    assert [row["score"] for row in last] == ["scaled", "plain"]
    assert [row["AUROC"] for row in last] == ["0.800", "0.750"]
    assert [row["recall"] for row in last] == ["0.500", "0.500"]
