"""Dev questions, drawn fresh each round: they fit the detector, and decide what is kept."""

from dataclasses import replace
from typing import NamedTuple

from ..model import lora
from ..tasks.problems import Problem, balanced, beyond
from .attempt import Attempt
from .detect import Detector, fit
from .finetune import Learned
from .run import Run

SCALES = (1.0, 0.5, 0.25)  # strengths that the gate tries; 0 is known before


class Exam(NamedTuple):
    """Dev questions that the teacher can mark, and a detector that was fitted to the answers."""

    attempts: list[Attempt]
    right: list[bool]
    higher: list[Attempt]  # of the level above, for the detector alone
    detector: Detector

    @property
    def accuracy(self) -> float:
        """The share of right answers; 0 where there are none."""
        return share(self.right)


class Gated(NamedTuple):
    """The strength that was kept, and the exam as the model that is left answers it."""

    scale: float
    exam: Exam


def share(right: list[bool]) -> float:
    """How many of all are right; 0 of none."""
    return sum(right) / max(1, len(right))


def answered(run: Run, attempts: list[Attempt]) -> list[Attempt]:
    """The same questions, as the model answers them now."""
    again = [replace(attempt) for attempt in attempts]
    run.student.answer(again)
    return again


def marked(run: Run, attempts: list[Attempt]) -> list[bool]:
    """Which answers are right, for the teacher."""
    return [run.teacher.says(attempt) for attempt in attempts]


def fitted(run: Run, attempts: list[Attempt], higher: list[Attempt]) -> Exam:
    """Answers, with a detector for them."""
    everything = [*attempts, *higher]
    right = marked(run, everything)
    completions = [attempt.completion for attempt in everything]
    inside = len(attempts)
    detector = fit(completions, right, inside, run.config.threshold, run.teacher.caution)
    return Exam(attempts, right[:inside], higher, detector)


def examine(run: Run) -> Exam:
    """Ask fresh dev questions, and some of the level above that no lower one asks."""
    config = run.config
    rng = run.dice("dev")
    taught = balanced(rng, "dev", config.levels, config.dev_questions, run.families)
    higher = beyond(rng, "dev", config.levels, config.dev_questions // 2, run.families)
    asked = [markable(run, "dev", taught), markable(run, "beyond", higher)]
    return fitted(run, *(answered(run, attempts) for attempts in asked))


def markable(run: Run, kind: str, problems: list[Problem]) -> list[Attempt]:
    """Those of the problems that the teacher can mark, to be answered."""
    attempts = [Attempt(problem) for problem in problems]
    return run.teacher.markable(attempts, (f"{kind} votes", run.round))


def gate(run: Run, learned: Learned, exam: Exam) -> Gated:
    """Keep what was learned at the strength with the best dev accuracy, the strongest of equals.

    Nothing is kept unless that is at least what it was before, or where there are no questions.
    """
    tried = {}  # from the strongest on, so that the first of equals is the strongest
    for scale in SCALES if learned.steps and exam.attempts else ():
        learned.set_strength(scale)
        tried[scale] = answered(run, exam.attempts)
    tried[0.0] = exam.attempts
    best = max(tried, key=lambda scale: share(marked(run, tried[scale])))
    learned.set_strength(best)
    if best == 0:
        lora.remove(run.model)
        return Gated(best, exam)
    lora.merge(run.model)
    return Gated(best, fitted(run, tried[best], answered(run, exam.higher)))
