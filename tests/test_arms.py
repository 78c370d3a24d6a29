"""What the arms pick, shift and blend."""

from collections import Counter
from random import Random

import pytest
import torch

from minisi.arms import blender, pick, shifted
from minisi.config import ARMS
from minisi.families import FAMILIES
from minisi.runtime import dice
from minisi.tasks import balanced, solve

FLAGGED = [False, True, False, True, False, True, False, False]
FAILED = [1, 3, 5]


@pytest.mark.parametrize("budget", [None, 0, 1, 3, 5, 8, 20])
@pytest.mark.parametrize("name", ARMS)
def test_as_many_are_picked_as_are_flagged_or_as_the_budget_says(name, budget):
    picked = pick(name, Random(1), FLAGGED, budget)
    wanted = 0 if name in ("static", "fresh") else len(FAILED) if budget is None else min(budget, len(FLAGGED))
    assert len(picked) == len(set(picked)) == wanted and set(picked) <= set(range(len(FLAGGED)))


@pytest.mark.parametrize("budget", [None, 1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", ["failure", "corrupt", "full", "norepl"])
def test_what_is_flagged_comes_first(name, budget):
    for seed in range(20):
        picked = set(pick(name, Random(seed), FLAGGED, budget))
        assert picked <= set(FAILED) or picked >= set(FAILED)


@pytest.mark.parametrize(
    "name, budget, failed, others", [("random", None, 3 / 8, 3 / 8), ("random", 5, 5 / 8, 5 / 8), ("full", 1, 1 / 3, 0), ("full", 5, 1, 2 / 5)]
)
def test_what_is_drawn_is_drawn_with_equal_chances(name, budget, failed, others):
    rng, n = Random(0), 4000
    drawn = Counter(i for _ in range(n) for i in pick(name, rng, FLAGGED, budget))
    for i in range(len(FLAGGED)):
        p = failed if i in FAILED else others
        assert abs(drawn[i] / n - p) <= 4.5 * (p * (1 - p) / n) ** 0.5


def test_nothing_asked_is_nothing_picked():
    assert all(pick(name, Random(0), [], budget) == [] for name in ARMS for budget in (None, 3))


def test_shifting_moves_every_correction_to_another_problem_of_its_family_and_loses_none():
    problems = balanced(dice(1, "arms"), "train", 3, 5 * len(FAMILIES))
    moved = shifted(problems, [f"{p.family} {i}" for i, p in enumerate(problems)])
    assert [text.split()[0] for text in moved] == [p.family for p in problems]
    assert sorted(int(text.split()[1]) for text in moved) == list(range(len(problems)))
    assert all(text != f"{p.family} {i}" for i, (p, text) in enumerate(zip(problems, moved)))


def test_what_is_alone_of_its_family_stays_and_empty_corrections_move_too():
    problems = [solve("3+4"), solve("sort 2 1"), solve("5+6")]
    assert shifted(problems, ["", "s", "t"]) == ["t", "s", ""] and shifted([], []) == []


def test_a_blend_goes_from_before_to_after_and_back(tiny):
    model, start = tiny(), {name: weight.clone() for name, weight in tiny(seed=5, busy=False).state_dict().items()}
    end = {name: weight.clone() for name, weight in model.state_dict().items()}
    blend = blender(model, start)
    for share, wanted in [(1.0, end), (0.0, start), (1.0, end), (0.5, None), (0.0, start)]:
        blend(share)
        for name, weight in model.state_dict().items():
            if wanted is None:
                torch.testing.assert_close(weight, (start[name] + end[name]) / 2)
            else:
                assert torch.equal(weight, wanted[name])
    assert not any(torch.equal(start[name], end[name]) for name in start)
