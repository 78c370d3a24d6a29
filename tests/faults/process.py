"""Runs in processes of their own, which can be harmed and killed.

A tiny run takes a fraction of a second.  A harm is a function that a new process calls before its
run starts: it limits what the system gives, or puts a fault between the run and its files or
numbers.
"""

import os
import shlex
import shutil
import signal
import sys
import time

import torch

import loop
import train
from minisi.lab.controls import ARMS
from minisi.method import student
from minisi.method.teacher import TEACHERS
from minisi.run.config import configure, parser
from minisi.run.runtime import cli

from ..programs import coin, server
from .outcome import different, outcome

TINY = shlex.split(
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 24 --base_batch 8 --batch 8"
    " --rounds 3 --questions 32 --dev_questions 16 --steps 3 --limit 24 --lr 0.03 --device cpu"
    " --sets ''"
)
SMOKE = ("--preset", "smoke", "--device", "cpu", "--sets", "")
ENDLESS = {"pretraining": ("--base_steps", "100000"), "rounds": ("--rounds", "100000")}


def hear():
    """Let signals end this process: one that a shell put in the background ignores them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def play(arguments, log, harms=(), decode=coin):
    """What a forked process does: the program loop.py, harmed, with its output in a file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(output, number)
    os.close(output)
    torch.set_num_threads(1)
    hear()

    sys.argv = ["loop.py", *arguments]
    sys.modules["matplotlib"] = None
    student.generate = decode
    train.SAVE_EVERY = -1  # a base is saved every 20 steps
    for harm in harms:
        harm()

    given = vars(parser("", ARMS, TEACHERS).parse_args(arguments))
    cli(lambda: loop.loop(configure(given)))


class Runs:
    """Starts runs of the same settings: `begin` returns the process."""

    def __init__(self, settings, test):
        self.settings = settings
        self.test = test
        self.context = server()

    def begin(self, folder, *extra, harms=(), **more):
        """Start a run in a folder, which also gets what it says."""
        folder.mkdir(exist_ok=True)
        log = folder / f"said-{len(list(folder.glob('said-*')))}"
        places = ("--base", f"{folder}/base", "--out", f"{folder}/loop", "--test", str(self.test))
        arguments = [*self.settings, *places, *extra]
        process = self.context.Process(target=play, args=(arguments, str(log), harms), kwargs=more)
        process.start()
        process.log = log
        return process

    def run(self, folder, *extra, **more):
        """Run to the end; returns the exit code and what was said."""
        process = self.begin(folder, *extra, **more)
        process.join()
        return process.exitcode, process.log.read_text()


class Reference:
    """An undisturbed run."""

    def __init__(self, runs, folder, *extra, **more):
        begun = time.monotonic()
        code, said = runs.run(folder, *extra, **more)
        assert code == 0, said
        self.seconds = time.monotonic() - begun
        self.folder = folder
        self.outcome = outcome(folder)

    def copy(self, folder, *parts):
        """Put its `base`, its `loop`, or both in a folder."""
        for part in parts or ("base", "loop"):
            shutil.copytree(self.folder / part, folder / part)
        return folder


def lost(runs, folder, reference, *extra, **more):
    """What sets a run apart from the reference once the same command has gone on with it.

    Empty where nothing does.
    """
    code, said = runs.run(folder, *extra, **more)
    if code != 0:
        return [f"exit code {code}: {said[-300:]}"]
    return different(outcome(folder), reference.outcome)


def last_line(said):
    """The last that a run said."""
    return said.splitlines()[-1]


def one_sentence(said):
    """Whether a run ended in one line of error and no traceback."""
    ends_in_it = last_line(said).startswith("error: ")
    return ends_in_it and said.count("error: ") == 1 and "Traceback" not in said


def wait_for(condition, seconds=60):
    """Return as soon as the condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.01)
