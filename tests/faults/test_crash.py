"""A run that ends at any instant, for any reason, goes on to the same bytes."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from minisi.model.generate import generate
from minisi.run.checkpoint import numbers, read_state

from ..programs import ROOT
from .disk import ENDED, at_touch
from .marks import slow
from .outcome import different, outcome
from .process import (
    ENDLESS,
    Reference,
    hear,
    last_line,
    lost,
    one_sentence,
    wait_for,
)

GO_ON = "python loop.py --n_layer"  # how the command to go on begins

# At a touch of a file.

CODES = {
    "kill": ENDED,
    "power cut": ENDED,
    "EIO": 1,
    "SIGTERM": 143,
    "SIGINT": 130,
    "SIGHUP": -signal.SIGHUP,
}
SHARE = {"kill": 53, "power cut": 97, "EIO": 131, "SIGTERM": 173}  # one in so many is quick enough
FULL = [("kill", 1), ("power cut", 1), ("EIO", 1), ("SIGTERM", 5), ("SIGINT", 11), ("SIGHUP", 23)]


def touches(runs, folder):
    """How often a run touches files or folders."""
    tally = folder / "tally"
    code, said = runs.run(folder / "counted", harms=[at_touch(0, "count", str(tally))])
    assert code == 0, said
    return len(tally.read_text().splitlines())


def ends_as_it_should(deed, code, said):
    """Whether a run that was struck gave the right exit code, and said what it should."""
    if code != CODES[deed]:
        return False
    if deed == "EIO":
        return one_sentence(said)
    if deed in ("SIGTERM", "SIGINT"):
        return GO_ON in said
    return True


def wrong_at(at, deed, runs, place, reference):
    """What goes wrong where a run ends at this touch; empty where nothing does."""
    code, said = runs.run(place, harms=[at_touch(at, deed)])
    if not ends_as_it_should(deed, code, said):
        return [f"ended with {code}: {said[-300:]}"]
    return lost(runs, place, reference)


def wrong_after(deed, points, runs, folder, reference):
    """The touches after which something goes wrong, and what."""
    found = {}
    for at in points:
        place = folder / f"{deed}-{at}"
        wrong = wrong_at(at, deed, runs, place, reference)
        if wrong:
            found[at] = wrong
        shutil.rmtree(place)
    return found


@pytest.mark.parametrize("deed", SHARE)
def test_a_run_that_ends_at_a_touch_of_a_file_goes_on_to_the_same_bytes(
    deed, runs, reference, tmp_path
):
    points = range(13, 225, SHARE[deed])
    assert len(points) > 1
    assert wrong_after(deed, points, runs, tmp_path, reference) == {}


@slow
@pytest.mark.parametrize(("deed", "every"), FULL)
def test_a_run_that_ends_at_any_touch_of_a_file_goes_on_to_the_same_bytes(
    deed, every, runs, reference, tmp_path
):
    begun = time.monotonic()
    count = touches(runs, tmp_path)
    points = range(1, count + 1, every)
    assert count > 150
    assert wrong_after(deed, points, runs, tmp_path, reference) == {}
    print(f"{deed}: {len(points)} of {count} points, {time.monotonic() - begun:.0f} s")


# By a kill, at a random instant.


def killed_at_random(runs, folder, reference, count, **more):
    """Kill `count` runs and let them go on: what went wrong; how many kills came in time.

    The instants are random, one in each of as many equal parts of an undisturbed run.
    """
    rng = random.Random("kills")
    found = {}
    hit = 0
    for number in range(count):
        place = folder / str(number)
        process = runs.begin(place, **more)
        time.sleep(reference.seconds * (number + rng.random()) / count)
        process.kill()
        process.join()
        hit += process.exitcode == -signal.SIGKILL
        wrong = lost(runs, place, reference, **more)
        if wrong:
            found[number] = wrong
    return found, hit


def test_a_run_that_is_killed_at_a_random_instant_goes_on_to_the_same_bytes(
    runs, reference, tmp_path
):
    found, hit = killed_at_random(runs, tmp_path, reference, 3)
    assert found == {}
    assert hit > 0


@slow
def test_runs_that_are_killed_at_many_random_instants_go_on_to_the_same_bytes(
    runs, reference, tmp_path
):
    begun = time.monotonic()
    count = int(os.environ.get("MINISI_KILLS", 50))
    found, hit = killed_at_random(runs, tmp_path, reference, count)
    assert found == {}
    assert hit > 0.7 * count
    print(f"{count} kills, {hit} of them in time, {time.monotonic() - begun:.0f} s")


@slow
def test_a_smoke_run_that_is_killed_goes_on_to_the_same_bytes(smoke, tmp_path):
    reference = Reference(smoke, tmp_path / "undisturbed", decode=generate)
    count = int(os.environ.get("MINISI_SMOKE_KILLS", 2))
    found, hit = killed_at_random(smoke, tmp_path, reference, count, decode=generate)
    assert found == {}
    assert hit > 0
    print(f"{hit} kills, an undisturbed run takes {reference.seconds:.0f} s")


# By a signal.

STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(
    ("number", "code", "part"),
    [
        (signal.SIGINT, 130, "pretraining"),
        (signal.SIGTERM, 143, "rounds"),
        pytest.param(signal.SIGTERM, 143, "pretraining", marks=slow),
        pytest.param(signal.SIGINT, 130, "rounds", marks=slow),
    ],
)
def test_a_signal_ends_a_run_at_once_and_says_how_to_go_on(
    number, code, part, runs, reference, tmp_path
):
    process = runs.begin(tmp_path, *ENDLESS[part])
    folder = tmp_path / ("base" if part == "pretraining" else "loop")
    wait_for(lambda: numbers(folder))
    time.sleep(0.1)

    begun = time.monotonic()
    os.kill(process.pid, number)
    process.join(60)
    took = time.monotonic() - begun

    assert process.exitcode == code
    assert took < max(2, 4 * reference.seconds)
    said = process.log.read_text()
    assert "Traceback" not in said
    assert GO_ON in last_line(said)
    assert "saved" in last_line(said)
    assert read_state(folder).number == numbers(folder)[0]


@slow
def test_two_signals_at_once_end_a_run_without_a_traceback(runs, tmp_path):
    process = runs.begin(tmp_path, *ENDLESS["rounds"])
    wait_for((tmp_path / "loop" / "manifest-0.json").exists)
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        os.kill(process.pid, number)
    process.join()
    assert process.exitcode in (130, 143)
    assert "Traceback" not in process.log.read_text()


@slow
def test_a_run_that_was_halted_and_woken_is_the_same(runs, reference, tmp_path):
    process = runs.begin(tmp_path)
    halts = 0
    while halts < 5 and process.is_alive():
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.02)
        halts += 1
    process.join()
    assert halts > 1
    assert process.exitcode == 0
    assert different(outcome(tmp_path), reference.outcome) == []


@slow
@pytest.mark.parametrize(("number", "code"), STOPS)
@pytest.mark.parametrize("program", ["train.py", "loop.py"])
def test_the_programs_themselves_end_with_the_code_of_the_signal(program, number, code, tmp_path):
    places = ["--out", f"{tmp_path}/base"]
    if program == "loop.py":
        places = ["--base", f"{tmp_path}/base", "--out", f"{tmp_path}/loop"]
    command = [sys.executable, program, "--preset", "smoke", *places, *ENDLESS["pretraining"]]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=hear
    )
    wait_for((tmp_path / "base" / "lock").exists)
    time.sleep(1)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    assert f"python {program} --preset smoke" in said
