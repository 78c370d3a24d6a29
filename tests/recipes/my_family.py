"""A family of your own: `twice 41` is a number, doubled column by column."""

from random import Random

from minisi.tasks.arithmetic import Add
from minisi.tasks.families import FAMILIES
from minisi.tasks.family import Way


class Twice(Add):
    pattern = r"twice \d+"
    words = "twice"

    def shape(self, level: int) -> tuple[int, int]:
        return level + 1, level + 1

    def ask(self, rng: Random, level: int) -> str:
        return f"twice {self.numbers(rng, level)[0]}"

    def solve(self, question: str) -> tuple[str, str]:
        digits = question.removeprefix("twice ")
        return self.columns(digits, digits)

    def parts(self, question: str, rng: Random) -> Way:
        digits = question.removeprefix("twice ")
        return super().parts(f"{digits}+{digits}", rng)


FAMILIES["twice"] = Twice()
