"""Nested expressions, of numbers and of bits, worked out one operation at a time."""

import hashlib
import operator
import re
from collections.abc import Callable
from itertools import product
from random import Random

from ..run.runtime import UserError
from .arithmetic import SIGNS, equation
from .family import Family, Solution, Way

BITS = {" and ": operator.and_, " or ": operator.or_}


def hashed(a: str, symbol: str, b: str) -> Solution:
    """A rule for `Expr.reduce` under which mirror images have the same value.

    It is a hash of the sorted operands, themselves hashes (Merkle 1987).
    """
    pair = (a, b) if symbol == "-" else sorted((a, b))
    digest = hashlib.blake2b(symbol.join(pair).encode(), digest_size=8).hexdigest()
    return "", f"#{digest}"


class Expr(Family):
    """`((3+4)*2)-5`: each operation is on the last result and a digit."""

    pattern = r"(?=.*[+*-])[\d+*()-]+"
    atom = r"\d+|#\w{16}"  # what stands between operators: a number, or what `hashed` made of it
    symbols = (r"\*", "[+-]")  # patterns of the operators, the tightest first

    def ask(self, rng: Random, level: int) -> str:
        """`level` operations, at least two, with results from 0 to 19."""
        value = rng.randint(1, 9)
        text = str(value)
        for _ in range(max(2, level)):
            digit = rng.randint(1, 9)
            values = [value, digit]
            texts = [text, str(digit)]
            if rng.random() >= 0.5:
                values.reverse()
                texts.reverse()
            allowed = [symbol for symbol, rule in SIGNS.items() if 0 <= rule(*values) < 20]
            if not allowed:  # a difference is left, the larger value in front
                texts.reverse()
            symbol = rng.choice(allowed or ["-"])
            value = abs(SIGNS[symbol](*values))
            text = f"({symbol.join(texts)})"
        return text[1:-1]

    def solve(self, question: str) -> Solution:
        """`4+3=7,7*2=14,14-5=9`."""
        steps, lines = self.reduce(question, equation)
        return ",".join(steps), lines[-1]

    def reduce(self, text: str, rule: Callable[..., Solution]) -> tuple[list[str], list[str]]:
        """(steps, the whole text after each) of an expression.

        In the first innermost bracket the tightest operator comes first, from the left.  `rule`
        makes a step and its value of left, symbol and right.
        """
        if re.search(r"[\d)]\(|\)\d", text):
            raise UserError(f"{text!r} lacks an operator beside a bracket")
        steps = []
        lines = [text]
        while not re.fullmatch(self.atom, text):
            inner = re.search(r"\(([^()]*)\)", text)
            span = inner.span(1) if inner else (0, len(text))
            tries = (
                re.compile(f"({self.atom})({symbol})({self.atom})").search(text, *span)
                for symbol in self.symbols
            )
            found = next(filter(None, tries), None)
            if found is None:
                raise UserError(
                    f"{text!r} is not a complete expression: check its brackets and operators"
                )
            step, value = rule(*found.groups())
            done = inner and found.span() == span  # then the bracket goes
            start, end = inner.span() if done else found.span()
            text = f"{text[:start]}{value}{text[end:]}"
            steps.append(step)
            lines.append(text)
        return steps, lines

    def canonical(self, question: str) -> str:
        """The order of operands doesn't matter, but to a difference."""
        return self.reduce(question, hashed)[1][-1]

    def parts(self, question: str, rng: Random) -> Way:
        """`(((3+4)*2)-5)+1`: first `(3+4)*2`, then `((8+6)-5)+1`, as 8+6 is worth the same."""
        opened = []
        large = []
        for i, c in enumerate(question):
            if c == "(":
                opened.append(i)
            elif c == ")":
                start = opened.pop()
                if len(re.findall("[+*-]", question[start:i])) > 1:
                    large.append((start, i))
        start, end = rng.choice(large)
        steps, value = yield question[start + 1 : end]
        more, answer = yield f"{question[:start]}{rng.choice(worth(value))}{question[end + 1 :]}"
        return f"{','.join([steps, *more.split(',')[1:]])}|{answer}"


def worth(value: str) -> list[str]:
    """The sums, differences and products of two digits that have this value."""
    cases = product(range(1, 10), range(1, 10), SIGNS)
    return [f"({x}{symbol}{y})" for x, y, symbol in cases if str(SIGNS[symbol](x, y)) == value]


class Logic(Expr):
    """`(2 and 3) or 7`: on the bits of numbers from 0 to 7, so that a guess is rarely right."""

    pattern = r"(?:[0-7]|[()]| and | or )+"
    words = "and or"
    atom = r"\d|#\w{16}"
    symbols = BITS

    def ask(self, rng: Random, level: int) -> str:
        """`level` operations, at least two."""
        terms = [str(rng.randrange(8)) for _ in range(max(2, level) + 1)]
        while len(terms) > 1:
            i = rng.randrange(len(terms) - 1)
            symbol = rng.choice(("and", "or"))
            terms[i : i + 2] = [f"({terms[i]} {symbol} {terms[i + 1]})"]
        return terms[0][1:-1]

    def apply(self, a: str, symbol: str, b: str) -> Solution:
        """The value of one operation."""
        return "", str(BITS[symbol](int(a), int(b)))

    def solve(self, question: str) -> Solution:
        """The question again with one operation done: `2 or 7`."""
        _, lines = self.reduce(question, self.apply)
        return ",".join(lines[1:-1]) or question, lines[-1]

    def parts(self, question: str, rng: Random) -> Way:
        """`(2 and 3) or (7 or 1)`: a bracket from `(2 and 3) or 5`, then `2 or (7 or 1)`."""
        if question.count("(") < 2:
            raise ValueError("two operations are as few as the model knows")
        bracket = re.findall(r"\(\d (?:and|or) \d\)", question)[0]
        steps, _ = yield f"{bracket} {rng.choice(('and', 'or'))} {rng.randrange(8)}"
        line = question.replace(bracket, steps[0], 1)
        more, answer = yield line
        return f"{line},{more}|{answer}"
