"""A run survives anything: killed, starved, corrupted or lied to, it loses nothing, keeps nothing bad, and goes on to the same bytes.

README.md beside this file has the table of all faults.  The slow part is marked `faults`: python -m pytest -m faults
"""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from minisi import checkpoint
from minisi.generate import generate
from minisi.memory import FailureMemory
from minisi.runtime import UserError

from . import faults
from .faults import ENDED, ROOT, TINY, at_touch, different, limit, outcome, poison
from .test_loop import small_test_set  # noqa: F401, a fixture
from .test_memory import PROBLEMS, row

slow = pytest.mark.faults
SENTENCE = "error: "


class Runs:
    """Starts runs: `begin` returns the process, `run` its exit code and what it said."""

    def __init__(self, test):
        self.test, self.context = test, faults.server()

    def arguments(self, folder, extra=()):
        return [*TINY, "--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(self.test), *extra]

    def begin(self, folder, *extra, harms=(), **more):
        folder.mkdir(exist_ok=True)
        log = folder / f"said-{len(list(folder.glob('said-*')))}"
        process = self.context.Process(target=faults.play, args=(self.arguments(folder, extra), str(log), harms), kwargs=more)
        process.start()
        process.log = log
        return process

    def run(self, folder, *extra, **more):
        process = self.begin(folder, *extra, **more)
        process.join()
        return process.exitcode, process.log.read_text()


@pytest.fixture(scope="module")
def runs(small_test_set):  # noqa: F811
    return Runs(small_test_set)


class Reference:
    """An undisturbed run."""

    def __init__(self, runs, folder, *extra, **more):
        self.folder, begun = folder, time.time()
        code, said = runs.run(folder, *extra, **more)
        assert code == 0, said
        self.outcome, self.seconds = outcome(folder), time.time() - begun

    def copy(self, folder, *parts):
        for part in parts or ("base", "loop"):
            shutil.copytree(self.folder / part, folder / part)
        return folder


@pytest.fixture(scope="module")
def reference(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    runs.run(folder / "first")  # loads what torch loads late
    return Reference(runs, folder / "undisturbed")


def goes_on(runs, folder, reference, *extra, **more):
    """What sets the run apart from the reference once the same command has gone on with it; empty where nothing does."""
    code, said = runs.run(folder, *extra, **more)
    return different(outcome(folder), reference.outcome) if code == 0 else [f"exit code {code}: {said[-300:]}"]


def one_sentence(said):
    """Whether a run ended in one line of error and no traceback."""
    return "Traceback" not in said and said.splitlines()[-1].startswith(SENTENCE) and said.count(SENTENCE) == 1


# Where a run ends.

CODES = {"kill": ENDED, "power cut": ENDED, "EIO": 1, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": -signal.SIGHUP}


def touches(runs, folder):
    """How often a run touches files or folders."""
    assert runs.run(folder / "counted", harms=[at_touch(0, "count", str(folder / "tally"))])[0] == 0
    return len((folder / "tally").read_text().splitlines())


def wrong_after(runs, folder, reference, deed, points):
    found = []
    for at in points:
        place = folder / f"{deed}-{at}"
        code, said = runs.run(place, harms=[at_touch(at, deed)])
        right = code == CODES[deed] and (deed != "EIO" or one_sentence(said)) and (deed not in ("SIGTERM", "SIGINT") or "python loop.py --n_layer" in said)
        wrong = goes_on(runs, place, reference) if right else [f"ended with {code}: {said[-300:]}"]
        found += [(deed, at, wrong)] if wrong else []
        shutil.rmtree(place)
    return found


SHARE = {"kill": 53, "power cut": 97, "EIO": 131, "SIGTERM": 173}


@pytest.mark.parametrize("deed", SHARE)
def test_a_run_that_ends_at_a_touch_of_a_file_goes_on_to_the_same_bytes(deed, runs, reference, tmp_path):
    points = range(13, 225, SHARE[deed])
    assert len(points) > 1 and wrong_after(runs, tmp_path, reference, deed, points) == []


@slow
@pytest.mark.parametrize("deed, every", [("kill", 1), ("power cut", 1), ("EIO", 1), ("SIGTERM", 5), ("SIGINT", 11), ("SIGHUP", 23)])
def test_a_run_that_ends_at_any_touch_of_a_file_goes_on_to_the_same_bytes(deed, every, runs, reference, tmp_path):
    count, begun = touches(runs, tmp_path), time.time()
    points = range(1, count + 1, every)
    assert count > 150 and wrong_after(runs, tmp_path, reference, deed, points) == []
    print(f"{deed}: {len(points)} of {count} points, {time.time() - begun:.0f} s")


def killed_at_random(runs, folder, reference, count, *extra, **more):
    """Which of `count` runs, each killed at a random instant, did not go on to the reference; and how many were still at work when the kill came."""
    rng, found, hit = random.Random("kills"), [], 0
    for n in range(count):
        process, wait = runs.begin(folder / str(n), *extra, **more), rng.uniform(0, reference.seconds)
        time.sleep(wait)
        process.kill()
        process.join()
        hit += process.exitcode == -signal.SIGKILL
        wrong = goes_on(runs, folder / str(n), reference, *extra, **more)
        found += [(n, wait, wrong)] if wrong else []
    return found, hit


def test_a_run_that_is_killed_at_a_random_instant_goes_on_to_the_same_bytes(runs, reference, tmp_path):
    found, hit = killed_at_random(runs, tmp_path, reference, 2)
    assert found == [] and hit


@slow
def test_runs_that_are_killed_at_many_random_instants_go_on_to_the_same_bytes(runs, reference, tmp_path):
    count, begun = int(os.environ.get("MINISI_KILLS", 50)), time.time()
    found, hit = killed_at_random(runs, tmp_path, reference, count)
    assert found == [] and hit > 0.7 * count
    print(f"{count} kills, {hit} of them in time, {time.time() - begun:.0f} s")


SMOKE = ("--preset", "smoke", "--device", "cpu")


@pytest.fixture(scope="module")
def smoke(runs):
    """A Runs for the smoke preset, the whole test set and real decoding."""
    made = Runs(ROOT / "data" / "test.jsonl")
    made.arguments = lambda folder, extra=(): [*SMOKE, "--base", f"{folder}/base", "--out", f"{folder}/loop", *extra]
    return made


@slow
def test_a_smoke_run_that_is_killed_goes_on_to_the_same_bytes(smoke, tmp_path):
    reference = Reference(smoke, tmp_path / "undisturbed", decode=generate)
    found, hit = killed_at_random(smoke, tmp_path, reference, int(os.environ.get("MINISI_SMOKE_KILLS", 2)), decode=generate)
    assert found == [] and hit
    print(f"{hit} kills, an undisturbed run takes {reference.seconds:.0f} s")


PARTS = {"pretraining": ("--base_steps", "1000000"), "rounds": ("--rounds", "1000000")}


def wait_for(condition, seconds=60):
    until = time.time() + seconds
    while not condition():
        assert time.time() < until, "it never came"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "number, part",
    [(signal.SIGINT, "pretraining"), (signal.SIGTERM, "rounds")]
    + [pytest.param(signal.SIGTERM, "pretraining", marks=slow), pytest.param(signal.SIGINT, "rounds", marks=slow)],
)
def test_a_signal_ends_a_run_at_once_and_says_how_to_go_on(number, part, runs, reference, tmp_path):
    process, folder = runs.begin(tmp_path, *PARTS[part]), tmp_path / ("base" if part == "pretraining" else "loop")
    wait_for(lambda: list(folder.glob("manifest-*")))
    time.sleep(0.1)
    begun = time.time()
    os.kill(process.pid, number)
    process.join(60)
    took, said = time.time() - begun, process.log.read_text()
    assert process.exitcode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number] and took < max(2, 4 * reference.seconds)
    assert "Traceback" not in said and "python loop.py --n_layer" in said.splitlines()[-1] and "saved" in said.splitlines()[-1]
    assert checkpoint.read_state(folder).number == max(int(path.stem.split("-")[1]) for path in folder.glob("manifest-*.json"))


@slow
def test_two_signals_at_once_end_a_run_without_a_traceback(runs, tmp_path):
    process = runs.begin(tmp_path, *PARTS["rounds"])
    wait_for(lambda: (tmp_path / "loop" / "manifest-0.json").exists())
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
        os.kill(process.pid, number)
    process.join()
    assert process.exitcode in (130, 143) and "Traceback" not in process.log.read_text()


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
    assert halts > 1 and process.exitcode == 0 and different(outcome(tmp_path), reference.outcome) == []


@slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("program, flag", [("train.py", "--out"), ("loop.py", "--base")])
def test_the_programs_themselves_end_with_the_code_of_the_signal(program, flag, number, code, tmp_path):
    command = [sys.executable, program, "--preset", "smoke", flag, f"{tmp_path}/base", "--base_steps", "1000000"]
    command += ["--out", f"{tmp_path}/loop"] if program == "loop.py" else []
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=faults.hear)
    wait_for((tmp_path / "base" / "lock").exists)
    time.sleep(1)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == code and "Traceback" not in said and f"python {program} --preset smoke" in said


# Going on.


def test_two_rounds_and_two_more_are_four_at_once(runs, reference, tmp_path):
    at_once = Reference(runs, reference.copy(tmp_path / "four", "base"), "--rounds", "4")
    assert runs.run(reference.copy(tmp_path / "two", "base"), "--rounds", "2")[0] == 0
    assert goes_on(runs, tmp_path / "two", at_once, "--rounds", "4") == []


def test_pretraining_that_was_killed_goes_on_to_the_same_bytes(runs, tmp_path):
    whole = Reference(runs, tmp_path / "whole", "--base_steps", "60", "--rounds", "0")
    said = ""
    for at in (20, 20, 7):  # three times in one folder: saving step 40, 60, and 60 again
        code, said = runs.run(tmp_path / "killed", "--base_steps", "60", "--rounds", "0", harms=[at_touch(at, "kill")])
        assert code == ENDED
    assert ", from step 40 on" in said
    assert checkpoint.read_state(tmp_path / "killed" / "base").number < 60
    assert goes_on(runs, tmp_path / "killed", whole, "--base_steps", "60", "--rounds", "0") == []


def stamps(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*") if path.name != "lock" and "said" not in path.name}


def test_a_finished_run_says_so_and_changes_nothing(runs, reference):
    before = stamps(reference.folder / "loop"), stamps(reference.folder / "base")
    code, said = runs.run(reference.folder)
    assert code == 0 and "finished" in said and (stamps(reference.folder / "loop"), stamps(reference.folder / "base")) == before


@pytest.mark.parametrize(
    "changed, words",
    [({"--lr": "0.5"}, ["lr 0.02", "0.5"]), ({"--seed": "2", "--arm": "random"}, ["seed 1", "arm failure"]), ({"--n_embd": "32"}, ["n_embd 16", "32"])],
)
def test_other_settings_are_refused_with_the_differences_named(changed, words, runs, reference):
    before = stamps(reference.folder)
    code, said = runs.run(reference.folder, *[part for pair in changed.items() for part in pair])
    assert code == 1 and one_sentence(said) and all(word in said for word in words) and stamps(reference.folder) == before


def test_a_test_set_that_was_replaced_meanwhile_is_refused(small_test_set, reference, tmp_path):  # noqa: F811
    mine = tmp_path / "test.jsonl"
    shutil.copy(small_test_set, mine)
    runs = Runs(mine)
    assert runs.run(reference.copy(tmp_path, "base"), "--rounds", "1")[0] == 0
    mine.write_text("".join((ROOT / "data" / "test.jsonl").read_text().splitlines(keepends=True)[1::64]))
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said)


# What the system refuses.

STARVED = {
    "a file may not grow": limit("RLIMIT_FSIZE", 20_000),
    "no more open files": faults.no_more_files,
    "no more memory": faults.less_memory,
    "stdout is on a full disk": faults.full_output,
    "nobody reads stdout": faults.closed_reader,
}


@pytest.mark.parametrize("what", [pytest.param(what, marks=[slow] * (what != "a file may not grow")) for what in STARVED])
def test_a_run_that_is_starved_ends_in_a_sentence_and_goes_on(what, runs, reference, tmp_path):
    if "stdout" in what or what == "no more memory":
        reference.copy(tmp_path, "base")  # so that it is the loop that starves
    code, said = runs.run(tmp_path, harms=[STARVED[what]])
    assert code not in (0, None) and (one_sentence(said) or what == "no more memory")
    assert not list(tmp_path.rglob("*.part")) and goes_on(runs, tmp_path, reference) == []


@slow
def test_a_run_whose_states_cannot_be_read_for_want_of_memory_is_not_told_to_delete_them(runs, reference, tmp_path):
    code, said = runs.run(reference.copy(tmp_path), "--rounds", "4", harms=[faults.less_memory])
    assert code != 0 and "delete" not in said


@slow
def test_a_full_file_system_stops_a_run_which_goes_on_when_there_is_space(runs, reference, tmp_path):
    (tmp_path / "small").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", tmp_path / "small"], capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        code, said = runs.run(tmp_path / "small")
        assert code == 1 and one_sentence(said) and "No space left" in said
        subprocess.run(["mount", "-o", "remount,size=4m", tmp_path / "small"], check=True)
        assert goes_on(runs, tmp_path / "small", reference) == []
    finally:
        subprocess.run(["umount", "-l", tmp_path / "small"], check=True)


def test_a_full_disk_under_one_file_stops_a_run_which_goes_on(runs, reference, tmp_path):
    (reference.copy(tmp_path, "base") / "loop").mkdir()
    (tmp_path / "loop" / "model-1.pt.part").symlink_to("/dev/full")
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said) and "No space left" in said and checkpoint.read_state(tmp_path / "loop").number == 0
    assert goes_on(runs, tmp_path, reference) == []


@pytest.mark.parametrize("name", ["a log", "the memory"])
def test_a_row_that_is_written_only_in_part_is_an_error(name, tmp_path):
    """A disk that fills up in the middle of a row takes what fits, without an error: write(2) returns less than it was given."""
    log = tmp_path / "log"
    write = partial(checkpoint.append_rows, log, [{"round": 0}]) if name == "a log" else partial(FailureMemory(log).append, [row(PROBLEMS[0])])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, before[1]))
    try:
        with pytest.raises(OSError):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / "log").stat().st_size <= 7


def test_a_read_only_folder_is_one_sentence(runs, reference):
    folder = Path(tempfile.mkdtemp())
    try:
        reference.copy(folder, "base")
        shutil.copy(runs.test, folder / "test.jsonl")
        (folder / "said-0").touch()
        (folder / "loop").mkdir()
        for path in (folder / "base", folder, folder / "loop"):
            path.chmod(0o555)
        code, said = runs.run(folder, "--test", str(folder / "test.jsonl"), harms=[faults.nobody])
        assert code == 1 and one_sentence(said) and f"{folder}/loop" in said.splitlines()[-1] and not list((folder / "loop").iterdir())
    finally:
        for path in (folder, folder / "loop", folder / "base"):
            path.chmod(0o755)
        shutil.rmtree(folder)


FILES, FOLDERS = ("loop", "loop/adapters", "loop/lock/x"), ("model-1.pt.part", "manifest-2.json", "metrics.jsonl", "memory.jsonl", "report.md")
IN_THE_WAY = {**dict.fromkeys(FILES, "file"), **dict.fromkeys(FOLDERS, "folder")}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[slow] * (name not in ("loop/adapters", "manifest-2.json"))) for name in IN_THE_WAY])
def test_what_is_in_the_way_is_one_sentence_and_once_it_is_gone_the_run_goes_on(name, runs, reference, tmp_path):
    path = reference.copy(tmp_path, "base") / (name if "loop" in name else f"loop/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch() if IN_THE_WAY[name] == "file" else path.mkdir()
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said), said[-2000:]
    path.unlink() if path.is_file() else path.rmdir()
    if name == "loop/lock/x":
        path.parent.rmdir()
    assert goes_on(runs, tmp_path, reference) == []


def test_what_a_killed_run_left_half_written_is_not_in_the_way(runs, reference, tmp_path):
    (reference.copy(tmp_path, "base") / "loop").mkdir()
    for name in ("model-1.pt.part", "manifest-2.json.part", "report.md.part", "config.json.part", "model-2.pt"):
        (tmp_path / "loop" / name).write_bytes(b"half of")
    assert goes_on(runs, tmp_path, reference) == []


def test_what_is_not_of_the_run_is_left_alone(runs, reference, tmp_path):
    (reference.copy(tmp_path, "base") / "loop").mkdir()
    foreign = tmp_path / "loop" / "mine.jsonl", tmp_path / "loop" / "manifest-1 copy.json", tmp_path / "loop" / "manifest-old.json"
    for path in foreign[:1]:
        path.write_text('{"a person": "wrote this"}\n')
    assert runs.run(tmp_path, "--rounds", "1")[0] == 0
    for path in foreign[1:]:
        shutil.copy(tmp_path / "loop" / "manifest-1.json", path)
    code, said = runs.run(tmp_path)
    assert code == 0, said[-1000:]
    assert foreign[0].read_text() == '{"a person": "wrote this"}\n' and all(path.exists() for path in foreign)


def test_the_logs_of_a_run_whose_manifests_are_gone_are_not_emptied(runs, reference, tmp_path):
    for path in reference.copy(tmp_path).glob("loop/manifest-*"):
        path.unlink()
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said) and faults.logs(tmp_path / "loop")["memory.jsonl"] == reference.outcome["memory.jsonl"]


def test_a_second_run_in_a_folder_is_refused_and_a_killed_one_leaves_no_lock(runs, tmp_path):
    first = runs.begin(tmp_path, *PARTS["rounds"])
    wait_for(lambda: (tmp_path / "loop" / "manifest-0.json").exists())
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said) and "another run" in said and first.is_alive()
    first.kill()
    first.join()
    assert (tmp_path / "loop" / "lock").exists() and runs.run(tmp_path)[0] == 0


def test_two_runs_do_not_pretrain_in_one_folder(runs, tmp_path):
    first = runs.begin(tmp_path, *PARTS["pretraining"])
    wait_for(lambda: (tmp_path / "base" / "lock").exists())
    code, said = runs.run(tmp_path, *PARTS["pretraining"], "--out", f"{tmp_path}/other")
    alive = first.is_alive()
    first.kill()
    first.join()
    assert alive and code == 1 and one_sentence(said) and "another run" in said


# What is read.


@pytest.fixture
def copied(reference, tmp_path):
    return reference.copy(tmp_path)


def state_files(folder):
    """The newest state's files, and how many bytes of each count."""
    newest = checkpoint.read_state(folder)
    path = folder / f"manifest-{newest.number}.json"
    return newest.number, {path: path.stat().st_size, **{folder / name: size for name, (size, _) in newest.facts["files"].items()}}


def is_noticed(folder, name, number, capsys):
    """Whether the newest state is passed over, with a warning that names the file, for an older one or for none."""
    capsys.readouterr()
    try:
        found = checkpoint.read_state(folder).number
    except UserError:
        found = -1
    return found < number and name in capsys.readouterr().err


def flipped(path, byte, bit):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def missed_flips(copied, count, capsys):
    rng, missed, known = random.Random("flips"), [], {folder: state_files(copied / folder) for folder in ("loop", "base")}
    for _ in range(count):
        folder = rng.choice(["loop", "loop", "base"])
        number, files = known[folder]
        path = rng.choice(sorted(files))
        byte, bit = rng.randrange(files[path]), rng.randrange(8)
        flipped(path, byte, bit)
        missed += [(path.name, byte, bit)] * (not is_noticed(copied / folder, path.name, number, capsys))
        flipped(path, byte, bit)
    assert all(checkpoint.read_state(copied / folder).number == number for folder, (number, _) in known.items())
    return missed


def test_a_flipped_bit_is_noticed_before_it_is_used(copied, capsys):
    assert missed_flips(copied, 20, capsys) == []


@slow
def test_many_flipped_bits_are_noticed_before_they_are_used(copied, capsys):
    assert missed_flips(copied, int(os.environ.get("MINISI_FLIPS", 200)), capsys) == []


@pytest.mark.parametrize("every", [pytest.param(1, marks=slow), 50])
def test_a_flipped_bit_of_a_manifest_is_noticed_wherever_it_is(every, copied, capsys):
    """All bits of its checksum and its ends of line, and `every` other."""
    path = copied / "loop" / "manifest-3.json"
    content, missed = path.read_bytes(), []
    special = [i for i, c in enumerate(content) if c == 10 or i > len(content) - 68]
    chosen = sorted({i for i, c in enumerate(content) if c == 10} | set((special + list(range(0, len(content), 10)))[::every]))
    for byte in chosen:
        for bit in range(8):
            flipped(path, byte, bit)
            missed += [(byte, bit)] * (not is_noticed(copied / "loop", path.name, 3, capsys))
            flipped(path, byte, bit)
    assert missed == []


def sign(path, **changed):
    """Give a manifest other contents and a checksum that is right for them."""
    text = json.dumps({**json.loads(path.read_text().splitlines()[0]), **changed})
    path.write_text(f"{text}\n{checkpoint.sha256(text)}\n")


def swap_row(path):
    """Put the first row in the place of the last."""
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows[:-1], rows[0]]))


DAMAGE = {  # of the run's folder; which file the warning names; which round is gone back to
    "a model that was cut": (lambda f: os.truncate(f / "model-3.pt", 20_000), "model-3.pt", 2),
    "an empty model": (lambda f: os.truncate(f / "model-3.pt", 0), "model-3.pt", 2),
    "no model": (lambda f: (f / "model-3.pt").unlink(), "model-3.pt", 2),
    "a model with more behind it": (lambda f: (f / "model-3.pt").write_bytes((f / "model-3.pt").read_bytes() + b"\0"), "model-3.pt", 2),
    "the model of another round": (lambda f: shutil.copy(f / "model-1.pt", f / "model-3.pt"), "model-3.pt", 2),
    "the base in its place": (lambda f: shutil.copy(f.parent / "base" / "model-24.pt", f / "model-3.pt"), "model-3.pt", 2),
    "no manifest": (lambda f: (f / "manifest-3.json").unlink(), "", 2),
    "an empty manifest": (lambda f: os.truncate(f / "manifest-3.json", 0), "manifest-3.json", 2),
    "a manifest that was cut": (lambda f: os.truncate(f / "manifest-3.json", 400), "manifest-3.json", 2),
    "a manifest without its checksum": (lambda f: os.truncate(f / "manifest-3.json", (f / "manifest-3.json").stat().st_size - 65), "manifest-3.json", 2),
    "a manifest that is a list": (lambda f: (f / "manifest-3.json").write_text(f"[]\n{checkpoint.sha256('[]')}\n"), "manifest-3.json", 2),
    "a manifest of another round": (lambda f: shutil.copy(f / "manifest-1.json", f / "manifest-3.json"), "manifest-3.json", 2),
    "a manifest of another version": (lambda f: sign(f / "manifest-3.json", format=10**6), "manifest-3.json", 2),
    "another vocabulary": (lambda f: sign(f / "manifest-3.json", vocabulary="x"), "manifest-3.json", 2),
    "a manifest without files": (lambda f: sign(f / "manifest-3.json", files=None), "manifest-3.json", 2),
    "a manifest that is a folder": (lambda f: (f / "manifest-3.json").unlink() or (f / "manifest-3.json").mkdir(), "manifest-3.json", 2),
    "two damaged states": (lambda f: os.truncate(f / "model-3.pt", 9) or os.truncate(f / "model-2.pt", 9), "model-2.pt", 1),
    "a row in another's place": (lambda f: swap_row(f / "metrics.jsonl"), "metrics.jsonl", 2),
    "a log that lost its last row": (lambda f: os.truncate(f / "answers.jsonl", (f / "answers.jsonl").stat().st_size * 3 // 4), "answers.jsonl", 2),
    "no memory": (lambda f: (f / "memory.jsonl").unlink(), "memory.jsonl", -1),
    "all models cut": (lambda f: [os.truncate(path, 9) for path in f.glob("model-*")], "model-1.pt", -1),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_passed_over_with_a_warning_that_names_it(damage, copied, capsys):
    harm, name, wanted = DAMAGE[damage]
    harm(copied / "loop")
    if wanted < 0:
        with pytest.raises(UserError, match="loop"):
            checkpoint.read_state(copied / "loop")
    else:
        assert checkpoint.read_state(copied / "loop").number == wanted
    assert name in capsys.readouterr().err


@slow
@pytest.mark.parametrize("damage", [damage for damage, (_, _, wanted) in DAMAGE.items() if damage != "a manifest that is a folder"])
def test_a_damaged_run_goes_on_to_the_same_bytes_or_ends_in_a_sentence(damage, copied, runs, reference):
    harm, _, wanted = DAMAGE[damage]
    harm(copied / "loop")
    if wanted < 0:
        code, said = runs.run(copied)
        assert code == 1 and one_sentence(said)
    else:
        assert goes_on(runs, copied, reference) == []


BASE_DAMAGE = {
    "a base that was cut": lambda f: os.truncate(f / "model-24.pt", 50_000),
    "a base without its manifest": lambda f: (f / "manifest-24.json").unlink(),
    "a base of another version": lambda f: sign(f / "manifest-24.json", format=10**6),
    "no base": shutil.rmtree,
}


@pytest.mark.parametrize("damage", [pytest.param(damage, marks=[slow] * (n > 0)) for n, damage in enumerate(BASE_DAMAGE)])
def test_a_damaged_base_is_made_anew_from_where_it_was_whole(damage, runs, reference, tmp_path):
    BASE_DAMAGE[damage](reference.copy(tmp_path, "base") / "base")
    assert goes_on(runs, tmp_path, reference) == []


@slow
def test_a_base_of_which_nothing_is_whole_and_one_of_another_shape_are_a_sentence(runs, reference, tmp_path):
    for path in (reference.copy(tmp_path, "base") / "base").glob("model-*"):
        os.truncate(path, 100)
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said)
    shutil.rmtree(tmp_path / "base")
    assert runs.run(tmp_path, "--n_embd", "32", "--rounds", "0")[0] == 0
    shutil.rmtree(tmp_path / "loop")
    code, said = runs.run(tmp_path)
    assert code == 1 and one_sentence(said) and "n_embd 32" in said


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_model_is_executed_even_where_its_manifest_vouches_for_it(copied, capsys):
    path, manifest = copied / "loop" / "model-3.pt", copied / "loop" / "manifest-3.json"
    torch.save({"model": {"head.weight": Harm(copied / "harm")}}, path)
    files = json.loads(manifest.read_text().splitlines()[0])["files"]
    sign(manifest, files={**files, path.name: [path.stat().st_size, checkpoint.sha256(path.read_bytes())]})
    assert checkpoint.read_state(copied / "loop").number == 2 and not (copied / "harm").exists()


LOGS = ("metrics.jsonl", "memory.jsonl", "answers.jsonl")


def wrong_cuts(folder, every):
    """Where a log is cut to which the newest whole state and the logs after it are not what they should be; and how many cuts were tried."""
    whole, found, tried = {name: (folder / name).read_bytes() for name in LOGS}, [], 0
    files = {number: json.loads((folder / f"manifest-{number}.json").read_text().splitlines()[0])["files"] for number in (1, 2, 3)}
    sizes = {number: {name: size for name, (size, _) in sizes.items()} for number, sizes in files.items()}
    for name in LOGS:
        start = whole[name][:-1].rfind(b"\n", 0, whole[name][:-1].rfind(b"\n")) + 1
        for at in range(start, len(whole[name]), every):
            os.truncate(folder / name, at)
            wanted = max(number for number in sizes if sizes[number][name] <= at)
            state = checkpoint.read_state(folder)
            checkpoint.cut_logs(folder, state)
            kept = {log: (folder / log).read_bytes() for log in LOGS}
            found += [(name, at)] * (state.number != wanted or kept != {log: whole[log][: sizes[wanted][log]] for log in LOGS})
            for log in LOGS:
                (folder / log).write_bytes(whole[log])
            tried += 1
    return found, tried


def test_a_log_that_is_cut_takes_the_run_back_to_the_last_state_before_the_cut(copied):
    found, tried = wrong_cuts(copied / "loop", 170)
    assert found == [] and tried > 20


@slow
def test_a_log_that_is_cut_at_any_byte_of_its_last_rows_takes_the_run_back_to_the_last_state_before_the_cut(copied, runs, reference, tmp_path):
    begun = time.time()
    found, tried = wrong_cuts(copied / "loop", 1)
    assert found == [] and tried > 2000
    resumed = 0
    for name in LOGS:
        size, rows = (copied / "loop" / name).stat().st_size, (copied / "loop" / name).read_bytes().splitlines(keepends=True)
        for at in range(size - len(rows[-1]) - len(rows[-2]), size, max(1, (len(rows[-1]) + len(rows[-2])) // 12)):
            os.truncate(copied / "loop" / name, at)
            assert goes_on(runs, copied, reference) == [], (name, at)
            resumed += 1
    print(f"{tried} cuts, {resumed} of them resumed, {time.time() - begun:.0f} s")


# Numbers.


def finite(folder):
    """Whether all weights of all states of a run or base are finite."""
    models = [torch.load(path, weights_only=True)["model"] for path in folder.glob("model-*.pt")]
    return all(weight.isfinite().all() for model in models for weight in model.values())


NUMBERS = [("gradient", float("inf")), ("gradient", float("nan")), ("weight", float("nan")), ("weight", float("-inf"))]


@pytest.mark.parametrize("place, value", [pytest.param(*case, marks=[slow] * (n > 0)) for n, case in enumerate(NUMBERS)])
@pytest.mark.parametrize("step", [pytest.param(0, marks=slow), 2])
@pytest.mark.parametrize("times", [1, 2])
def test_a_number_that_is_not_finite_is_tried_once_more_and_then_dropped(place, value, step, times, runs, reference, tmp_path):
    if (place, step) == ("weight", 2):
        step = 1
    code, said = runs.run(reference.copy(tmp_path, "base"), harms=[poison(step, value, times, "finetuning", place)])
    assert code == 0, said[-2000:]
    first, last = checkpoint.read_rows(tmp_path / "loop" / "metrics.jsonl")[1], checkpoint.read_rows(tmp_path / "loop" / "metrics.jsonl")[3]
    assert said.count("not finite") == times and finite(tmp_path / "loop") and last["steps"] == 3
    assert (first["steps"], first["kept"], first["fixed"], first["broken"]) == (0, False, 0, 0) if times == 2 else first["steps"] == 3
    line = next(line for line in said.splitlines() if line.split()[:1] == ["1"])
    assert ("rejected" in line) == (not first["kept"])


@pytest.mark.parametrize("step", [pytest.param(3, marks=slow), 19, pytest.param(23, marks=slow)])
@pytest.mark.parametrize("place, value", [pytest.param(*case, marks=[slow] * (n > 0)) for n, case in enumerate(NUMBERS)])
def test_pretraining_never_saves_a_number_that_is_not_finite(place, value, step, runs, reference, tmp_path):
    code, said = runs.run(tmp_path, harms=[poison(step, value, 1, "pretraining", place)])
    assert code == 1 and one_sentence(said) and "base_lr" in said and finite(tmp_path / "base")
    assert goes_on(runs, tmp_path, reference) == []


@slow
@pytest.mark.parametrize("extra", ["--lr 1e30", "--lr 1e20", "--lr 1e10", "--arm full --full_lr 1e30", "--lr 1e3 --lora_alpha 1e30"])
@pytest.mark.parametrize("decode", [faults.coin, generate])
def test_an_absurd_rate_ends_in_no_weight_that_is_not_finite(extra, decode, runs, reference, tmp_path):
    code, said = runs.run(reference.copy(tmp_path, "base"), *extra.split(), decode=decode)
    assert code == 0, said[-2000:]
    assert finite(tmp_path / "loop")


@slow
def test_a_base_that_failed_can_be_made_at_the_lower_rate_that_is_advised(runs, tmp_path):
    for rate in ("1e38", "1e20"):
        code, said = runs.run(tmp_path, "--base_lr", rate)
        assert code == 1 and one_sentence(said) and "base_lr" in said and not list((tmp_path / "base").glob("model-*"))
    code, said = runs.run(tmp_path, harms=[poison(22, float("nan"))])  # after a state that is whole
    assert code == 1 and f"delete {tmp_path / 'base'}" in said
    shutil.rmtree(tmp_path / "base")
    code, said = runs.run(tmp_path, "--base_lr", "1.5e-3")
    assert code == 0, said


# Sabotage.

SABOTAGE = {
    "a rate a hundred times too high": (("--lr", "0.3"), []),
    "wrong corrections": ((), [faults.lie]),
    "an empty memory": (("--threshold", "0"), [faults.pick_nothing]),
    "one failure a thousand times": (("--threshold", "0"), [faults.pick_one]),
    "all answers unparsable": ((), [faults.say("1 2 3")]),
    "no failure at all": ((), [faults.say(None)]),
}


@pytest.fixture(scope="module")
def bases(smoke, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases")
    return {}, folder


@slow
@pytest.mark.parametrize("seed", range(1, 1 + int(os.environ.get("MINISI_SEEDS", 1))))
@pytest.mark.parametrize("what", SABOTAGE)
def test_a_sabotaged_run_comes_to_its_end_and_is_never_worse_than_its_base(what, seed, smoke, bases, tmp_path):
    extra, harms = SABOTAGE[what]
    base = bases[1] / str(seed)
    begun = time.time()
    code, said = smoke.run(tmp_path, "--base", str(base), "--seed", str(seed), *extra, harms=harms, decode=generate)
    assert code == 0, said[-2000:]
    made = checkpoint.read_rows(tmp_path / "loop" / "metrics.jsonl")
    accuracies = [round(100 * row["test_accuracy"], 2) for row in made]
    print(f"{what}, seed {seed}: {accuracies}, scales {[row['scale'] for row in made[1:]]}, memory {made[-1]['memory']}, {time.time() - begun:.0f} s")
    assert len(made) == 3 and finite(tmp_path / "loop") and accuracies[-1] >= accuracies[0] - 0.5
