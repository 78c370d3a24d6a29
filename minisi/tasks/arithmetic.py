"""Sums, differences and products, column by column.

A problem is text, `question|steps|answer`.  One worked example, `add` at level 3:

    347+586|7+6+0=13,4+8+1=13,3+5+1=09|933

Here a step is a column, from the right: `digit+digit+carry=` the new carry and the digit to write.
Each step is a fact small enough to be met often, and what is decided is written down.
"""

import operator
import re
import string
from collections.abc import Generator
from itertools import count, product, zip_longest
from random import Random

from .family import Family, Solution, Way, insist, up_to

SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}
ZERO = 0.02  # share of numbers that are 0
EQUAL = 0.01  # share of differences of a number and itself
SAME_START = 0.3  # share of differences whose numbers begin with the same digits


def number(rng: Random, digits: int) -> str:
    """A number of so many digits, or now and then 0."""
    return str(rng.randrange(10 ** (digits - 1), 10**digits) * (rng.random() >= ZERO))


class Columns(Family):
    """Schoolbook arithmetic of two numbers, from the right."""

    symbol: str  # of the question

    def shape(self, level: int) -> tuple[int, int]:
        """The most digits of the longer and of the shorter number."""
        return max(2, level), level

    def numbers(self, rng: Random, level: int) -> list[str]:
        """Two numbers of up to so many digits, in any order."""
        numbers = [number(rng, up_to(rng, most)) for most in self.shape(level)]
        rng.shuffle(numbers)
        return numbers

    def ask(self, rng: Random, level: int) -> str:
        """Up to `level` digits; at level 1, up to two digits and one."""
        return self.symbol.join(self.numbers(rng, level))

    def level(self, question: str) -> int:
        """By the digits of both numbers; none begins with a needless zero."""
        numbers = re.findall(r"\d+", question)
        if any(number != str(int(number)) for number in numbers):
            return 0
        sizes = list(map(len, numbers))
        fits = (max(sizes) <= a and min(sizes) <= b for a, b in map(self.shape, count(1)))
        return 1 + next(i for i, fit in enumerate(fits) if fit)

    def canonical(self, question: str) -> str:
        """The order of the two numbers doesn't matter."""
        return self.symbol.join(sorted(question.split(self.symbol)))

    def column(self, x: int, y: int, carry: int) -> tuple[int, int]:
        """The next carry (or borrow), and the digit to write."""
        sign = SIGNS[self.symbol]
        carried, digit = divmod(sign(sign(x, y), carry), 10)
        return abs(carried), digit

    def columns(self, top: str, bottom: str) -> Solution:
        """`7+6+0=13,...`: carry 1 and write 3."""
        steps = []
        carry = 0
        pairs = zip_longest(map(int, reversed(top)), map(int, reversed(bottom)), fillvalue=0)
        for x, y in pairs:
            next_carry, digit = self.column(x, y, carry)
            steps.append(f"{x}{self.symbol}{y}{self.symbol}{carry}={next_carry}{digit}")
            carry = next_carry
        return ",".join(steps), read_off(steps)

    def halves(self, top: str, bottom: str, rng: Random) -> Way:
        """`3474+5867`: the right columns from `674+267`, the left ones from `349+582`.

        The last column of the second question hands on the carry of the first.
        """
        width = max(len(top), len(bottom))
        a, b = (number.zfill(width) for number in (top, bottom))
        k = cut(width, rng)
        right = f"{rng.randint(5, 9)}{a[-k:]}{self.symbol}{rng.randint(1, 4)}{b[-k:]}"
        columns = (yield from columns_of(right))[:k]
        if k < width:
            carry = columns[-1][-2]
            pads = [pad for pad in product(range(10), repeat=2) if len({*pad}) > 1]
            x, y = rng.choice([pad for pad in pads if str(self.column(*pad, 0)[0]) == carry])
            left = f"{a[:-k].lstrip('0')}{x}{self.symbol}{b[:-k].lstrip('0')}{y}"
            columns += (yield from columns_of(left))[1:]

        carry = "0"
        for column, x, y in zip(columns, reversed(a), reversed(b), strict=True):
            asked = f"{x}{self.symbol}{y}{self.symbol}{carry}="
            insist(re.fullmatch(rf"{re.escape(asked)}\d\d", column))
            carry = column[-2]
        return f"{','.join(columns)}|{read_off(columns)}"

    def fact(self, a: str, b: str) -> Way:
        """The value of a small sum or product, which must be the same in both orders."""
        value = read_off((yield from columns_of(f"{a}{self.symbol}{b}")))
        _, again = yield f"{b}{self.symbol}{a}"
        insist(again == value)
        return value


def cut(width: int, rng: Random) -> int:
    """How many of so many columns go into the right half."""
    return max(1, (width + rng.randrange(2)) // 2)


def written(steps: str) -> list[str]:
    """The columns among the steps."""
    return [step for step in steps.split(",") if len(step) > len("03<")]


def read_off(columns: list[str]) -> str:
    """The number that the columns of a sum or a difference end in."""
    digits = "".join(column[-1] for column in reversed(columns))
    return f"{columns[-1][-2]}{digits}".lstrip("0") or "0"


def columns_of(question: str) -> Generator[str, Solution, list[str]]:
    """The columns of the reply, if they end in its answer."""
    steps, answer = yield question
    columns = written(steps)
    insist(answer == read_off(columns))
    return columns


class Add(Columns):
    """`347+86`: sums."""

    pattern = r"(\d+)\+(\d+)"
    symbol = "+"

    def solve(self, question: str) -> Solution:
        """The columns."""
        return self.columns(*question.split("+"))

    def parts(self, question: str, rng: Random) -> Way:
        """In two halves."""
        return (yield from self.halves(*question.split("+"), rng))


class Sub(Columns):
    """`32-6`: differences, with the borrow where `add` has the carry.

    First the digits are compared from the left, until they differ: `6-32` begins with `03<`.  Then
    the smaller number is taken from the larger: `2-6-0=16,3-0-1=02`.
    """

    pattern = r"(\d+)-(\d+)"
    symbol = "-"
    canonical = Family.canonical  # the order of the two numbers matters

    def ask(self, rng: Random, level: int) -> str:
        """The two numbers of a sum; some begin with the same digits, which chance hardly shows."""
        a, b = self.numbers(rng, level)
        chance = rng.random()
        if chance < SAME_START and len(a) <= self.shape(level)[1]:
            if chance < EQUAL:
                b = a
            elif len(a) > 1:
                kept = rng.randrange(1, len(a))
                b = a[:kept] + "".join(rng.choices(string.digits, k=len(a) - kept))
        return f"{a}-{b}"

    def solve(self, question: str) -> Solution:
        """`30>,2-6-0=16,...`: borrow 1 and write 6."""
        a, b = question.split("-")
        width = max(len(a), len(b))
        compared = []
        for x, y in zip(a.zfill(width), b.zfill(width), strict=True):
            compared.append(f"{x}{y}{'<' if x < y else '=>'[x > y]}")
            if x != y:
                break
        return self.after(compared, self.columns(*sorted((a, b), key=int, reverse=True)))

    def after(self, compared: list[str], difference: Solution) -> Solution:
        """What the comparison makes of the difference of the larger and the smaller number."""
        sign = compared[-1][-1]
        if sign == "=":
            return ",".join(compared), "0"
        steps, digits = difference
        return ",".join([*compared, steps]), "-" * (sign == "<") + digits

    def parts(self, question: str, rng: Random) -> Way:
        """Compared in two halves, a digit before each keeping their zeros; then subtracted in two.

        What is left and what was taken away must add up again.
        """
        a, b = question.split("-")
        width = max(len(a), len(b))
        pairs = list(map("".join, zip(a.zfill(width), b.zfill(width), strict=True)))
        k = cut(width, rng)
        compared = []
        for half in filter(None, (pairs[:-k], pairs[-k:])):
            left, right = map("".join, zip(*half, strict=True))
            first = rng.randint(1, 9)
            steps, _ = yield f"{first}{left}-{first}{right}"
            compared += [step for step in steps.split(",")[1:] if step not in written(steps)]
            if compared[-1][-1] != "=":
                break
        said = ",".join(compared)
        sign = said[-1]
        insist(said == "=,".join(pairs[: len(compared)]) + sign and sign in "<=>")
        top, bottom = (b, a) if sign == "<" else (a, b)
        difference = "|0" if sign == "=" else (yield from self.halves(top, bottom, rng))
        steps, _, digits = difference.partition("|")
        insist((digits == "0") == (sign == "="))
        total = yield from COLUMNS["+"].parts(f"{digits}+{bottom}", rng)
        insist(total.endswith(f"|{top}"))
        return "|".join(self.after(compared, (steps, digits)))


class Mul(Columns):
    """`47*86`: products, a row for each digit of the second number.

    A step is a product, to which the carry is added, and then what stands from the rows above:
    `7*6=42+0=42,4*6=24+4=28` leaves 282, whose 8 is taken in by the next row, `7*8=56+0=56+8=64`.
    """

    pattern = r"(\d+)\*(\d+)"
    symbol = "*"

    def shape(self, level: int) -> tuple[int, int]:
        """A digit more at each level: 2 and 1, 2 and 2, 3 and 2, 4 and 2, 5 and 2, 5 and 3."""
        shorter = 1 + (level + 2) // 4
        return level + 2 - shorter, shorter

    def solve(self, question: str) -> Solution:
        """The columns of all rows."""
        top, bottom = ([*map(int, reversed(digits))] for digits in question.split("*"))
        stands = [0] * len(top)
        steps = []
        for row, y in enumerate(bottom):
            carry = 0
            for place, x in enumerate(top, row):
                worth = x * y + carry
                step = f"{x}*{y}={x * y:02}+{carry}={worth:02}"
                if row:
                    worth += stands[place]
                    step += f"+{stands[place]}={worth:02}"
                carry, stands[place] = divmod(worth, 10)
                steps.append(step)
            stands.append(carry)
        digits = "".join(map(str, reversed(stands)))
        return ",".join(steps), digits.lstrip("0") or "0"

    def parts(self, question: str, rng: Random) -> Way:
        """Each product of two digits, and each sum with what is taken in, by itself."""
        top, bottom = (digits[::-1] for digits in question.split("*"))
        stands = ["0"] * len(top)
        steps = []
        for row, y in enumerate(bottom):
            carry = "0"
            for place, x in enumerate(top, row):
                worth = yield from self.fact(x, y)
                step = f"{x}*{y}={worth:0>2}"
                for taken in (carry, stands[place]) if row else (carry,):
                    worth = yield from COLUMNS["+"].fact(worth, taken)
                    step += f"+{taken}={worth:0>2}"
                carry, stands[place] = worth.zfill(2)
                steps.append(step)
            stands.append(carry)
        digits = "".join(reversed(stands))
        return f"{','.join(steps)}|{digits.lstrip('0') or '0'}"


COLUMNS = {kind.symbol: kind() for kind in (Add, Sub, Mul)}


def operation(a: str, symbol: str, b: str) -> Solution:
    """One operation of an expression or a story: the step, and its value.

    Of two digits it is a fact, `9-6=3`.  Others are worked out in columns, and signs are put right
    first: `17*5:7*5=35+0=35,1*5=05+3=08=85`, `-4+9:9-4=5`, `6+-32:6-32:03<,...=-26`.
    """
    x = int(a)
    y = int(b)
    value = str(SIGNS[symbol](x, y))
    worked = [f"{a}{symbol}{b}"]
    if min(x, y) < 0 and symbol != "*":
        if symbol == "-":
            y = -y
        symbol = "+"
        if min(x, y) < 0 <= max(x, y):
            symbol = "-"
            x, y = max(x, y), min(x, y)
    plain = f"{abs(x)}{symbol}{abs(y)}"
    worked.append(plain)
    if max(abs(x), abs(y)) > 9:
        worked.append(COLUMNS[symbol].solve(plain)[0])
    return f"{':'.join(dict.fromkeys(worked))}={value}", value
