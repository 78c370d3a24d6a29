"""The correctors."""

import pytest

from minisi.correct import CORRECTORS
from minisi.generate import Completion
from minisi.tasks import check, solve

PROBLEMS = [solve("3+4"), solve("sort 31 20"), solve("586-347")]


def sampler(*texts, finished=True):
    """Says the texts in order, and notes what it was asked."""
    asked = []

    def sample(prompts):
        asked.extend(prompts)
        return [Completion(text, [1], [0.5], finished, [0.5]) for text in texts]

    return sample, asked


def test_the_solvers_corrections_are_right_and_free_of_samples():
    sample, asked = sampler()
    texts = CORRECTORS["solver"](PROBLEMS, sample, 4)
    assert [check(p.answer, text) for p, text in zip(PROBLEMS, texts, strict=True)] == ["right"] * 3 and not asked


def test_self_takes_the_first_sample_that_the_checker_accepts_or_nothing():
    sample, asked = sampler("1|8", "a|7", "b|7", "7", "|20 31", "1|31 20", "c|239", "1|2", "d|239")
    assert CORRECTORS["self"](PROBLEMS, sample, 3) == ["a|7", "", "c|239"]
    assert asked == [p.prompt for p in PROBLEMS for _ in range(3)]


def test_self_takes_no_sample_that_ran_out_of_room():
    assert CORRECTORS["self"](PROBLEMS[:1], sampler("a|7", finished=False)[0], 1) == [""]


@pytest.mark.parametrize("name", CORRECTORS)
def test_no_problems_need_no_corrections(name):
    assert CORRECTORS[name]([], sampler()[0], 4) == []
