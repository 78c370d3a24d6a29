"""Harms to what a run is given: by the system, in its numbers, and by those it trusts.

A harm has no arguments; a function with arguments returns one.
"""

import fcntl
import os
import random
import resource
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

import train
from minisi.lab.controls import shifted
from minisi.method import finetune
from minisi.method import run as method_run
from minisi.method.attempt import Attempt
from minisi.method.student import Student
from minisi.method.teacher import Solver
from minisi.model.generate import Completion

# What the system refuses.


def limit(kind, low):
    """A harm: no more of what the system gives, such as RLIMIT_FSIZE, than this."""
    return partial(set_limit, kind, low)


def set_limit(kind, low):
    number = getattr(resource, kind)
    _, high = resource.getrlimit(number)
    resource.setrlimit(number, (low, high))


def less_memory():
    """A harm: 4 MiB more than is in use now, and no more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    used = pages * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**22, -1))


def nobody():
    """A harm: the rights of no one in particular, for whom a read-only folder is one."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def closed_reader():
    """A harm: who reads stdout has gone, as in `python loop.py | head -1`."""
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)


def full_output():
    """A harm: stdout is a file on a full disk."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def unable(name, number):
    """A harm: the system says of `os.fsync` or `fcntl.flock` that it can't do that here."""
    return partial(set_unable, name, number)


def set_unable(name, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    setattr(os if name == "fsync" else fcntl, name, refuse)


def no_stderr():
    """A harm: stderr is closed, as in `python loop.py 2>&-`."""
    os.close(2)
    sys.stderr = None


def ascii_streams():
    """A harm: stdout and stderr take nothing but ASCII, as under LC_ALL=C."""
    for name in ("stdout", "stderr"):
        getattr(sys, name).reconfigure(encoding="ascii", errors="strict")


def no_pictures():
    """A harm: matplotlib is broken."""
    sys.modules["matplotlib"] = object()


# Faults in the numbers.


@dataclass
class Poison:
    """A harm: one parameter's gradient, or the weight itself, gets a value that is no number.

    That is at a step, the first `times` that such a step comes by.
    """

    step: int
    value: float
    times: int = 1
    part: str = "pretraining"  # or `finetuning`
    place: str = "gradient"  # or `weight`

    def __call__(self):
        trainer = train if self.part == "pretraining" else finetune
        self.fit = trainer.fit
        trainer.fit = self.poisoned_fit

    def poisoned_fit(self, model, optimizers, batches, *rest, **more):
        weight = optimizers[0].params[0]
        return self.fit(model, optimizers, self.poisoned(batches, weight), *rest, **more)

    def poisoned(self, batches, weight):
        """The batches; the harm is done when the trainer takes the one of the step."""
        for number, batch in enumerate(batches):
            hook = None
            if number == self.step and self.times > 0:
                self.times -= 1
                hook = self.strike(weight)
            yield batch
            if hook:
                hook.remove()

    def strike(self, weight):
        """Do it; returns a hook that is to be removed after the step, where there is one."""
        if self.place == "gradient":
            return weight.register_hook(lambda grad: torch.full_like(grad, self.value))
        weight.data.view(-1)[0] = self.value
        return None


# Sabotage, of the smoke preset.


def lie():
    """A harm: 40 % of the corrections are those of another question of the family.

    By that they look right.
    """
    honest = Solver.solutions
    rng = random.Random(0)

    def solutions(teacher, problems, stream):
        texts = honest(teacher, problems, stream)
        lies = [Attempt(p, correction=text) for p, text in zip(problems, texts, strict=True)]
        shifted(lies)
        said = zip(texts, lies, strict=True)
        return [lie.correction if rng.random() < 0.4 else text for text, lie in said]

    Solver.solutions = solutions


def pick_nothing():
    """A harm: nothing is picked, and the memory stays empty."""
    method_run.Run.pick = lambda run, attempts: []


def pick_one():
    """A harm: one failure is picked, as if it had been asked a thousand times more."""

    def pick(run, attempts):
        failed = [attempt for attempt in attempts if attempt.verdict.flagged]
        picked = failed[:1] * 1000
        attempts += picked
        return picked

    method_run.Run.pick = pick


def say(text):
    """A harm: the model says this to all questions but those of the test set.

    Where it is None, it says the right answer.
    """
    return partial(set_answer, text)


def set_answer(text):
    class Parrot(Student):
        def answer(self, attempts):
            for attempt in attempts:
                said = attempt.problem.target if text is None else text
                attempt.completion = Completion(said, [1], [0.999], True, [0.5])

    method_run.Student = Parrot
