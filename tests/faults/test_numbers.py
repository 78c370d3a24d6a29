"""Numbers that are not finite are never saved."""

import math
import shutil

import pytest

from minisi.model.generate import generate
from minisi.run.files import read_rows

from .harms import Poison
from .marks import quick, slow
from .outcome import finite
from .process import coin, lost, one_sentence

GRADIENT_INF = ("gradient", math.inf)
BAD = [GRADIENT_INF, ("gradient", math.nan), ("weight", math.nan), ("weight", -math.inf)]
BAD_NUMBERS = [pytest.param(*bad, marks=[] if bad is GRADIENT_INF else slow) for bad in BAD]


def table_line(said, number):
    """What the round table says of a round."""
    return next(line for line in said.splitlines() if line.split()[:1] == [str(number)])


@pytest.mark.parametrize(("place", "value"), BAD_NUMBERS)
@pytest.mark.parametrize("step", quick([0, 2], 2))
@pytest.mark.parametrize("times", [1, 2])
def test_a_number_that_is_not_finite_is_tried_once_more_and_then_dropped(
    place, value, step, times, runs, reference, tmp_path
):
    if (place, step) == ("weight", 2):
        step = 1
    harm = Poison(step, value, times, "finetuning", place)
    code, said = runs.run(reference.copy(tmp_path, "base"), harms=[harm])
    assert code == 0, said[-2000:]
    assert said.count("not finite") == times
    assert finite(tmp_path / "loop")

    _, first, _, last = read_rows(tmp_path / "loop" / "metrics.jsonl")
    assert last["steps"] == 3
    if times == 2:
        assert (first["steps"], first["scale"]) == (0, 0)
        assert (first["fixed"], first["broken"]) == (0, 0)
    else:
        assert first["steps"] == 3
    assert ("rejected" in table_line(said, 1)) == (first["scale"] == 0)


@pytest.mark.parametrize("step", quick([3, 19, 23], 19))
@pytest.mark.parametrize(("place", "value"), BAD_NUMBERS)
def test_pretraining_never_saves_a_number_that_is_not_finite(
    place, value, step, runs, reference, tmp_path
):
    code, said = runs.run(tmp_path, harms=[Poison(step, value, place=place)])
    assert code == 1
    assert one_sentence(said)
    assert "base_lr" in said
    assert finite(tmp_path / "base")
    assert lost(runs, tmp_path, reference) == []


ABSURD = (
    "--lr 1e30",
    "--lr 1e20",
    "--lr 1e10",
    "--arm full --full_lr 1e30",
    "--lr 1e3 --lora_alpha 1e30",
)


@slow
@pytest.mark.parametrize("extra", ABSURD)
@pytest.mark.parametrize("decode", [coin, generate])
def test_an_absurd_rate_ends_in_no_weight_that_is_not_finite(
    extra, decode, runs, reference, tmp_path
):
    code, said = runs.run(reference.copy(tmp_path, "base"), *extra.split(), decode=decode)
    assert code == 0, said[-2000:]
    assert finite(tmp_path / "loop")


@slow
def test_a_base_that_failed_can_be_made_at_the_lower_rate_that_is_advised(runs, tmp_path):
    base = tmp_path / "base"
    for rate in ("1e38", "1e20"):
        code, said = runs.run(tmp_path, "--base_lr", rate)
        assert code == 1
        assert one_sentence(said)
        assert "base_lr" in said
        assert list(base.glob("model-*")) == []

    code, said = runs.run(tmp_path, harms=[Poison(22, math.nan)])  # after a state that is whole
    assert code == 1
    assert f"delete {base}" in said
    shutil.rmtree(base)
    code, said = runs.run(tmp_path, "--base_lr", "1.5e-3")
    assert code == 0, said
