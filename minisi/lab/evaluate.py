"""The examiner: looks at a round with a key of its own, and tells the method nothing of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from ..method.attempt import Attempt
from ..method.detect import TINY, Weights, confidence, features, fit_threshold
from ..method.finetune import Learned
from ..method.gate import Exam, Gated, share, shares
from ..method.memory import Failure
from ..method.run import Run
from ..method.student import Student
from ..method.teacher import UNSOLVED
from ..model.generate import Completion
from ..run.files import read_rows
from ..run.runtime import Row, UserError
from ..tasks.problems import Problem, check, identity, split_with
from .statistics import auroc, ece, mcnemar, reliability, risk_coverage, wilson

TOLD = ("arm", "corrector", "seed")  # settings that stand in each row
KINDS = ("wrong", "unsure", "unparsable")
SURE = 0.9  # the confidence over which a wrong answer misleads


class Round(NamedTuple):
    """What happened in a round; the defaults are those of round 0, which only looks."""

    attempts: list[Attempt]
    exam: Exam
    gated: Gated
    picked: Sequence[Attempt] = ()
    relapsed: int = 0
    learned: Learned = Learned()


def is_right(attempt: Attempt) -> bool:
    """Whether an answer is that of the key."""
    return check(attempt.problem.answer, attempt.completion.whole) == "right"


def is_taught_right(attempt: Attempt) -> bool:
    """Whether its correction ends in the key."""
    return check(attempt.problem.answer, attempt.correction) == "right"


def has_right_steps(attempt: Attempt) -> bool:
    """Whether all of it is what the tutor program writes."""
    return attempt.completion.whole == attempt.problem.target


@dataclass
class Examiner:
    """Asks the frozen sets after a round."""

    test: list[Problem]
    right: list[bool]  # whether each was answered right last; empty before round 0
    sets: dict[str, list[Problem]] = field(default_factory=dict)  # more of them, by name

    def ask(self, run: Run, attempts: list[Attempt]) -> float:
        """Have the questions answered as the arm says; returns the mean of the tokens it took.

        The run does not count them.
        """
        student = Student(run.model, run.codec, run.config.limit, run.progress)
        run.arm.asks(run.config, student, attempts)
        return student.tokens / max(1, len(attempts))

    def expected(self) -> list[Attempt]:
        """The test questions, with what is likely to be said to them."""
        return [Attempt(problem, correction=problem.target) for problem in self.test]

    def look(self, run: Run, weights: Weights) -> dict[str, Row]:
        """Ask the sets beside the test set."""
        found = {}
        for name, problems in self.sets.items():
            attempts = [Attempt(problem) for problem in problems]
            self.ask(run, attempts)
            found[name] = tally(attempts, weights)
        return found

    def compare(self, attempts: list[Attempt]) -> tuple[int, int]:
        """How many of the test questions were (fixed, broken) since they were asked last."""
        right = list(map(is_right, attempts))
        pairs = list(zip(self.right or right, right, strict=True))
        self.right = right
        return pairs.count((False, True)), pairs.count((True, False))


def tally(attempts: list[Attempt], weights: Weights) -> Row:
    """Accuracy with its 95 % interval, with right steps too, and how many are wrong but sure."""
    right = np.array(list(map(is_right, attempts)), bool)
    sure = confidence(features([attempt.completion for attempt in attempts]), weights)
    low, high = wilson(int(right.sum()), len(right))
    return {
        "n": len(right),
        "accuracy": right.mean(),
        "low": low,
        "high": high,
        "right_steps": share(list(map(has_right_steps, attempts))),
        "sure_wrong": (~right & (sure > SURE)).mean(),
    }


def by(name: str, attempts: list[Attempt], holds: Callable[[Attempt], bool]) -> dict[str, float]:
    """In what share of the attempts something holds, by family or level."""
    ordered = sorted(attempts, key=lambda a: (a.problem.level, a.problem.family))
    return shares((name.format(attempt.problem), holds(attempt)) for attempt in ordered)


def accuracy(attempts: list[Attempt], weights: Weights) -> Row:
    """Figures of the test set; by family, by level, and by both."""
    found = {f"test_{name}": value for name, value in tally(attempts, weights).items()}
    return found | {
        "by_family": by("{0.family}", attempts, is_right),
        "by_level": by("{0.level}", attempts, is_right),
        "by_cell": by("{0.family}/{0.level}", attempts, is_right),
        "right_steps_by_family": by("{0.family}", attempts, has_right_steps),
    }


def labels(attempts: Sequence[Attempt]) -> Row:
    """How many got a correction, and how many of the corrections end in the key, as shares."""
    corrected = [attempt for attempt in attempts if attempt.correction]
    right = list(map(is_taught_right, corrected))
    coverage = len(corrected) / max(1, len(attempts))
    return {
        "label_coverage": coverage,
        "label_precision": share(right),
        "label_precision_by_level": by("{0.level}", corrected, is_taught_right),
    }


def wrong_steps(failures: Iterable[Failure]) -> int:
    """How many of the corrections are not what the tutor program writes."""
    corrected = [failure for failure in failures if failure.completion]
    return sum(failure.completion != failure.problem.target for failure in corrected)


def scores(completions: list[Completion], weights: Weights) -> dict[str, np.ndarray]:
    """(N,) scores from 0 to 1: `scaled`, which is the confidence in use, and four plain ones."""
    logs = [np.log(np.clip(c.probabilities, TINY, 1)) for c in completions]
    plain = {
        "least_certain_token": [x.min() for x in logs],
        "mean_log_probability": [x.mean() for x in logs],
        "product": [x.sum() for x in logs],
        "mean_entropy": [-c.entropy for c in completions],
    }
    found = {name: np.exp(values) for name, values in plain.items()}
    return {"scaled": confidence(features(completions), weights), **found}


def flagging(score: np.ndarray, right: np.ndarray, threshold: float) -> Row:
    """How good a score is: AUROC, ECE, AURC, and "this is wrong" below its threshold."""
    flagged = score < threshold
    return {
        "auroc": auroc(score, right),
        "ece": ece(score, right),
        "aurc": float(risk_coverage(score, right).sum() / max(1, len(right))),
        "precision": share((~right[flagged]).tolist()),
        "recall": share(flagged[~right].tolist()),
    }


def measure(exam: Exam, beta: float, right: list[bool], said: list[Completion]) -> Row:
    """How good the detector is on answers that had no part in its fit, beside plain scores.

    Those have thresholds of their own, fitted to the same exam with the same `beta`.  Of the
    confidence itself `reliability` has ten bins, and `risk` is at ten coverages.
    """
    truth = np.array(right, bool)
    marks = np.array(exam.right, bool)
    weights, threshold = exam.detector
    fitted = scores([attempt.completion for attempt in exam.attempts], weights)
    found = scores(said, weights)
    limits = {name: fit_threshold(score, marks, beta) for name, score in fitted.items()}
    limits["scaled"] = threshold
    rows = {name: flagging(score, truth, limits[name]) for name, score in found.items()}

    sure = found["scaled"]
    wrong = sure[~truth]
    doubtful = int((wrong < threshold).sum())
    risk = np.append(risk_coverage(sure, truth), 0.0)  # the last where there are no answers
    covered = -(-len(truth) * np.arange(1, 11) // 10)  # how many answers
    return {
        "auroc": rows["scaled"]["auroc"],
        "ece": rows["scaled"]["ece"],
        "detector": rows,
        "reliability": reliability(sure, truth).round(4).tolist(),
        "doubtful_wrong": doubtful,
        "confident_wrong": len(wrong) - doubtful,
        "risk": risk[covered - 1].round(4).tolist(),
    }


def evaluate(run: Run, examiner: Examiner, played: Round) -> Row:
    """Step 8: ask the test set, and write down the round's figures, a row of metrics.jsonl."""
    tested = examiner.expected()
    price = examiner.ask(run, tested)
    fixed, broken = examiner.compare(tested)
    attempts = played.attempts
    kinds = [attempt.verdict.kind for attempt in attempts if attempt.verdict]
    sources = [attempt.source for attempt in attempts]
    new = [attempt for attempt in attempts if not attempt.again]
    right = [is_right(attempt) for attempt in new]
    said = [attempt.completion for attempt in new]
    gated = played.gated
    weights, threshold = gated.exam.detector
    row = {"round": run.round}
    row |= {name: getattr(run.config, name) for name in TOLD}
    row["asked"] = len(kinds)
    row |= {kind: kinds.count(kind) for kind in KINDS}
    row["self_corrected"] = sources.count("self")
    row["unsolved"] = sources.count(UNSOLVED)
    row["relapsed"] = played.relapsed
    row["steps"] = played.learned.steps
    row["train_tokens"] = played.learned.tokens
    row["fixed"] = fixed
    row["broken"] = broken
    row |= {"dev_before": played.exam.accuracy, "dev_after": gated.exam.accuracy}
    row |= {"scale": gated.scale, "p_value": mcnemar(fixed, broken)}
    row |= labels(played.picked)
    row |= accuracy(tested, weights)
    row["test_tokens"] = price
    row["verdicts"] = run.teacher.verdicts
    row |= measure(played.exam, run.teacher.caution, right, said)
    row |= {"threshold": threshold, "weights": weights}
    row["corrections"] = run.corrections
    row["memory"] = len(run.memory.failures)
    row["memory_wrong_steps"] = wrong_steps(run.memory.failures.values())
    row["generated_tokens"] = run.student.tokens
    row["sets"] = {} if run.round else examiner.look(run, weights)
    return row


def audit(run: Run, taught: Iterable[Problem], frozen: Iterable[Problem]) -> str:
    """Hold all that was trained on against the split, and against the frozen sets.

    That is what the base was taught, and the questions of all lessons, from the memory or not.
    Returns how many leaked of how many; UserError where any did.
    """
    questions = [problem.question for problem in taught]
    questions += [row["question"] for row in read_rows(run.memory.path)]
    for lesson in read_rows(run.folder / "lessons.jsonl"):
        questions += lesson["questions"]
    kept = {identity(problem.question, problem.family) for problem in frozen}
    leaks = []
    for question in questions:
        name = identity(question)
        if split_with(name) != "train" or name in kept:
            leaks.append(question)
    if leaks:
        raise UserError(
            f"{len(leaks)} of {len(questions)} questions are not of the train split, such as"
            f" {leaks[0]!r}: throw {run.folder} away"
        )
    return f"0 of {len(questions)}"
