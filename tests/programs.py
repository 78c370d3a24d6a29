"""The programs of a tiny model, which learns next to nothing, and what stands in for decoding."""

import math
import multiprocessing
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import zlib
from multiprocessing import forkserver
from pathlib import Path

from minisi.lab.controls import ARMS
from minisi.method.teacher import TEACHERS
from minisi.model.generate import Completion
from minisi.run.config import configure, parser
from minisi.run.files import read_rows
from minisi.run.runtime import UserError
from minisi.tasks.problems import BAR, solve

from .passes import plain

ROOT = Path(__file__).parents[1]
TINY = shlex.split(
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 4 --base_batch 8 --batch 8"
    " --rounds 2 --questions 32 --dev_questions 16 --steps 3 --limit 24 --device cpu --show 3"
    " --base_levels 3 --levels 4"
)
TEST_QUESTIONS = 64
SETS = {"typed": 8, "2D+": 4}  # how many questions the frozen sets have that stand beside it
NONSENSE = "1|x"
PRELOADED = ["tests.programs", "loop", "minisi.lab.ask", "matplotlib.backends.backend_agg"]


def server():
    """What forks a process that has one thread, and has loaded what takes three seconds to load.

    All have the environment and the hash seed that it was started with.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    before = dict(os.environ)
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


class Program:
    """A program at work, in a folder of its own if it leaves anything."""

    def __init__(self, arguments, folder=None, typed=""):
        self.folder = folder
        self.returncode = None
        self.streams = Path(tempfile.mkdtemp())
        for name, text in zip("012", (typed, "", ""), strict=True):
            (self.streams / name).write_text(text)
        self.process = server().Process(target=work, args=(self.streams, arguments))
        self.process.start()

    def end(self):
        """Wait for its end: with that, `stdout`, `stderr` and `returncode` are there."""
        if self.returncode is None:
            try:
                self.process.join()
                self.stdout, self.stderr = ((self.streams / name).read_text() for name in "12")
            finally:
                self.process.kill()
                shutil.rmtree(self.streams)
            self.returncode = self.process.exitcode
        return self


def work(streams, arguments):
    """What `python ARGUMENTS` does, with its streams in files."""
    os.chdir(ROOT)
    for number in range(3):
        os.dup2(os.open(streams / str(number), os.O_RDWR), number)
    sys.stdin = os.fdopen(0)
    sys.argv = list(arguments)
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


def program(*arguments, typed=""):
    """Run a program to its end."""
    return Program(arguments, typed=typed).end()


def python(*arguments):
    """Run `python ARGUMENTS` to its end, from the start."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def options(folder, test):
    """The command line of a tiny run."""
    places = ["--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(test)]
    return [*TINY, *places, "--sets", ""]


def settings(folder, test, **changed):
    """The settings of a tiny run."""
    given = vars(parser("", ARMS, TEACHERS).parse_args(options(folder, test)))
    return configure({**given, **changed})


def rows(folder, log="metrics"):
    return read_rows(folder / f"{log}.jsonl")


def timeless(rows):
    """Rows without what differs from one time to the next."""
    return [{**row, "seconds": 0} for row in rows]


def contents(paths):
    return {path: path.read_bytes() for path in paths if path.is_file()}


def said(text, sure):
    """A completion that came to its end."""
    return Completion(text, [1], [sure], True, [0.5])


def known(question):
    """The right answer; none where the question makes no sense."""
    try:
        return solve(question).target
    except UserError:
        return ""


def coin(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: about half of the answers are right.

    The least change of the model changes which.
    """
    (ids,) = codec.encode(["3+4|"])
    state = 1e4 * plain(model, ids)[-1, 1].item()
    completions = []
    for prompt in prompts:
        odds = math.sin(state + zlib.crc32(prompt.encode()))
        text = known(prompt.removesuffix(BAR)) if odds > 0 else NONSENSE
        completions.append(said(text, 1 / (1 + math.exp(-abs(odds)))))
    return completions
