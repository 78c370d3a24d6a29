"""Runs side by side, each in a process of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any

from ..run.config import Config
from ..run.runtime import UserError, cli
from .plugins import plug_in

Budget = list[int] | None  # corrections of each round
Play = Callable[[Config, Budget], Any]
Task = tuple[Config, Budget]


def side_by_side(tasks: list[Task], jobs: int, play: Play) -> Iterator[Config]:
    """Play cells, each with its budget, in processes that share the cores.

    They end with this one, whatever ends it.  UserError where one of them fails, whose log then
    says why.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # read when they load torch
    waiting = list(tasks)
    running = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                process = start(play, task)
                running[process.sentinel] = (process, task[0])
            for sentinel in wait(running):
                process, one = running.pop(sentinel)
                process.join()
                if process.exitcode:
                    raise UserError(f"the run in {one.out} failed: its log.txt says why")
                yield one
    finally:
        for process, _ in running.values():
            process.kill()


def start(play: Play, task: Task) -> BaseProcess:
    """A process of its own that plays a cell."""
    process = get_context("spawn").Process(target=play_aside, args=(play, *task), daemon=True)
    process.start()
    return process


def end_with_parent() -> None:
    """Wait for the comparison to end, and end this process then: it may have been killed."""
    parent = parent_process()
    if parent:
        parent.join()
        os._exit(1)


def play_aside(play: Play, one: Config, budget: Budget) -> None:
    """Play a cell; what it says goes to log.txt in its folder."""
    Thread(target=end_with_parent, daemon=True).start()
    folder = Path(one.out)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
    plug_in(sys.argv)
    cli(partial(play, one, budget))
