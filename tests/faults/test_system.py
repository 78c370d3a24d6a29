"""What the system refuses ends a run in one sentence; once it gives again, the run goes on."""

import errno
import os
import resource
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest

from minisi.method.attempt import Attempt, Verdict
from minisi.method.memory import FailureMemory
from minisi.model.generate import Completion
from minisi.run.checkpoint import read_state
from minisi.run.files import append_rows
from minisi.run.runtime import dice
from minisi.tasks.problems import draw

from .harms import (
    ascii_streams,
    closed_reader,
    full_output,
    less_memory,
    limit,
    no_pictures,
    no_stderr,
    nobody,
    unable,
)
from .marks import quick, slow
from .outcome import different, logs, outcome
from .process import last_line, lost, one_sentence

STARVED = {
    "a file may not grow": limit("RLIMIT_FSIZE", 20_000),
    "no more open files": limit("RLIMIT_NOFILE", 3),
    "no more memory": less_memory,
    "stdout is on a full disk": full_output,
    "nobody reads stdout": closed_reader,
}
STARVED_LATE = ("no more memory", "stdout is on a full disk", "nobody reads stdout")


@pytest.mark.parametrize("what", quick(STARVED, "a file may not grow"))
def test_a_run_that_is_starved_ends_in_a_sentence_and_goes_on(what, runs, reference, tmp_path):
    if what in STARVED_LATE:
        reference.copy(tmp_path, "base")  # so that it is the loop that starves
    code, said = runs.run(tmp_path, harms=[STARVED[what]])
    assert code not in (0, None)
    assert one_sentence(said) or what in ("no more memory", "nobody reads stdout")
    assert list(tmp_path.rglob("*.part")) == []
    assert lost(runs, tmp_path, reference) == []


NEEDLESS = {
    "files can't be synced": unable("fsync", errno.EINVAL),
    "nothing is known of syncing": unable("fsync", errno.ENOSYS),
    "no locks": unable("flock", errno.ENOLCK),
    "no stderr": no_stderr,
    "no pictures": no_pictures,
    "streams of ASCII": ascii_streams,
}


@pytest.mark.parametrize("what", quick(NEEDLESS, "no locks", "no pictures"))
def test_a_run_does_without_what_has_nothing_to_do_with_the_method(what, runs, reference, tmp_path):
    code, said = runs.run(tmp_path, harms=[NEEDLESS[what]])
    assert code == 0
    assert "Traceback" not in said
    assert different(outcome(tmp_path), reference.outcome) == []


@slow
def test_a_name_that_no_stream_can_show_costs_nothing(runs, reference, tmp_path):
    folder = tmp_path / os.fsdecode(b"ma\xc3\xb1ana \xff")
    code, said = runs.run(folder, harms=[ascii_streams])
    assert code == 0
    assert "Traceback" not in said
    assert different(outcome(folder), reference.outcome) == []


@slow
def test_a_run_whose_states_cannot_be_read_for_want_of_memory_is_not_told_to_delete_them(
    runs, copied
):
    code, said = runs.run(copied, "--rounds", "4", harms=[less_memory])
    assert code != 0
    assert "delete" not in said


@slow
def test_a_full_file_system_stops_a_run_which_goes_on_when_there_is_space(
    runs, reference, tmp_path
):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", small]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        code, said = runs.run(small)
        assert code == 1
        assert one_sentence(said)
        assert "No space left" in said
        subprocess.run(["mount", "-o", "remount,size=4m", small], check=True)
        assert lost(runs, small, reference) == []
    finally:
        subprocess.run(["umount", "-l", small], check=True)


def test_a_full_disk_under_one_file_stops_a_run_which_goes_on(runs, reference, tmp_path):
    loop = reference.copy(tmp_path, "base") / "loop"
    loop.mkdir()
    (loop / "model-1.pt.part").symlink_to("/dev/full")
    code, said = runs.run(tmp_path)
    assert code == 1
    assert one_sentence(said)
    assert "No space left" in said
    assert read_state(loop).number == 0
    assert lost(runs, tmp_path, reference) == []


def a_failure():
    """A question that went wrong and was corrected."""
    problem = draw(dice(1, "failure"), "train", "add", 3)
    completion = Completion("1+1|2", [5], [1 / 3], True, [0.5])
    verdict = Verdict("wrong", 1 / 3, True)
    return Attempt(problem, False, completion, verdict, problem.target, "solver")


@pytest.mark.parametrize("name", ["a log", "the memory"])
def test_a_row_that_is_written_only_in_part_is_an_error(name, tmp_path):
    """A disk that fills up in the middle of a row takes what fits, without an error.

    write(2) returns less than it was given.
    """
    log = tmp_path / "log"
    write = partial(append_rows, log, [{"round": 0}])
    if name == "the memory":
        write = partial(FailureMemory(log).append, [a_failure()], 1)
    low, high = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, high))
    try:
        with pytest.raises(OSError, match="File too large"):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (low, high))
    assert log.stat().st_size <= 7


def test_a_read_only_folder_is_one_sentence(runs, reference):
    folder = Path(tempfile.mkdtemp())
    loop = folder / "loop"
    try:
        reference.copy(folder, "base")
        loop.mkdir()
        test = shutil.copy(runs.test, folder / "test.jsonl")
        folder.chmod(0o755)
        for path in (folder / "base", loop):
            path.chmod(0o555)
        code, said = runs.run(folder, "--test", str(test), harms=[nobody])
        assert code == 1
        assert one_sentence(said)
        assert str(loop) in last_line(said)
        assert list(loop.iterdir()) == []
    finally:
        for path in (folder, loop, folder / "base"):
            path.chmod(0o755)
        shutil.rmtree(folder)


IN_THE_WAY = {
    "loop": "file",
    "loop/adapters": "file",
    "loop/lock/x": "file",
    "loop/model-1.pt.part": "folder",
    "loop/manifest-2.json": "folder",
    "loop/metrics.jsonl": "folder",
    "loop/memory.jsonl": "folder",
    "loop/lessons.jsonl": "folder",
    "loop/report.md": "folder",
}


def put_in_the_way(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file":
        path.touch()
    else:
        path.mkdir()


def take_away(path):
    if path.is_file():
        path.unlink()
    else:
        path.rmdir()
    if path.parent.name == "lock":
        path.parent.rmdir()


@pytest.mark.parametrize("name", quick(IN_THE_WAY, "loop/adapters", "loop/manifest-2.json"))
def test_what_is_in_the_way_is_one_sentence_and_once_it_is_gone_the_run_goes_on(
    name, runs, reference, tmp_path
):
    path = reference.copy(tmp_path, "base") / name
    put_in_the_way(path, IN_THE_WAY[name])
    code, said = runs.run(tmp_path)
    assert code == 1
    assert one_sentence(said), said[-2000:]
    take_away(path)
    assert lost(runs, tmp_path, reference) == []


HALVES = (
    "model-1.pt.part",
    "manifest-2.json.part",
    "report.md.part",
    "config.json.part",
    "model-2.pt",
)


def test_what_a_killed_run_left_half_written_is_not_in_the_way(runs, reference, tmp_path):
    loop = reference.copy(tmp_path, "base") / "loop"
    loop.mkdir()
    for name in HALVES:
        (loop / name).write_bytes(b"half of")
    assert lost(runs, tmp_path, reference) == []


def test_what_is_not_of_the_run_is_left_alone(runs, reference, tmp_path):
    loop = reference.copy(tmp_path, "base") / "loop"
    loop.mkdir()
    mine = loop / "mine.jsonl"
    mine.write_text('{"a person": "wrote this"}\n')
    code, said = runs.run(tmp_path, "--rounds", "1")
    assert code == 0, said[-1000:]

    copies = [loop / "manifest-1 copy.json", loop / "manifest-old.json"]
    for path in copies:
        shutil.copy(loop / "manifest-1.json", path)
    code, said = runs.run(tmp_path)
    assert code == 0, said[-1000:]
    assert mine.read_text() == '{"a person": "wrote this"}\n'
    assert [path for path in copies if not path.exists()] == []


def test_the_logs_of_a_run_whose_manifests_are_gone_are_not_emptied(runs, reference, copied):
    for path in copied.glob("loop/manifest-*"):
        path.unlink()
    code, said = runs.run(copied)
    assert code == 1
    assert one_sentence(said)
    assert logs(copied / "loop")["memory.jsonl"] == reference.outcome["memory.jsonl"]
