"""Nested expressions of numbers, worked out one operation at a time."""

import hashlib
import re
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from ..run.runtime import UserError
from .arithmetic import COLUMNS, SIGNS, number, operation
from .family import Family, Solution, Way, forms, insist, up_to

BRACKETED = 0.8  # share of operands with brackets where none are needed


def hashed(a: str, symbol: str, b: str) -> Solution:
    """A rule for `Expr.reduce` under which mirror images have the same value.

    It is a hash of the sorted operands, themselves hashes (Merkle 1987).
    """
    pair = (a, b) if symbol == "-" else sorted((a, b))
    digest = hashlib.blake2b(symbol.join(pair).encode(), digest_size=8).hexdigest()
    return "", f"#{digest}"


class Operation(NamedTuple):
    """The next operation of an expression."""

    left: str
    symbol: str
    right: str
    lead: str  # what its step begins with
    start: int  # where it stands
    end: int

    @property
    def text(self) -> str:
        """The operation alone."""
        return f"{self.left}{self.symbol}{self.right}"


class Expr(Family):
    """`((3+4)*2)-5`: each operation is on the last result and one more number.

    Brackets stand where they are needed, and mostly where they are not.
    """

    pattern = r"(?=.*[\d)][+*-])[\d+*()-]+"
    # What stands between operators: a number, or what `hashed` made of it.
    atom = r"(?<![\w)])-?\d+|#\w{16}"
    symbols = (r"\*", "[+-]")  # patterns of the operators, the tightest first

    def ask(self, rng: Random, level: int) -> str:
        """An operation more at each even level; at odd ones, so many on numbers of two digits.

        In many questions all numbers have one digit, and often their results are small.
        """
        most = 2 + level // 2
        count = up_to(rng, most)
        wide = level % 2 == 1
        small = rng.random() < (0.25 if wide else 0.5)
        digits = 1 if small or (count == most and not wide) else 2
        largest = self.largest(count, digits)
        limit = largest if digits == 2 else rng.choice((19, largest))
        text, value = self.grow(rng, count, digits, limit)
        if value == "0" and rng.random() < 0.5:  # which would come too often
            return self.ask(rng, level)
        if count == 1 and (rng.random() < 0.5 or re.fullmatch(r"\d+.\d+", text)):
            text = f"({text})"  # without, it would be a sum, a difference or a product
        return text

    def largest(self, count: int, digits: int) -> int:
        """The largest result of so many operations on such numbers."""
        if count > 2:
            return 99
        return 999 if digits == 1 else 199

    def leaf(self, rng: Random, digits: int) -> str:
        """A number, often of one digit, and now and then below zero."""
        value = int(number(rng, digits if rng.random() < 0.3 else 1))
        return str(-value if rng.random() < 0.05 else value)

    def allowed(self, a: str, b: str, limit: int) -> list[str]:
        """The symbols that keep the result of two values within the limit."""
        return [sign for sign, rule in SIGNS.items() if abs(rule(int(a), int(b))) <= limit]

    def work(self, a: str, symbol: str, b: str) -> Solution:
        """The step of one operation, and its value."""
        return operation(a, symbol, b)

    def tightness(self, symbol: str) -> int:
        """The place of an operator among those that come first."""
        return next(i for i, known in enumerate(self.symbols) if re.fullmatch(known, symbol))

    def grow(self, rng: Random, count: int, digits: int, limit: int) -> tuple[str, str]:
        """(text, value) of `count` operations, each on the last result and one more number.

        Numbers have up to so many digits, and no result is larger than the limit.
        """
        text = value = self.leaf(rng, digits)
        inner = -1  # the tightness of the last operator
        for _ in range(count):
            leaf = self.leaf(rng, digits)
            behind = rng.random() < 0.6
            left, right = (value, leaf) if behind else (leaf, value)
            symbol = rng.choice(self.allowed(left, right, limit))
            outer = self.tightness(symbol)
            needed = inner > outer or (inner == outer and not behind)
            if needed or (inner >= 0 and rng.random() < BRACKETED):
                text = f"({text})"
            text = symbol.join((text, leaf) if behind else (leaf, text))
            _, value = self.work(left, symbol, right)
            inner = outer
        return text, value

    def level(self, question: str) -> int:
        """By the count of operations, and of digits, within the limits of `ask`."""
        steps, lines = self.reduce(question, self.work)
        count = len(steps)
        digits = max(map(len, re.findall(r"\d+", question)))
        largest = max(map(int, re.findall(r"\d+", ",".join(lines))))
        needless = self.bare(question) != question or (count > 1 and lines[-2][0] == "(")
        zeros = re.search(r"(?<!\d)0\d", question)
        known = digits < 3 and largest <= self.largest(count, digits)
        if needless or zeros or not known or not self.is_chain(question):
            return 0
        return max(1, 2 * (count - 2) + digits - 1)

    def is_chain(self, question: str) -> bool:
        """Whether each operation but the first is on a result."""
        _, lines = self.reduce(question, hashed)
        return {line.count("#") for line in lines[1:]} == {1}  # results at a time

    def solve(self, question: str) -> Solution:
        """`4+3=7,7*2=14,14-5:10>,4-5-0=19,1-0-1=00=9`."""
        steps, lines = self.reduce(question, self.work)
        return ",".join(steps) or lines[-1], lines[-1]

    def first(self, text: str, at: int = -1) -> Operation:
        """The operation that comes first: the tightest of the first innermost bracket.

        A step begins with the last result, which stands at `at`: 2*14 is written as `14*2`, and
        2-14 as `14:2-14`.  UserError where there is no operation.
        """
        inner = re.search(r"\(([^()]*)\)", text)
        span = inner.span(1) if inner else (0, len(text))
        for symbol in self.symbols:
            found = re.compile(f"({self.atom})({symbol})({self.atom})").search(text, *span)
            if found:
                break
        else:
            raise UserError(
                f"{text!r} is not a complete expression: check its brackets and operators"
            )
        left, symbol, right = found.groups()
        lead = ""
        if found.start(3) == at:
            if symbol == "-":
                lead = f"{right}:"
            else:
                left, right = right, left
        return Operation(left, symbol, right, lead, *found.span())

    def put(self, value: str, text: str, found: Operation) -> tuple[str, int]:
        """The text with a value in place of an operation and of brackets around it, and where."""
        before = text[: found.start]
        behind = text[found.end :]
        while before.endswith("(") and behind.startswith(")"):
            before = before[:-1]
            behind = behind[1:]
        return f"{before}{value}{behind}", len(before)

    def bare(self, text: str) -> str:
        """The text without brackets around single values."""
        while (barer := re.sub(rf"\(({self.atom})\)", r"\1", text)) != text:
            text = barer
        return text

    def reduce(self, text: str, rule: Callable[..., Solution]) -> tuple[list[str], list[str]]:
        """(steps, the whole text after each) of an expression.

        `rule` makes a step and its value of left, symbol and right.
        """
        if re.search(r"[\d)]\(|\)\d|(?<![\d)])-[(-]", text):
            raise UserError(f"{text!r} lacks an operator or a number beside a bracket or a minus")
        if text.count("(") != text.count(")"):
            raise UserError(f"{text!r} has a bracket too many or too few")
        steps = []
        line = self.bare(text)
        lines = [line]
        at = -1  # where the last result stands
        while not re.fullmatch(self.atom, line):
            found = self.first(line, at)
            step, value = rule(found.left, found.symbol, found.right)
            steps.append(found.lead + step)
            line, at = self.put(value, line, found)
            lines.append(line)
        return steps, lines

    def canonical(self, question: str) -> str:
        """The order of operands doesn't matter, but to a difference.

        One operation on plain numbers is a problem of another family, whatever its brackets.
        """
        single = re.fullmatch(r"\(*(\d+([+*-])\d+)\)*", self.bare(question))
        if single:
            return COLUMNS[single[2]].canonical(single[1])
        return self.reduce(question, hashed)[1][-1]

    def alone(self, operation: str) -> str:
        """The question of one operation."""
        return f"({operation})"

    def parts(self, question: str, rng: Random) -> Way:
        """`((3+4)*2)-5`: `(3+4)`, `(7*2)` and `(14-5)`, each by itself and in other words."""
        _, (text, *_) = self.reduce(question, hashed)
        done = []
        at = -1  # where the last result stands
        while not re.fullmatch(self.atom, text):
            found = self.first(text, at)
            step, value = yield self.alone(found.text)
            other = rng.choice(self.in_other_words(found))
            more, again = yield other
            insist(again == value and re.fullmatch(self.atom, value))
            insist(self.fits(found, step, value, more if other == found.text else ""))
            done.append(found.lead + step)
            text, at = self.put(value, text, found)
        return f"{','.join(done)}|{text}"

    def fits(self, found: Operation, step: str, value: str, columns: str) -> bool:
        """Whether a step is of its operation, and the columns those that were found again.

        Below zero nobody else knows the columns.
        """
        if columns:
            return step in forms(found.text, columns, value)
        return step.startswith(f"{found.text}:") and step.endswith(f"={value}")

    def in_other_words(self, found: Operation) -> list[str]:
        """Questions with the same answer: `17-5` of another family, or `(0-3)*4` for `-3*4`."""
        worded = []
        if found.left[0] == "-":
            worded.append(f"(0{found.left}){found.symbol}{found.right}")
        if found.right[0] == "-":
            worded.append(f"{found.left}{found.symbol}(0{found.right})")
        return worded or [found.text]
