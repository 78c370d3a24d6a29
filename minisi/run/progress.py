"""How far a run is, and how long all that is left of it will take."""

import sys
from threading import RLock
from typing import Any

from tqdm import tqdm

from .config import Config

PACE = 60  # questions that are answered in the time of a training step
TEST_QUESTIONS = 2048
SET_QUESTIONS = 3700  # of the sets beside the test set, in round 0 and at the end
OWN = 2.0  # times as many answers where the model corrects itself
LINE_EVERY = 20.0  # seconds between two lines where stderr is no terminal
FORMAT = "{desc}: {percentage:3.0f}% |{bar:20}| {elapsed} gone, {remaining} left{postfix}"


class Lines:
    """A bar's output for logs: what it redraws becomes a line."""

    def write(self, text: str) -> None:
        """Print what a terminal would show, if it shows anything."""
        shown = text.strip("\r\n ")
        if shown:
            print(shown, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Each line is flushed as it comes."""


class Progress:
    """One bar over the parts of a whole run, so that what it says is left is left of the run.

    Its unit is the time of a training step.  How much a part is worth is estimated before; at the
    part's end the bar stands where it should.
    """

    def __init__(self, parts: dict[str, float]) -> None:
        """`parts` are the names of what is to be done, in order, and what each is worth."""
        self.spans = {}
        total = 0.0
        for name, worth in parts.items():
            self.spans[name] = (total, total + worth)
            total += worth
        terminal = sys.stderr.isatty()
        tqdm.set_lock(RLock())  # its own is one between processes, which a kill leaves behind
        self.bar = tqdm(
            total=total,
            file=None if terminal else Lines(),
            mininterval=0.2 if terminal else LINE_EVERY,
            miniters=0,
            smoothing=0,
            delay=1.0,
            leave=False,
            bar_format=FORMAT,
        )
        self.begin(next(iter(parts)))

    def begin(self, part: str) -> None:
        """The part before has ended, and this one begins."""
        self.start, self.end = self.spans[part]
        self.bar.set_description_str(part, refresh=False)
        self.reach(0)

    def reach(self, worth: float, **figures: Any) -> None:
        """So much of the part is done; figures, such as a loss, are shown beside the bar."""
        self.bar.set_postfix(figures, refresh=False)
        place = min(self.start + worth, self.end)
        self.bar.update(max(0.0, place - self.bar.n))

    def advance(self, worth: float, **figures: Any) -> None:
        """So much more of the part is done."""
        self.reach(self.bar.n - self.start + worth, **figures)

    def skip(self, worth: float = float("inf")) -> None:
        """So much of the part was done before, and tells nothing of how fast this run is."""
        before = self.bar.n
        self.reach(worth)
        self.bar.initial += self.bar.n - before

    def say(self, text: str, file: Any = None) -> None:
        """Print above the bar: on stdout, or in a file."""
        self.bar.clear()
        print(text, file=file, flush=True)

    def close(self) -> None:
        """Take the bar away."""
        self.bar.close()


def plan(config: Config, played: int = 0) -> dict[str, float]:
    """The parts of a run and what each is worth, for its bar: an estimate before it starts.

    `played` are the rounds that lie behind, the look at the base among them.
    """
    own = 1.0 if config.corrector == Config.corrector else OWN
    asked = own * (config.questions + 4 * config.dev_questions + TEST_QUESTIONS) / PACE
    trained = config.steps * config.batch / config.base_batch
    parts = {"pretraining": float(config.base_steps)}
    sets = SET_QUESTIONS / PACE if config.sets else 1.0
    for number in range(played, config.rounds + 1):
        parts[f"round {number}"] = asked + (trained if number else sets)
    parts["frozen sets"] = sets
    return parts
