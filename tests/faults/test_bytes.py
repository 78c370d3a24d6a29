"""A flipped bit anywhere, or a log that is cut at any byte, is noticed before it is used."""

import os
import random
import time

import pytest

from minisi.run.checkpoint import LOGS, MEMORY, cut_logs, manifest_path, read_manifest, read_state
from minisi.run.runtime import UserError

from .marks import quick, slow
from .process import lost

KEPT = [name for name in LOGS if name != MEMORY]  # that no person edits

# A flipped bit.


def state_files(folder):
    """The newest state's number and files, and how many bytes of each count."""
    newest = read_state(folder)
    manifest = manifest_path(folder, newest.number)
    sizes = {manifest: manifest.stat().st_size}
    for name, (size, _) in newest.facts["files"].items():
        if name != MEMORY:
            sizes[folder / name] = size
    return newest.number, sizes


def is_noticed(folder, name, number, capsys):
    """Whether state `number` is passed over for an older one, or for none.

    A warning must name the file.
    """
    capsys.readouterr()
    try:
        found = read_state(folder).number
    except UserError:
        found = -1
    return found < number and name in capsys.readouterr().err


def flip(path, byte, bit):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def missed_flips(copied, count, capsys):
    """The flips, of so many at random places of the newest states, that were not noticed."""
    rng = random.Random("flips")
    known = {folder: state_files(copied / folder) for folder in ("loop", "base")}
    missed = []
    for _ in range(count):
        folder = rng.choice(["loop", "loop", "base"])
        number, sizes = known[folder]
        path = rng.choice(sorted(sizes))
        byte = rng.randrange(sizes[path])
        bit = rng.randrange(8)
        flip(path, byte, bit)
        if not is_noticed(copied / folder, path.name, number, capsys):
            missed.append((path.name, byte, bit))
        flip(path, byte, bit)
    for folder, (number, _) in known.items():
        assert read_state(copied / folder).number == number
    return missed


def test_a_flipped_bit_is_noticed_before_it_is_used(copied, capsys):
    assert missed_flips(copied, 20, capsys) == []


@slow
def test_many_flipped_bits_are_noticed_before_they_are_used(copied, capsys):
    assert missed_flips(copied, int(os.environ.get("MINISI_FLIPS", 200)), capsys) == []


@pytest.mark.parametrize("every", quick([1, 50], 50))
def test_a_flipped_bit_of_a_manifest_is_noticed_wherever_it_is(every, copied, capsys):
    """Its ends of line, and `every` so many of the checksum's bytes and of each tenth."""
    path = copied / "loop" / "manifest-3.json"
    content = path.read_bytes()
    ends = [i for i, c in enumerate(content) if c == ord("\n")]
    checksum = [i for i in range(len(content)) if i in ends or i > len(content) - 68]
    tenths = list(range(0, len(content), 10))
    missed = []
    for byte in sorted({*ends, *(checksum + tenths)[::every]}):
        for bit in range(8):
            flip(path, byte, bit)
            if not is_noticed(copied / "loop", path.name, 3, capsys):
                missed.append((byte, bit))
            flip(path, byte, bit)
    assert missed == []


# A log that was cut.


def start_of_last_two_rows(content):
    rows = content.splitlines(keepends=True)
    return len(content) - len(rows[-1]) - len(rows[-2])


def read_logs(folder):
    return {name: (folder / name).read_bytes() for name in LOGS}


def wrong_cuts(folder, every):
    """Where a log is cut to, that is not gone back from rightly; and how many cuts were tried.

    The newest whole state must be the last before the cut, and the logs as they were then.
    """
    whole = read_logs(folder)
    sizes = {}  # round -> log -> how long it was
    for number in (1, 2, 3):
        files = read_manifest(folder, number)["files"]
        sizes[number] = {name: files[name][0] for name in KEPT}
    found = []
    tried = 0
    for name in KEPT:
        for at in range(start_of_last_two_rows(whole[name]), len(whole[name]), every):
            os.truncate(folder / name, at)
            state = read_state(folder)
            cut_logs(folder, state)
            wanted = max(number for number in sizes if sizes[number][name] <= at)
            logs = {log: whole[log][: sizes[wanted][log]] for log in KEPT}
            left = read_logs(folder)
            if state.number != wanted or {log: left[log] for log in KEPT} != logs:
                found.append((name, at))
            for log in LOGS:
                (folder / log).write_bytes(whole[log])
            tried += 1
    return found, tried


def test_a_log_that_is_cut_takes_the_run_back_to_the_last_state_before_the_cut(copied):
    found, tried = wrong_cuts(copied / "loop", 170)
    assert found == []
    assert tried > 15


@slow
def test_a_log_that_is_cut_at_any_byte_of_its_last_rows_takes_the_run_back_before_the_cut(
    copied, runs, reference
):
    begun = time.monotonic()
    found, tried = wrong_cuts(copied / "loop", 1)
    assert found == []
    assert tried > 2000

    resumed = 0
    for name in KEPT:
        path = copied / "loop" / name
        size = path.stat().st_size
        start = start_of_last_two_rows(path.read_bytes())
        for at in range(start, size, max(1, (size - start) // 12)):
            os.truncate(path, at)
            assert lost(runs, copied, reference) == [], (name, at)
            resumed += 1
    print(f"{tried} cuts, {resumed} of them resumed, {time.monotonic() - begun:.0f} s")
