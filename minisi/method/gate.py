"""Dev questions, drawn fresh each round: they fit the detector, and decide what is kept."""

from dataclasses import replace
from typing import NamedTuple

from ..model import lora
from ..tasks.problems import balanced
from .attempt import Attempt
from .detect import Detector, fit
from .finetune import Learned
from .run import Run

SCALES = (1.0, 0.5, 0.25)  # strengths that the gate tries; 0 is known before


class Exam(NamedTuple):
    """Dev questions that the teacher can mark, as they were answered before the lesson."""

    attempts: list[Attempt]
    right: list[bool]
    detector: Detector

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there are none."""
        return share(self.right)


class Gated(NamedTuple):
    """What the gate decided, and by which accuracies on dev questions."""

    dev_before: float = 0.0
    dev_after: float = 0.0
    kept: bool = False
    scale: float = 0.0  # the strength that was kept


def share(right: list[bool]) -> float:
    """How many of all are right; 0 of none."""
    return sum(right) / max(1, len(right))


def marked(run: Run, attempts: list[Attempt]) -> list[bool]:
    """Have questions answered, and marked by the teacher, who can mark them."""
    run.student.answer(attempts)
    return [run.teacher.says(attempt) for attempt in attempts]


def examine(run: Run) -> Exam:
    """Ask fresh dev questions, and fit a detector to the answers."""
    config = run.config
    problems = balanced(run.dice("dev"), "dev", config.levels, config.dev_questions)
    attempts = [Attempt(problem) for problem in problems]
    attempts = run.teacher.markable(attempts, ("dev votes", run.round))
    right = marked(run, attempts)
    completions = [attempt.completion for attempt in attempts]
    detector = fit(completions, right, config.threshold, run.teacher.caution)
    return Exam(attempts, right, detector)


def gate(run: Run, learned: Learned, exam: Exam) -> Gated:
    """Keep what was learned at the strength with the best dev accuracy, the strongest of equals.

    Nothing is kept unless that is at least what it was before.
    """
    accuracy = {}  # from the strongest on, so that the first of equals is the strongest
    for scale in SCALES if learned.steps else ():
        learned.set_strength(scale)
        accuracy[scale] = share(marked(run, [replace(attempt) for attempt in exam.attempts]))
    accuracy[0.0] = exam.accuracy
    best = max(accuracy, key=accuracy.get)
    learned.set_strength(best)
    if best > 0:
        lora.merge(run.model)
    else:
        lora.remove(run.model)
    return Gated(exam.accuracy, accuracy[best], best > 0, best)
