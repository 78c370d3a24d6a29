"""The failure memory: what went wrong, what would have been right, and what is still failing."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from random import Random

from ..run.files import append_rows, read_rows
from ..run.runtime import UserError
from ..tasks.families import family_of
from ..tasks.problems import BAR, Problem, identity, parse, split_of
from .attempt import Attempt
from .student import Student
from .teacher import UNSOLVED

AGAIN = 256  # questions that found no correction are asked again; older ones are let go
RECALLED = 2048  # corrections that are asked for again in a round, at most
OFTEN = 100  # times that a failure is drawn in its own round, at most, where there are older ones
FAILING = 4  # times as often as the others are failures drawn that still fail


@dataclass(frozen=True)
class Failure:
    """One row of memory.jsonl: a question, what the model said, and the correction."""

    id: str
    family: str
    level: int
    question: str
    steps: str  # of the correction; empty, as `answer` and `completion`, while it is unsolved
    answer: str
    said: str
    wrong_steps: str
    confidence: float
    kind: str
    source: str  # a corrector, `unsolved`, or `own` for the model's first answer
    round: int
    prompt: str
    completion: str

    @property
    def problem(self) -> Problem:
        """The question as it was asked."""
        return Problem(self.family, self.level, self.question)


def failure(attempt: Attempt, round: int) -> Failure:
    """A row for the memory."""
    problem = attempt.problem
    steps, _, answer = attempt.correction.partition(BAR)
    wrong_steps, _, said = attempt.completion.text.partition(BAR)
    return Failure(
        id=identity(problem.question, problem.family),
        **asdict(problem),
        steps=steps,
        answer=answer,
        said=said,
        wrong_steps=wrong_steps,
        confidence=float(f"{attempt.verdict.confidence:.6f}"),
        kind=attempt.verdict.kind,
        source=attempt.source,
        round=round,
        prompt=problem.prompt,
        completion=attempt.correction,
    )


def check_types(row: Failure) -> None:
    """Raise UserError where a field is of another type."""
    for field in fields(Failure):
        kinds = (int, float) if field.type is float else (field.type,)
        if type(getattr(row, field.name)) not in kinds:
            raise UserError(f"its {field.name} is no {field.type.__name__}")


def check_row(row: Failure) -> None:
    """Raise UserError where the fields of a row, which a person may have edited, don't fit."""
    check_types(row)
    if family_of(row.question) != row.family:
        raise UserError(f"{row.question!r} is no question of {row.family}")
    if row.source == UNSOLVED and row.completion:
        raise UserError(f"it has a correction, so its source is not {UNSOLVED}")
    completion = "" if row.source == UNSOLVED else f"{row.steps}{BAR}{row.answer}"
    wanted = {"id": identity(row.question), "prompt": row.problem.prompt, "completion": completion}
    for name, text in wanted.items():
        if getattr(row, name) != text:
            raise UserError(f"its {name} should be {text!r}")
    if completion and parse(completion) is None:
        raise UserError("a correction has steps and an answer")
    if split_of(row.question) != "train":
        raise UserError("its question is kept for tests")


class FailureMemory:
    """A JSONL file, to which a run only adds, and its contents; the last row of an id counts.

    `failures[id]` is that row; `right[id]` is whether it was last answered as its correction says.
    """

    def __init__(self, path: Path) -> None:
        """Read the file, where there is one; UserError names a row that can't be used."""
        self.path = path
        self.failures = {}
        self.right = {}
        for number, row in enumerate(read_rows(path), 1):
            try:
                known = Failure(**row)
                check_row(known)
            except (TypeError, UserError) as error:
                raise UserError(f"{path} line {number} can't be used: {error}") from None
            self.remember([known])

    def remember(self, rows: list[Failure]) -> None:
        """The rows are the newest of their problems."""
        for row in rows:
            self.failures[row.id] = row
            self.right[row.id] = row.kind != "unparsable" and row.said == row.answer

    def append(self, attempts: list[Attempt], round: int) -> None:
        """Store failures; a problem of the dev or test split may never get here."""
        rows = [failure(attempt, round) for attempt in attempts]
        leaks = [row.question for row in rows if split_of(row.question, row.family) != "train"]
        if leaks:  # not an assert, which python -O would leave out
            raise AssertionError(f"leak: not of the train split: {leaks}")
        append_rows(self.path, map(asdict, rows))
        self.remember(rows)

    def unknown(self, problems: list[Problem]) -> list[Problem]:
        """Those of the problems that are not remembered, each once."""
        named = {identity(p.question, p.family): p for p in problems}
        return [problem for name, problem in named.items() if name not in self.failures]

    def unsolved(self) -> list[Problem]:
        """What found no correction, the newest questions alone."""
        rows = [row for row in self.failures.values() if row.source == UNSOLVED]
        return [row.problem for row in rows[-AGAIN:]]

    def corrected(self) -> list[Failure]:
        """What found a correction."""
        return [row for row in self.failures.values() if row.source != UNSOLVED]

    def taught(self) -> list[Failure]:
        """What was corrected, but for right answers that stand as they were."""
        return [row for row in self.corrected() if row.source != "own"]

    def recall(self, student: Student, rng: Random) -> int:
        """Ask what was corrected once more; returns how much relapsed, from right to wrong.

        What was the model's own answer from the start is not asked, nor more than RECALLED.
        """
        rows = self.taught()
        rows = rng.sample(rows, min(len(rows), RECALLED))
        attempts = [Attempt(row.problem, correction=row.completion) for row in rows]
        student.answer(attempts)
        relapsed = 0
        for row, attempt in zip(rows, attempts, strict=True):
            right = attempt.agrees()
            relapsed += self.right[row.id] and not right
            self.right[row.id] = right
        return relapsed

    def sample(self, rng: Random, count: int, round: int, newest: float) -> list[Failure]:
        """`count` corrected failures, with repetition.

        A share `newest` is from this round, the rest from before, still failing ones more often.
        """
        rows = self.corrected()
        new = [row for row in rows if row.round == round]
        old = [row for row in rows if row.round != round]
        wanted = min(int(count * newest), OFTEN * len(new)) if old else count
        drawn = rng.choices(new, k=wanted) if new else []
        if old:
            weights = [1 if self.right[row.id] else FAILING for row in old]
            drawn += rng.choices(old, weights, k=count - len(drawn))
        return drawn
