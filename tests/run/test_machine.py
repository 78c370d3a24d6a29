"""What has nothing to do with the method never costs a run."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from minisi.run import files, runtime
from minisi.run.checkpoint import lock
from minisi.run.config import Config
from minisi.run.files import append_rows, sha256, write
from minisi.run.runtime import ROOT

from ..programs import program, python

CLI = "from minisi.run.runtime import *\ndef main():\n    {}\ncli(main)"
ODD = os.fsdecode(b"ma\xf1ana")  # a name that is not UTF-8


def shell(command, **variables):
    """What a shell says of a command in the project's folder."""
    environment = os.environ | {"PY": sys.executable} | variables
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("number", runtime.STOPPING)
def test_a_signal_while_torch_is_loaded_is_one_line(number):
    command = [sys.executable, "-m", "minisi", "bench"]
    started = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    time.sleep(0.3)
    started.send_signal(number)
    _, said = started.communicate()
    assert started.returncode == 128 + number
    assert said.startswith(("interrupted", "terminated"))
    assert said.count("\n") == 1


def test_advice_to_go_on_is_given_where_it_is_true():
    for goes_on in (True, False):
        code = CLI.format("raise KeyboardInterrupt").replace("(main)", f"(main, {goes_on})")
        done = python("-c", code)
        assert done.returncode == 130
        assert ("goes on from there" in done.stderr) == goes_on


def test_a_closed_pipe_ends_in_silence():
    code, said, complaint = shell('"$PY" -m minisi testset gpt3 | head -1; exit ${PIPESTATUS[0]}')
    assert code == 128 + signal.SIGPIPE
    assert said.count("\n") == 1
    assert complaint == ""


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "1>&- 2>&-"])
def test_a_stream_that_is_not_there_is_done_without(closed, tmp_path):
    code = CLI.format(f"print(1); print(2, file=sys.stderr); open({str(tmp_path / 'x')!r}, 'w')")
    assert shell(f'"$PY" -c "$CODE" {closed}', CODE=code)[0] == 0
    assert (tmp_path / "x").read_text() == ""


def test_what_a_stream_cannot_show_is_escaped():
    code = CLI.format(r"print('ma\udcf1ana \u00f1')")
    for encoding, shown in (("utf-8", "ma\\udcf1ana \u00f1\n"), ("ascii", "ma\\udcf1ana \\xf1\n")):
        done = shell('"$PY" -c "$CODE"', CODE=code, PYTHONIOENCODING=encoding)
        assert done == (0, shown, "")


def test_names_that_are_no_text_are_written_as_they_are(tmp_path):
    write(tmp_path / "report.md", f"--out {ODD}")
    assert (tmp_path / "report.md").read_bytes() == b"--out ma\xf1ana"
    assert sha256(ODD) == sha256(b"ma\xf1ana")


@pytest.mark.parametrize("number", files.UNABLE)
def test_what_a_file_system_cannot_do_is_left_out_with_one_warning(
    number, tmp_path, monkeypatch, capsys
):
    def unable(*arguments):
        raise OSError(number, os.strerror(number))

    runtime.warn_once.cache_clear()
    monkeypatch.setattr(os, "fsync", unable)
    for content in ("a", "b"):
        write(tmp_path / "file", content)
    assert (tmp_path / "file").read_text() == "b"
    assert capsys.readouterr().err.count("warning: ") == 1
    if number != errno.EACCES:  # which says that somebody else has the lock
        monkeypatch.setattr(fcntl, "flock", unable)
        lock(tmp_path / "run").close()
        assert "can't be locked" in capsys.readouterr().err


def test_a_disk_that_fails_is_no_file_system_that_cannot(tmp_path, monkeypatch):
    def broken(*arguments):
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="I/O error"):
        write(tmp_path / "file", "a")
    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="I/O error"):
        lock(tmp_path)


def test_the_projects_files_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runtime.belonging(Config.test).read_bytes().startswith(b"{")
    (tmp_path / "data").mkdir()
    (tmp_path / Config.test).write_text("mine")
    assert runtime.belonging(Config.test).read_text() == "mine"


SENSELESS = ["", " ", ".", str(ROOT), str(ROOT.parent), "/", "runs/.."]
SENSELESS += ["data", "tests/run", "minisi/x/../y", ".git"]


@pytest.mark.parametrize("folder", SENSELESS)
@pytest.mark.parametrize("name", ["base", "out"])
def test_a_folder_that_makes_no_sense_is_refused(name, folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = Config(**{name: folder})  # which a run from elsewhere may have
    with pytest.raises(ValueError, match=f"--{name}"):
        config.check_folders()


@pytest.mark.parametrize("folder", ["runs/data", "database", "../data", "/tmp/minisi"])
def test_any_other_folder_gets_results(folder, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert Config(out=folder).out == folder


@pytest.mark.parametrize(("option", "remedy"), [("--seeds", "--seed "), ("--jobs", "leave it out")])
def test_what_is_of_a_comparison_is_refused_without_one(option, remedy):
    done = program("loop.py", option, "7")
    assert done.returncode == 1
    assert f"{option} is of a comparison" in done.stderr
    assert remedy in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError",
        "RuntimeError('DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes.')",
        "RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB.')",
        "RuntimeError('Storage size calculation overflowed with sizes=[4]')",
    ],
)
def test_too_little_memory_is_one_sentence(error):
    done = python("-c", CLI.format(f"raise {error}"))
    assert done.returncode == 1
    assert "--n_embd" in done.stderr
    assert done.stderr.count("\n") == 1


def test_other_errors_of_torch_keep_their_traceback():
    done = python("-c", CLI.format("raise RuntimeError('shapes do not fit in memory')"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_threads_that_wait_do_not_spin_for_long_unless_the_user_wants_it():
    code = "import minisi, os; print(os.environ['GOMP_SPINCOUNT'])"
    assert shell('"$PY" -c "$CODE"', CODE=code)[1] == "500\n"
    assert shell('"$PY" -c "$CODE"', CODE=code, GOMP_SPINCOUNT="7")[1] == "7\n"


def test_a_package_that_is_missing_is_one_line():
    code = "import sys; sys.modules['tokenizers'] = None; sys.argv = ['loop.py']; "
    done = python("-c", code + "import runpy; runpy.run_path('loop.py', run_name='__main__')")
    assert done.returncode == 1
    assert done.stderr == "error: no tokenizers here: pip install -r requirements.txt\n"


@pytest.mark.parametrize("save", [write, lambda path, text: append_rows(path, [{"a": text}])])
def test_a_full_disk_is_told_with_the_file_that_it_is_under(save, tmp_path):
    path = tmp_path / "log"
    full = tmp_path / "log.part" if save is write else path
    full.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as told:
        save(path, "x" * 10)
    assert told.value.filename == str(path)


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_memory_is_given_back_where_that_can_be_done(error, monkeypatch):
    runtime.give_back()

    def other(name):
        raise error

    monkeypatch.setattr(runtime.ctypes, "CDLL", other)
    runtime.give_back()
