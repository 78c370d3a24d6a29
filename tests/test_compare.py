"""The comparison against counting by hand."""

import json

import numpy as np
import pytest

from minisi.checkpoint import append_rows, commit
from minisi.compare import bootstrap, forgotten, markdown, same_budget, summarise
from minisi.evaluate import mcnemar
from minisi.runtime import UserError


def coins(shape, p, seed=0):
    return (np.random.default_rng(seed).random(shape) < p).astype(float)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_with_one_seed_the_interval_is_the_normal_one_of_a_mean(p):
    x = coins((1, 500), p)
    low, high = bootstrap(x)
    half = 1.96 * x.std() / 500**0.5
    assert low == pytest.approx(x.mean() - half, abs=0.1 * half) and high == pytest.approx(x.mean() + half, abs=0.1 * half)


def test_with_many_seeds_their_spread_widens_the_interval():
    x = coins((12, 300), np.linspace(0.2, 0.8, 12)[:, None])
    low, high = bootstrap(x)
    spread = (x.mean(1).var() / 12 + x.var(1).mean() / (12 * 300)) ** 0.5
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_the_interval_of_no_difference_is_zero_and_of_chance_holds_zero():
    assert bootstrap(np.zeros((3, 50))) == (0, 0)
    low, high = bootstrap(coins((3, 400), 0.5) - coins((3, 400), 0.5, seed=1))
    assert low < 0 < high and high - low < 0.2


BUDGET = [dict(round=n, steps=3, batch=8, corrections=10 * n) for n in range(3)]


@pytest.mark.parametrize("name", ["steps", "batch", "corrections"])
def test_an_unequal_budget_is_refused_by_its_name(name):
    unequal = [*BUDGET[:2], {**BUDGET[2], name: 21}]
    with pytest.raises(UserError, match=f"round 2: {name} 21 in random, {BUDGET[2][name]} in failure"):
        same_budget("random", unequal, BUDGET)
    same_budget("random", BUDGET, BUDGET)
    for arm in ("static", "fresh"):
        same_budget(arm, unequal, BUDGET)


def test_what_is_forgotten_is_what_the_known_cells_lost():
    rows = [dict(by_cell={"add/1": 0.9, "add/2": 0.5, "sub/2": 0.6, "add/4": 1.0}), {}, dict(by_cell={"add/1": 0.8, "add/2": 0.7, "sub/2": 0.4, "add/4": 0.0})]
    assert forgotten(rows, 3) == pytest.approx((0.1 + 0 + 0.2) / 3) and forgotten(rows, 1) == pytest.approx(0.1)
    assert forgotten(rows[:1], 4) == 0


N = 200


def played(folder, arm, seed, end, price=50):
    """A run of two rounds that gets the share `end` of the test questions right in the end; returns which."""
    (folder / f"{arm}-{seed}").mkdir()
    for round, share in enumerate((0.4, 0.6, end)):
        right = coins(N, share, seed=100 * seed + round + 10 * (arm == "random"))
        cells = {f"{family}/{level}": float(right.mean()) - 0.1 * round * (arm == "random") for family in ("add", "sub") for level in (1, 2)}
        row = dict(round=round, arm=arm, seed=seed, steps=3, batch=8, corrections=price * round, test_n=N, test_accuracy=right.mean(), test_low=0.0, test_high=1.0)
        row |= dict(train_tokens=1000, generated_tokens=500, seconds=2.5, fixed=4 + seed, broken=2, auroc=0.8, ece=0.1, by_cell=cells, by_level={"1": 0.5, "2": 0.25})
        row |= dict(label_coverage=0.5 + round / 10, label_precision=0.25 * round, detector={"scaled": dict(auroc=0.8, ece=0.1), "plain": dict(auroc=0.6 + round / 10, ece=0.5)})
        append_rows(folder / f"{arm}-{seed}" / "metrics.jsonl", [row])
        append_rows(folder / f"{arm}-{seed}" / "answers.jsonl", [dict(round=round, right="".join(str(int(ok)) for ok in right))])
    commit(folder / f"{arm}-{seed}", 2, {"model": {}}, {"config": dict(base_levels=1)})
    return right


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    folder, last = tmp_path_factory.mktemp("compare"), {}
    for arm, end in (("failure", 0.9), ("random", 0.8)):
        for seed in (1, 2):
            last[arm, seed] = played(folder, arm, seed, end)
    return summarise(folder, ["failure", "random"], [1, 2]), last


def test_the_summary_has_each_run_and_the_mean_of_each_arm(compared):
    found, last = compared
    assert json.loads(json.dumps(found)) == found and found["seeds"] == [1, 2]
    assert [(c["arm"], c["seed"]) for c in found["cells"]] == list(last)
    for c in found["cells"]:
        right, reference = last[c["arm"], c["seed"]], last["failure", c["seed"]]
        assert c["test_accuracy"] == pytest.approx(right.mean()) and [n for n, _ in c["curve"]] == [0, 50, 100]
        assert c["mcnemar"] == mcnemar(int((right > reference).sum()), int((right < reference).sum()))
        assert (c["seconds"], c["corrections"], c["known_before"], c["known_after"]) == (7.5, 100, 0.5, 0.5)
    for a in found["arms"]:
        mine = [last[a["arm"], seed] for seed in (1, 2)]
        assert a["test_accuracy"] == pytest.approx(np.mean(mine)) and a["test_low"] < a["test_accuracy"] < a["test_high"] and a["n"] == 2 * N
        assert a["to_failure_low"] <= a["to_failure"] <= a["to_failure_high"] and a["fixed"] == 3 * 5.5
    assert [a["to_failure"] for a in found["arms"]] == [0, pytest.approx(np.mean([last["random", s] - last["failure", s] for s in (1, 2)]), abs=1e-4)]


def test_runs_with_unequal_budgets_are_not_compared(tmp_path):
    for arm, price in (("failure", 50), ("random", 51)):
        played(tmp_path, arm, 1, 0.9, price)
    with pytest.raises(UserError, match="corrections 51 in random, 50 in failure"):
        summarise(tmp_path, ["failure", "random"], [1])


def table(text):
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines()]
    assert len({len(line) for line in lines}) == 1 and set("".join(lines[1])) <= set("-:")
    return [dict(zip(lines[0], line)) for line in lines[2:]]


def test_the_first_table_has_each_arm_and_what_sets_it_apart_from_failure(compared):
    found, rows = compared[0], table(markdown(compared[0]).split("\n\n")[0])
    assert [(row["arm"], row["n"], row["corrections"]) for row in rows] == [("failure", f"{2 * N}", "100"), ("random", f"{2 * N}", "100")]
    for row, a in zip(rows, found["arms"]):
        assert float(row["after (95 % interval)"].split("**")[1]) == pytest.approx(a["test_accuracy"], abs=5e-4)
        assert float(row["forgotten"]) == pytest.approx(100 * a["forgotten"], abs=0.005)
    assert rows[0]["points to failure"] == "" and float(rows[1]["points to failure"].split()[0]) == pytest.approx(100 * found["arms"][1]["to_failure"], abs=0.05)


def test_the_second_table_has_each_run_and_says_what_was_not_reached(compared):
    found, rows = compared[0], table(markdown(compared[0]).split("\n\n")[1])
    for row, c in zip(rows, found["cells"], strict=True):
        assert (row["arm"], row["seed"], row["corrections"]) == (c["arm"], str(c["seed"]), "100")
        assert row["to reach 90 %"] == next((str(n) for n, accuracy in c["curve"] if accuracy >= 0.9), "never")
        assert row["McNemar's p"] == "" if c["arm"] == "failure" else float(row["McNemar's p"]) == pytest.approx(c["mcnemar"], rel=0.5)
    assert len({row["to reach 90 %"] for row in rows}) > 1
