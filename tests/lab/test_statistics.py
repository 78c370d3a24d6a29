"""Statistics against counting by hand."""

from itertools import product

import numpy as np
import pytest

from minisi.lab.statistics import (
    auroc,
    ece,
    interval,
    mcnemar,
    reliability,
    risk_coverage,
    wilson,
)

from ..answers import CASES, cases

PUBLISHED = {
    (0, 10): (0, 0.2775),
    (5, 10): (0.2366, 0.7634),
    (10, 10): (0.7225, 1),
    (1, 10): (0.0179, 0.4042),
    (15, 50): (0.1910, 0.4375),
}
SHARES = [(0, 1), (1, 1), (3, 7), (15, 50), (1999, 2048), (0, 2048)]
CHANGES = [(0, 0), (0, 1), (1, 1), (0, 6), (2, 7), (7, 2), (4, 5), (3, 3)]
BINNED = [(0, 10, 10), (1, 57, 10), (2, 300, 10), (3, 45, 4), (4, 5, 10)]


@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_the_interval_has_the_published_ends(case):
    assert wilson(*case) == pytest.approx(PUBLISHED[case], abs=1e-4)


@pytest.mark.parametrize(("right", "n"), SHARES)
def test_its_ends_are_where_the_share_is_just_z_deviations_away(right, n):
    share = right / n
    low, high = wilson(right, n)
    assert low < high
    assert 0 <= low <= share <= high <= 1
    for end in {low, high} - {0.0, 1.0}:
        assert (share - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n)


@pytest.mark.parametrize(("fixed", "broken"), CHANGES)
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(fixed, broken):
    n = fixed + broken
    heads = [sum(tosses) for tosses in product((0, 1), repeat=n)]
    uneven = [abs(count - (n - count)) >= abs(fixed - broken) for count in heads]
    assert mcnemar(fixed, broken) == pytest.approx(np.mean(uneven))


def coins(shape, p, seed=0):
    return (np.random.default_rng(seed).random(shape) < p).astype(float)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_with_one_seed_the_interval_is_the_normal_one_of_a_mean(p):
    x = coins((1, 500), p)
    half = 1.959964 * x.std(ddof=1) / 500**0.5
    assert interval(x) == pytest.approx((x.mean() - half, x.mean() + half))


def test_where_all_questions_are_alike_it_is_students_interval_of_the_seeds():
    means = np.array([0.9, 0.8, 0.7, 0.6, 0.9])
    x = np.repeat(means[:, None], 50, 1)
    half = 2.776 * means.std(ddof=1) / 5**0.5
    assert interval(x) == pytest.approx((means.mean() - half, means.mean() + half))


def test_where_all_seeds_agree_more_of_them_do_not_narrow_it():
    x = coins((1, 400), 0.3)
    assert interval(np.repeat(x, 7, 0)) == pytest.approx(interval(x))


def test_the_interval_of_no_difference_is_zero_and_of_chance_holds_zero():
    assert interval(np.zeros((3, 50))) == (0, 0)
    low, high = interval(coins((3, 400), 0.5) - coins((3, 400), 0.5, seed=1))
    assert low < 0 < high
    assert high - low < 0.4


def chances(rng, seeds, spread, hard):
    """How likely each seed answers each of 400 questions, which differ as the seeds do."""
    of_seed = rng.normal(0, spread, (seeds, 1))
    return 1 / (1 + np.exp(-hard - of_seed))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6])
def test_it_covers_the_mean_of_all_seeds_and_questions(seeds, spread):
    rng = np.random.default_rng(seeds)
    wide = rng.normal(3, 2, 200_000)
    middle = chances(rng, 1, 0.0, wide).mean()
    if spread:
        middle = np.mean([chances(rng, 1, spread, wide).mean() for _ in range(200)])
    held = []
    for _ in range(1000):
        p = chances(rng, seeds, spread, rng.normal(3, 2, 400))
        low, high = interval((rng.random(p.shape) < p).astype(float))
        held.append(low <= middle <= high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize("seeds", [3, 5])
def test_it_covers_the_difference_of_two_arms_that_are_asked_the_same(seeds):
    rng = np.random.default_rng(seeds)
    held = []
    for _ in range(1000):
        hard = rng.normal(3, 2, 400)
        arms = [chances(rng, seeds, 0.3, hard) for _ in range(2)]
        right = [(rng.random(p.shape) < p).astype(float) for p in arms]
        low, high = interval(right[0] - right[1])
        held.append(low <= 0 <= high)
    assert np.mean(held) >= 0.93


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_auroc_is_the_share_of_pairs_in_order(seed, levels):
    scores, right = cases(seed, levels=levels)
    pairs = [(a > b) + (a == b) / 2 for a in scores[right] for b in scores[~right]]
    assert auroc(scores, right) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("truth", [True, False])
def test_auroc_of_one_kind_alone_says_nothing(truth):
    assert auroc(np.array([0.1, 0.9]), np.array([truth, truth])) == 0.5


@pytest.mark.parametrize(("seed", "bins"), [(0, 1), (1, 10), (2, 15)])
def test_ece_is_the_weighted_gap_of_the_bins(seed, bins):
    scores, right = cases(seed)
    scores[0] = 1.0
    total = 0.0
    for b in range(bins):
        last = b == bins - 1
        inside = (scores >= b / bins) & ((scores < (b + 1) / bins) | last)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - scores[inside].mean())
    assert ece(scores, right, bins) == pytest.approx(total)


@pytest.mark.parametrize(("seed", "n", "bins"), BINNED)
def test_a_bin_has_its_size_its_mean_score_and_its_share_of_right_answers(seed, n, bins):
    scores, right = cases(seed, n)
    found = reliability(scores, right, bins)
    assert found.shape == (bins, 3)
    for b, row in enumerate(found):
        inside = (scores >= b / bins) & (scores < (b + 1) / bins)
        means = (0, 0)
        if inside.any():
            means = (scores[inside].mean(), right[inside].mean())
        assert row == pytest.approx([sum(inside), *means])


@pytest.mark.parametrize(("seed", "n", "bins"), BINNED)
def test_the_bins_add_up_to_all_answers_and_to_the_calibration_error(seed, n, bins):
    scores, right = cases(seed, n)
    size, sure, accuracy = reliability(scores, right, bins).T
    assert size.sum() == n
    gap = (size * abs(accuracy - sure)).sum() / n
    assert gap == pytest.approx(ece(scores, right, bins))


def test_full_confidence_falls_into_the_last_bin():
    scores = np.ones(20)
    right = np.array([True, False] * 10)
    assert reliability(scores, right).tolist() == [[0, 0, 0]] * 9 + [[20, 1, 0.5]]
    assert ece(scores, right) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_the_risk_is_the_share_of_wrong_answers_among_the_surest(seed):
    scores, right = cases(seed)
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    wrong = [not right[i] for i in order]
    risks = [np.mean(wrong[: i + 1]) for i in range(len(wrong))]
    assert risk_coverage(scores, right) == pytest.approx(risks)


def test_of_no_answers_there_is_no_error_and_no_risk():
    scores = np.array([])
    right = np.array([], dtype=bool)
    assert ece(scores, right) == 0
    assert reliability(scores, right).tolist() == [[0, 0, 0]] * 10
    assert risk_coverage(scores, right).tolist() == []
