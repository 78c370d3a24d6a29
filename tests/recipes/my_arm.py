"""An arm of your own: what the model was surest of is corrected first."""

from random import Random

from minisi.lab.controls import ARMS
from minisi.method.arms import Arm
from minisi.method.attempt import Attempt


def surest(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    def order(attempt: Attempt) -> tuple[bool, float]:
        return not attempt.verdict.flagged, -attempt.verdict.confidence

    return sorted(attempts, key=order)[:count]


ARMS["surest"] = Arm(pick=surest)
