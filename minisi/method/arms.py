"""How experiments differ: an arm is data.  `lab/controls.py` has those that are compared."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from ..run.config import Config
from ..run.runtime import Row
from .attempt import Attempt

if TYPE_CHECKING:
    from .student import Student


def flagged_first(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    """What is flagged, as far as the count goes; others where it goes further."""
    flagged = [attempt for attempt in attempts if attempt.verdict.flagged]
    if count == len(flagged):
        return flagged
    shuffled = rng.sample(attempts, len(attempts))
    return sorted(shuffled, key=lambda attempt: not attempt.verdict.flagged)[:count]


def at_once(config: Config, student: "Student", attempts: list[Attempt]) -> None:
    """Test questions are answered like all others."""
    student.answer(attempts)


def covered(config: Config, row: Row) -> bool:
    """The next level opens when the teacher can mark most of it: that can be learned."""
    return row["coverage_above"] >= config.coverage


def unchanged(attempts: list[Attempt]) -> None:
    """Corrections stay as they are."""


class Arm(NamedTuple):
    """How an experiment differs from `failure`; a default is what `failure` does.

    `pick`, `alter`, `opens` and `asks` are called like their defaults, which stand above.
    """

    pick: Callable = flagged_first  # which answers are corrected
    alter: Callable = unchanged  # what is done to the corrections
    keeps_own: bool = True  # a right answer that was unsure is its own correction, and free
    replays: bool = True  # right answers are trained on beside the failures
    recalls: Callable | None = None  # what is learned in place of the memory
    finetune: str = ""  # what is trained, `lora` or `full`, where it is not for --finetune to say
    restarts: bool = False  # each round trains the base
    opens: Callable | None = covered  # whether the next level opens; none: all do from the start
    focuses: bool = True  # and more is asked where more fails
    varies: bool = True  # and some in forms that chance hardly draws
    gates: bool = True  # dev questions decide what is kept, and how strong
    asks: Callable = at_once  # how the test set is answered
