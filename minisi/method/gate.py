"""Dev questions, drawn fresh each round.

They fit the detector, and decide what is kept and whether a level opens.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from ..model import lora
from ..run.runtime import Row
from ..tasks.problems import Problem, balanced, beyond
from .attempt import Attempt
from .detect import Detector, fit
from .finetune import Learned
from .run import Run

SCALES = (1.0, 0.5, 0.25)  # strengths of what was learned that the gate tries


class Exam(NamedTuple):
    """Dev questions that the teacher can mark, and a detector that was fitted to the answers."""

    attempts: list[Attempt]
    right: list[bool]
    higher: list[Attempt]  # of the level above, for the detector and for what opens
    detector: Detector
    asked: tuple[int, ...] = ()  # levels of all these, of those too that can't be marked

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there are none."""
        return share(self.right)

    def mastery(self, level: int) -> float:
        """The share of a level's questions that can be marked and are right."""
        pairs = zip(self.attempts, self.right, strict=True)
        right = sum(ok for attempt, ok in pairs if attempt.problem.level == level)
        return right / max(1, self.asked.count(level))

    def coverage(self, level: int) -> float:
        """The share of a level's questions that can be marked; 1 where there are none."""
        levels = [attempt.problem.level for attempt in [*self.attempts, *self.higher]]
        asked = self.asked.count(level)
        return levels.count(level) / asked if asked else 1.0


class Gated(NamedTuple):
    """The strength that was kept, and the exam as the model that is left answers it."""

    scale: float
    exam: Exam


def share(right: list[bool]) -> float:
    """How many of all are right; 0 of none."""
    return sum(right) / max(1, len(right))


def shares(pairs: Iterable[tuple[str, bool]]) -> dict[str, float]:
    """Of each name the share that holds, in the order in which the names come."""
    groups = {}
    for name, holds in pairs:
        groups.setdefault(name, []).append(holds)
    return {name: share(found) for name, found in groups.items()}


def answered(run: Run, attempts: list[Attempt]) -> list[Attempt]:
    """The same questions, as the model answers them now."""
    again = [replace(attempt) for attempt in attempts]
    run.student.answer(again)
    return again


def marked(run: Run, attempts: list[Attempt]) -> list[bool]:
    """Which answers are right, for the teacher."""
    return [run.teacher.says(attempt) for attempt in attempts]


def fitted(
    run: Run,
    attempts: list[Attempt],
    right: list[bool],
    higher: list[Attempt],
    asked: tuple[int, ...],
) -> Exam:
    """Answers and which are right, with a detector for them."""
    completions = [attempt.completion for attempt in [*attempts, *higher]]
    truth = right + marked(run, higher)
    detector = fit(completions, truth, len(right), run.config.threshold, run.teacher.caution)
    return Exam(attempts, right, higher, detector, asked)


def examine(run: Run) -> Exam:
    """Ask fresh dev questions, and some of the level above that no lower one asks."""
    rng = run.dice("dev")
    count = run.config.dev_questions
    taught = balanced(rng, "dev", run.levels, count, run.families)
    higher = beyond(rng, "dev", run.levels, count // 2, run.families)
    attempts = answered(run, markable(run, "dev", taught))
    above = answered(run, markable(run, "beyond", higher))
    asked = tuple(problem.level for problem in [*taught, *higher])
    return fitted(run, attempts, marked(run, attempts), above, asked)


def markable(run: Run, kind: str, problems: list[Problem]) -> list[Attempt]:
    """Those of the problems that the teacher can mark, to be answered."""
    attempts = [Attempt(problem) for problem in problems]
    return run.teacher.markable(attempts, (f"{kind} votes", run.round))


def gate(run: Run, learned: Learned, exam: Exam) -> Gated:
    """Keep what was learned at the strength with the best dev accuracy, the strongest of equals.

    Nothing is kept unless that is at least what it was before, or where there are no questions.
    An arm without a gate keeps what it learned, as it is.
    """
    tried = {0.0: (exam.attempts, exam.right)}
    scales = SCALES if exam.attempts else ()
    if not run.arm.gates:
        scales = SCALES[:1]
    for scale in scales if learned.steps else ():
        learned.set_strength(scale)
        attempts = answered(run, exam.attempts)
        tried[scale] = (attempts, marked(run, attempts))
    best = max(tried, key=lambda scale: (share(tried[scale][1]), scale))
    if not run.arm.gates:
        best = max(tried)
    learned.set_strength(best)
    if best == 0:
        lora.remove(run.model)
        return Gated(best, exam)
    lora.merge(run.model)
    higher = answered(run, exam.higher)
    return Gated(best, fitted(run, *tried[best], higher, exam.asked))


def seen(run: Run, attempts: list[Attempt], exam: Exam) -> Row:
    """What the next round goes by, as the teacher sees it.

    That is how many levels are open, how well the highest is known, how much of the one above
    could be marked before the lesson, and the share that failed of each family and level: of this
    round's questions, or of the dev questions where none was judged.
    """
    new = [attempt for attempt in attempts if attempt.verdict and not attempt.again]
    judged = [(attempt.cell, attempt.verdict.flagged) for attempt in new]
    if not judged:
        pairs = zip(exam.attempts, exam.right, strict=True)
        judged = [(attempt.cell, not right) for attempt, right in pairs]
    return {
        "levels": run.levels,
        "mastery": exam.mastery(run.levels),
        "coverage_above": exam.coverage(run.levels + 1),
        "failing": shares(judged),
    }
