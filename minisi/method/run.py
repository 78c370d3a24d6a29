"""What the steps of a run share."""

from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import product
from random import Random

from ..model.gpt import GPT
from ..model.tokenizer import Codec
from ..run.config import Config
from ..run.journal import Journal
from ..run.progress import Progress
from ..run.ranks import check_same
from ..run.runtime import Row, dice
from ..tasks.families import chosen
from ..tasks.problems import Problem, balanced, draw, repeated, unbracketed
from .arms import Arm
from .attempt import Attempt
from .memory import FailureMemory
from .student import Student
from .teacher import TEACHERS

LEAST = 0.01  # the share of failures that each family and level is taken to have at least


@dataclass
class Run:
    """A run at its beginning, or where its journal says that it was stopped."""

    config: Config
    arm: Arm
    model: GPT  # the base, which changes from here on
    codec: Codec
    journal: Journal
    progress: Progress
    budget: list[int] | None = None  # corrections of each round; else as many as failed
    corrections: int = 0  # that were asked for since the start

    def __post_init__(self) -> None:
        """Take over the journal's state."""
        self.model.requires_grad_(False)
        self.folder = self.journal.folder
        self.families = chosen(self.config.base_families)
        self.student = Student(self.model, self.codec, self.config.limit, self.progress)
        self.teacher = TEACHERS[self.config.corrector](self.config, self.student)
        self.memory = FailureMemory(self.folder / "memory.jsonl")
        state = self.journal.state
        self.base = deepcopy(self.model.state_dict()) if self.arm.restarts else {}
        if state:
            self.base = state.tensors["base"]
            self.model.load_state_dict(state.tensors["model"])
            self.corrections = state.facts["corrections"]
            right = state.facts["right"]
            left = right.keys() & self.memory.right.keys()  # what nobody took out of the memory
            self.memory.right |= {name: right[name] for name in left}

    @property
    def round(self) -> int:
        """The round that is played; as many came before, the look at the base being round 0."""
        return len(self.journal.rows)

    @property
    def levels(self) -> int:
        """Levels 1 to this are open: as the world grows, one more when the arm says so."""
        config = self.config
        rows = self.journal.rows
        if self.arm.opens is None:
            return max(config.levels, config.grow)
        if not rows:
            return config.levels
        last = rows[-1]["levels"]
        return last + bool(last < config.grow and self.arm.opens(config, rows[-1]))

    def dice(self, purpose: str) -> Random:
        """The round's generator for one use of randomness."""
        return dice(self.config.seed, purpose, self.round)

    def fresh(self, count: int) -> list[Problem]:
        """Questions of the train split, drawn for this round: here it is decided where to look.

        They are even over families and levels, but for the share `focus`, which goes where most
        failed in the last round, and to a level that has just opened.
        """
        rng = self.dice("questions")
        focused = int(count * self.config.focus) if self.arm.focuses else 0
        even = balanced(rng, "train", self.levels, count - focused, self.families)
        failed = self.journal.rows[-1]["failing"] if self.journal.rows else {}
        cells = list(product(self.families, range(1, self.levels + 1)))
        weights = [max(LEAST, failed.get(f"{family}/{level}", 1.0)) for family, level in cells]
        drawn = rng.choices(cells, weights, k=focused)
        return self.varied(rng, even + [draw(rng, "train", *cell) for cell in drawn])

    def varied(self, rng: Random, problems: list[Problem]) -> list[Problem]:
        """The problems, shares of them tried in forms that chance hardly draws.

        What is hardly asked is not learned, and is forgotten while levels open.
        """
        if not self.arm.varies:
            return problems
        config = self.config
        forms = [(config.repeated, partial(repeated, rng)), (config.unbracketed, unbracketed)]
        for share, change in forms:
            if share:  # else no dice are thrown, and all that follows from them stays as it was
                problems = [change("train", p) if rng.random() < share else p for p in problems]
        return problems

    def sample(self) -> list[Attempt]:
        """The round's questions: new ones, and the newest of those that found no correction."""
        new = self.memory.unknown(self.fresh(self.config.questions))
        again = self.memory.unsolved()
        return [Attempt(p) for p in new] + [Attempt(p, again=True) for p in again]

    def pick(self, attempts: list[Attempt]) -> list[Attempt]:
        """What the arm has corrected."""
        count = sum(attempt.verdict.flagged for attempt in attempts)
        if self.budget:
            count = self.budget[self.round - 1]
        return self.arm.pick(self.dice("arm"), attempts, count)

    def correct(self, attempts: list[Attempt], purpose: str = "corrections") -> None:
        """Have the teacher correct them: this is what learning costs."""
        self.corrections += len(attempts)
        self.teacher.correct(attempts, (purpose, self.round))

    def keep_own(self, attempts: list[Attempt]) -> list[Attempt]:
        """Right answers that were unsure, or wrong before, become their own corrections.

        If the teacher vouches for their steps, that is.
        """
        kept = []
        for attempt in attempts if self.arm.keeps_own else ():
            kind = attempt.verdict.kind
            earned = kind == "unsure" or (kind == "right" and attempt.again)
            if earned and not attempt.source and self.teacher.vouches(attempt):
                attempt.correction = attempt.completion.text
                attempt.source = "own"
                kept.append(attempt)
        return kept

    def save(self, row: Row, right: list[bool]) -> None:
        """Make the round count."""
        check_same(self.model.state_dict())
        facts = {name: row[name] for name in ("corrections", "levels", "weights", "threshold")}
        facts["right"] = self.memory.right
        tensors = {"model": self.model.state_dict(), "base": dict(self.base)}
        self.journal.commit(row, right, tensors, facts)
