"""Sums, differences and products, column by column.

A problem is text, `question|steps|answer`.  One worked example, `add` at level 3:

    347+586|7+6+0=13,4+8+1=13,3+5+1=09|933

Here a step is a column, from the right: `digit+digit+carry=` the new carry and the digit to write.
"""

import operator
from itertools import product, zip_longest
from random import Random

from ..run.runtime import UserError
from .family import Family, Solution, Way

SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}


def number(rng: Random, digits: int) -> str:
    """A number of exactly `digits` digits, without a leading zero."""
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def equation(a: str, symbol: str, b: str) -> Solution:
    """`9+6=15` and `15`.

    Of + and * the larger operand stands in front: half as many facts to learn.
    """
    x, y = int(a), int(b)
    if symbol != "-" and x < y:
        x, y = y, x
    value = SIGNS[symbol](x, y)
    if value < 0:
        raise UserError(f"{a}{symbol}{b} is below zero, which no family covers: swap the numbers")
    return f"{x}{symbol}{y}={value}", str(value)


class Columns(Family):
    """Schoolbook arithmetic from the right."""

    symbol: str  # of the question
    then = "+"  # how the carry is taken in

    def column(self, x: int, y: int, carry: int) -> tuple[int, int]:
        """The next carry (or borrow), and the digit to write."""
        worth = SIGNS[self.then](SIGNS[self.symbol](x, y), carry)
        carried, digit = divmod(worth, 10)
        return abs(carried), digit

    def solve(self, question: str) -> Solution:
        """`7+6+0=13,...`: carry 1 and write 3."""
        return self.work(*question.split(self.symbol))

    def work(self, top: str, bottom: str) -> Solution:
        """(steps, answer) of two numbers."""
        steps = []
        digits = ""
        carry = 0
        columns = zip_longest(map(int, reversed(top)), map(int, reversed(bottom)), fillvalue=0)
        for x, y in columns:
            next_carry, digit = self.column(x, y, carry)
            steps.append(f"{x}{self.symbol}{y}{self.then}{carry}={next_carry}{digit}")
            digits = f"{digit}{digits}"
            carry = next_carry
        return ",".join(steps), f"{carry}{digits}".lstrip("0") or "0"

    def canonical(self, question: str) -> str:
        """The order of the two numbers doesn't matter."""
        return self.symbol.join(sorted(question.split(self.symbol)))

    def parts(self, question: str, rng: Random) -> Way:
        """`3474+5867`: the right columns from `674+267`, the left ones from `349+582`.

        The last column of the second question hands on the carry of the first.
        """
        a, b = question.split(self.symbol)
        width = max(len(a), len(b))
        once = self.symbol == "*"  # one digit below, which belongs to every column
        a = a.zfill(width)
        b = b if once else b.zfill(width)

        k = (width + rng.randrange(2)) // 2
        top = f"{rng.randint(5, 9)}{a[-k:]}"
        bottom = b if once else f"{rng.randint(1, 4)}{b[-k:]}"
        steps, _ = yield f"{top}{self.symbol}{bottom}"
        right = steps.split(",")[:k]
        carry = right[-1][-2]

        pads = product(range(10), [int(b)] if once else range(10))
        x, y = rng.choice([pad for pad in pads if str(self.column(*pad, 0)[0]) == carry])
        bottom = b if once else f"{b[:-k].lstrip('0')}{y}"
        steps, answer = yield f"{a[:-k].lstrip('0')}{x}{self.symbol}{bottom}"
        left = steps.split(",")[1:]
        digits = answer[:-1] + "".join(step[-1] for step in reversed(right))
        return f"{','.join(right + left)}|{digits.lstrip('0') or '0'}"


class Add(Columns):
    """`347+86`: sums."""

    pattern = r"(\d+)\+(\d+)"
    symbol = "+"

    def ask(self, rng: Random, level: int) -> str:
        """The longer number has `level` digits; at level 1 it is two digits and one."""
        longer = number(rng, max(2, level))
        digits = level - rng.randint(0, level > 2)
        return f"{longer}+{number(rng, digits)}"


class Sub(Columns):
    """`586-347`: differences, never below zero, with the borrow where `add` has the carry."""

    pattern = r"(\d+)-(\d+)"
    symbol = "-"
    then = "-"
    canonical = Family.canonical  # the order of the two numbers matters

    def ask(self, rng: Random, level: int) -> str:
        """The two numbers of a sum, the larger in front."""
        numbers = Add().ask(rng, level).split("+")
        return "-".join(sorted(numbers, key=int, reverse=True))

    def solve(self, question: str) -> Solution:
        """`6-7-0=19,...`: borrow 1 and write 9."""
        a, b = question.split("-")
        equation(a, "-", b)  # which refuses what is below zero
        return self.work(a, b.lstrip("0"))


class Mul(Columns):
    """`347*6`: products of a number and a digit."""

    pattern = r"(\d+)\*(\d)"
    symbol = "*"

    def ask(self, rng: Random, level: int) -> str:
        """The number has level + 1 digits."""
        return f"{number(rng, level + 1)}*{rng.randint(2, 6)}"

    def solve(self, question: str) -> Solution:
        """`7*6+0=42,...`."""
        a, b = question.split("*")
        return self.work(a, b * len(a))
