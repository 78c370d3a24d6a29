"""A run whose teacher lies, or whose rate is mad, ends no worse than its base."""

import os
import time

import pytest

from minisi.model.generate import generate
from minisi.run.config import PRESETS
from minisi.run.files import read_rows

from .harms import lie, pick_nothing, pick_one, say
from .marks import slow
from .outcome import finite

SEEDS = range(1, 1 + int(os.environ.get("MINISI_SEEDS", 1)))
ALLOWED = 0.5  # points below the base
SABOTAGE = {  # more arguments, and harms
    "a rate a hundred times too high": (["--lr", str(100 * PRESETS["smoke"]["lr"])], []),
    "wrong corrections": ([], [lie]),
    "an empty memory": (["--threshold", "0"], [pick_nothing]),
    "one failure a thousand times": (["--threshold", "0"], [pick_one]),
    "all answers unparsable": ([], [say("1 2 3")]),
    "no failure at all": ([], [say(None)]),
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """A folder for the bases, one for each seed, which all sabotage shares."""
    return tmp_path_factory.mktemp("bases")


@slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("what", SABOTAGE)
def test_a_sabotaged_run_comes_to_its_end_and_is_never_worse_than_its_base(
    what, seed, smoke, bases, tmp_path
):
    extra, harms = SABOTAGE[what]
    begun = time.monotonic()
    shared = ["--base", str(bases / str(seed)), "--seed", str(seed)]
    code, said = smoke.run(tmp_path, *shared, *extra, harms=harms, decode=generate)
    assert code == 0, said[-2000:]

    rows = read_rows(tmp_path / "loop" / "metrics.jsonl")
    points = [round(100 * row["test_accuracy"], 2) for row in rows]
    scales = [row["scale"] for row in rows[1:]]
    memory = rows[-1]["memory"]
    took = f"{time.monotonic() - begun:.0f} s"
    print(f"{what}, seed {seed}: {points}, scales {scales}, memory {memory}, {took}")
    assert len(rows) == 3
    assert finite(tmp_path / "loop")
    assert points[-1] >= points[0] - ALLOWED
