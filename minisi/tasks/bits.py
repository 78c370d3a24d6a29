"""Nested expressions of bits."""

import operator
from random import Random

from ..run.runtime import UserError
from .expressions import Expr, Operation
from .family import Solution, up_to

BITS = {" and ": operator.and_, " xor ": operator.xor, " or ": operator.or_}
WIDTHS = (1, 2, 2, 2, 2, 3)  # digits of a number, drawn from these
OFTEN = (*BITS, " xor ")  # the others hide what is wrong before them: `0 and` is 0 of anything


class Logic(Expr):
    """`(52 and 37) or 11`: bits of numbers in octal, so each digit has an answer of its own."""

    pattern = r"(?=.* )(?:[0-7]|[()]| and | xor | or )+"
    words = "and or xor"
    atom = r"[0-7]+|#\w{16}"
    symbols = BITS

    def ask(self, rng: Random, level: int) -> str:
        """Up to `level` operations on numbers of one to three digits, all as long."""
        return self.grow(rng, up_to(rng, level), rng.choice(WIDTHS), 0)[0]

    def leaf(self, rng: Random, digits: int) -> str:
        """A number of so many digits."""
        return "".join(rng.choices("01234567", k=digits))

    def alone(self, operation: str) -> str:
        """It needs no brackets."""
        return operation

    def in_other_words(self, found: Operation) -> list[str]:
        """The operation from right to left."""
        return [f"{found.right}{found.symbol}{found.left}"]

    def fits(self, found: Operation, step: str, value: str, columns: str) -> bool:
        """Numbers are all as long."""
        return step == f"{found.text}={value}" and len(value) == len(found.left)

    def allowed(self, a: str, b: str, limit: int) -> list[str]:
        """All."""
        return list(OFTEN)

    def work(self, a: str, symbol: str, b: str) -> Solution:
        """`52 and 37=12`, digit by digit."""
        if len(a) != len(b):
            raise UserError(f"{a} and {b} must have as many digits: put zeros in front")
        value = f"{BITS[symbol](int(a, 8), int(b, 8)):0{len(a)}o}"
        return f"{a}{symbol}{b}={value}", value

    def level(self, question: str) -> int:
        """By the count of operations."""
        steps, lines = self.reduce(question, self.work)
        known = len(lines[-1]) <= max(WIDTHS) and self.is_chain(question)
        return len(steps) if known else 0
