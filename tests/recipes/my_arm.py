"""An arm of your own: what the model is least sure of is corrected, be it right or wrong."""

from random import Random

from minisi.lab.controls import ARMS
from minisi.method.arms import Arm
from minisi.method.attempt import Attempt


def doubtful(rng: Random, attempts: list[Attempt], count: int) -> list[Attempt]:
    return sorted(attempts, key=lambda attempt: attempt.verdict.confidence)[:count]


ARMS["doubtful"] = Arm(pick=doubtful)
