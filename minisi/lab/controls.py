"""The arms of an experiment: `failure`, and what it is compared with, as a table of differences.

An arm is a row of ARMS.  Torch is loaded where it is needed, so that --help answers at once.
"""

from __future__ import annotations

import re
from itertools import cycle, islice
from random import Random
from typing import TYPE_CHECKING

from ..method.arms import Arm, covered
from ..method.attempt import Attempt
from ..run.runtime import Row, UserError
from ..tasks.problems import balanced

if TYPE_CHECKING:
    from ..method.finetune import Pair
    from ..method.run import Run
    from ..method.student import Student
    from ..run.config import Config


def at_random(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    """So many of all that were asked."""
    return rng.sample(attempts, len(attempts))[:count]


def matched(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    """So many at random, of each family and level the share that it has of what is flagged."""
    cells = {}
    for attempt in rng.sample(attempts, len(attempts)):
        cells.setdefault(attempt.cell, []).append(attempt)
    flagged = [attempt for attempt in attempts if attempt.verdict.flagged]
    found = []
    for like in islice(cycle(flagged), count):
        if cells[like.cell]:
            found.append(cells[like.cell].pop())
    taken = set(map(id, found))
    rest = [attempt for attempt in attempts if id(attempt) not in taken]
    return found + at_random(rng, rest, count - len(found))


def nothing(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    """Nothing is corrected."""
    return []


def shifted(attempts: list[Attempt]) -> None:
    """Move each correction to the next attempt of its family: it looks right and is not."""
    passed = {a.problem.family: (a.correction, a.source) for a in attempts}  # the last to the first
    for attempt in attempts:
        family = attempt.problem.family
        own = (attempt.correction, attempt.source)
        attempt.correction, attempt.source = passed[family]
        passed[family] = own


def collected(run: Run, rng: Random, count: int) -> list[Pair]:
    """All that is remembered, old and new alike."""
    known = run.memory.corrected()
    drawn = rng.choices(known, k=count) if known else []
    return [(failure.prompt, failure.completion) for failure in drawn]


def newly_solved(run: Run, rng: Random, count: int) -> list[Pair]:
    """New questions without end, each with the teacher's solution."""
    problems = run.varied(rng, balanced(rng, "train", run.levels, count, run.families))
    attempts = [Attempt(problem) for problem in problems]
    run.correct(attempts, "fresh")
    return [(a.problem.prompt, a.correction) for a in attempts if a.correction]


def mastered(config: Config, row: Row) -> bool:
    """The next level opens when the highest is known well."""
    from ..run.journal import has_mastered

    return has_mastered(config, row)


def by_parts(config: Config, student: Student, attempts: list[Attempt]) -> None:
    """What three of four ways through a question's parts agree on, or else what is said at once.

    The key is not asked, and nothing is learned.
    """
    from ..method.teacher import Nobody
    from ..model.generate import Completion
    from ..model.tokenizer import EOS

    problems = [attempt.problem for attempt in attempts]
    agreed = Nobody(config, student).solutions(problems, ("by parts", 0))
    for attempt, text in zip(attempts, agreed, strict=True):
        if text:  # of which no confidence is known
            attempt.completion = Completion(text, [EOS], [0.0], True, [])
    student.answer([attempt for attempt in attempts if not attempt.completion])


ARMS = {
    "failure": Arm(),
    "random": Arm(pick=at_random),
    "matched": Arm(pick=matched),
    "corrupt": Arm(alter=shifted),
    "lora": Arm(finetune="lora"),
    "full": Arm(finetune="full"),
    "norepl": Arm(replays=False, keeps_own=False),
    "stack": Arm(replays=False, keeps_own=False, gates=False),
    "restart": Arm(restarts=True, recalls=collected, gates=False),
    "fresh": Arm(pick=nothing, keeps_own=False, recalls=newly_solved),
    "parts": Arm(asks=by_parts),
    "ladder": Arm(opens=mastered),
    "wide": Arm(opens=None),
    "even": Arm(focuses=False),
    "plain": Arm(varies=False),
    "static": Arm(pick=nothing, keeps_own=False),
}


def check_arms(config: Config) -> None:
    """UserError where an arm was asked for that would do what `failure` does."""
    idle = {}  # what makes no difference under these settings
    if not config.grow:
        idle["opens"] = covered
    if not config.focus:
        idle["focuses"] = True
    if not config.repeated and not config.unbracketed:
        idle["varies"] = True
    for name in (config.arm, *re.findall(r"[^,:]+", config.compare)):
        arm = ARMS.get(name, Arm())
        own = "" if arm.finetune == config.finetune else arm.finetune
        same = arm != Arm() and arm._replace(finetune=own, **idle) == Arm()
        if same or name == config.corrector:
            raise UserError(
                f"{name} would do what failure does with these settings: leave it out, or see the"
                " README's line for it"
            )
