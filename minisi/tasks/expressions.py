"""Nested expressions, of numbers and of bits, worked out one operation at a time."""

import hashlib
import itertools
import operator
import re
from collections.abc import Callable, Iterable
from random import Random

from ..run.runtime import UserError
from .arithmetic import SIGNS, equation
from .family import Family, Way

BITS = {" and ": operator.and_, " or ": operator.or_}
Apply = Callable[[str, str, str], tuple[str, str]]  # left, symbol, right -> a step and its value


def reduce(
    text: str, atom: str, symbols: Iterable[str], apply: Apply
) -> tuple[list[str], list[str]]:
    """(steps, the whole text after each) of an expression.

    In the first innermost bracket the tightest operator comes first, from the left.  `atom` is a
    pattern of what stands between operators; `symbols` are patterns, the tightest first.
    """
    if re.search(r"[\d)]\(|\)\d", text):
        raise UserError(f"{text!r} lacks an operator beside a bracket")
    steps = []
    lines = [text]
    while not re.fullmatch(atom, text):
        inner = re.search(r"\(([^()]*)\)", text)
        start, end = inner.span(1) if inner else (0, len(text))
        tries = (re.search(f"({atom})({symbol})({atom})", text[start:end]) for symbol in symbols)
        found = next((match for match in tries if match), None)
        if found is None:
            raise UserError(
                f"{text!r} is not a complete expression: check its brackets and operators"
            )
        step, value = apply(*found.groups())
        done = inner is not None and found.span() == (0, end - start)
        left = start + found.start() - done  # where the bracket is done, it goes
        right = start + found.end() + done
        text = text[:left] + value + text[right:]
        steps.append(step)
        lines.append(text)
    return steps, lines


def hashed(a: str, symbol: str, b: str) -> tuple[str, str]:
    """A rule for `reduce` under which mirror images have the same value.

    It is a hash of the sorted operands, themselves hashes (Merkle 1987).
    """
    pair = (a, b) if symbol == "-" else sorted((a, b))
    digest = hashlib.blake2b(symbol.join(pair).encode(), digest_size=8).hexdigest()
    return "", f"#{digest}"


class Expr(Family):
    """`((3+4)*2)-5`: each operation is on the last result and a digit."""

    pattern = r"(?=.*[+*-])[\d+*()-]+"
    symbols = (r"\*", "[+-]")

    def ask(self, rng: Random, level: int) -> str:
        """`level` operations, at least two, with results from 0 to 19."""
        value = rng.randint(1, 9)
        text = str(value)
        for i in range(max(2, level)):
            digit = rng.randint(1, 9)
            left = value, f"({text})" if i else text
            right = digit, str(digit)
            if rng.random() >= 0.5:
                left, right = right, left
            results = {symbol: rule(left[0], right[0]) for symbol, rule in SIGNS.items()}
            allowed = [symbol for symbol, result in results.items() if 0 <= result < 20]
            symbol = rng.choice(allowed or ["-"])
            if symbol == "-" and left[0] < right[0]:
                left, right = right, left
            value = SIGNS[symbol](left[0], right[0])
            text = f"{left[1]}{symbol}{right[1]}"
        return text

    def solve(self, question: str) -> tuple[str, str]:
        """`4+3=7,7*2=14,14-5=9`."""
        steps, lines = reduce(question, r"\d+", self.symbols, equation)
        return ",".join(steps), lines[-1]

    def canonical(self, question: str) -> str:
        """The order of the operands of + and * doesn't matter."""
        return reduce(question, r"\d+|#\w{16}", self.symbols, hashed)[1][-1]

    def parts(self, question: str, rng: Random) -> Way:
        """`(((3+4)*2)-5)+1`: first `(3+4)*2`, then `((8+6)-5)+1`, as 8+6 is worth the same."""
        opened = []
        brackets = []
        for i, c in enumerate(question):
            if c == "(":
                opened.append(i)
            elif c == ")":
                brackets.append((opened.pop(), i + 1))
        large = [(a, b) for a, b in brackets if len(re.findall("[+*-]", question[a:b])) > 1]
        start, end = rng.choice(large)
        steps, value = yield question[start + 1 : end - 1]
        more, answer = yield question[:start] + rng.choice(worth(value)) + question[end:]
        return f"{','.join([steps, *more.split(',')[1:]])}|{answer}"


def worth(value: str) -> list[str]:
    """The sums, differences and products of two digits that have this value."""
    found = []
    for x, y, symbol in itertools.product(range(1, 10), range(1, 10), SIGNS):
        if str(SIGNS[symbol](x, y)) == value:
            found.append(f"({x}{symbol}{y})")
    return found


class Logic(Family):
    """`(2 and 3) or 7`: on the bits of numbers from 0 to 7, so that a guess is rarely right."""

    pattern = r"(?:[0-7]|[()]| and | or )+"
    words = "and or"

    def ask(self, rng: Random, level: int) -> str:
        """`level` operations, at least two."""
        terms = [str(rng.randrange(8)) for _ in range(max(2, level) + 1)]
        while len(terms) > 1:
            i = rng.randrange(len(terms) - 1)
            symbol = rng.choice(("and", "or"))
            terms[i : i + 2] = [f"({terms[i]} {symbol} {terms[i + 1]})"]
        return terms[0][1:-1]

    def apply(self, a: str, symbol: str, b: str) -> tuple[str, str]:
        """The value of one operation."""
        return "", str(BITS[symbol](int(a), int(b)))

    def solve(self, question: str) -> tuple[str, str]:
        """The question again with one operation done: `2 or 7`."""
        _, lines = reduce(question, r"\d", BITS, self.apply)
        return ",".join(lines[1:-1]) or question, lines[-1]

    def canonical(self, question: str) -> str:
        """The order of operands doesn't matter."""
        return reduce(question, r"\d|#\w{16}", BITS, hashed)[1][-1]

    def parts(self, question: str, rng: Random) -> Way:
        """`(2 and 3) or (7 or 1)`: a bracket from `(2 and 3) or 5`, then `2 or (7 or 1)`."""
        bracket = re.search(r"\(\d (?:and|or) \d\)", question)
        if bracket is None or question.count("(") < 2:
            raise ValueError("two operations are as few as the model knows")
        steps, _ = yield f"{bracket[0]} {rng.choice(('and', 'or'))} {rng.randrange(8)}"
        line = question.replace(bracket[0], steps[0], 1)
        more, answer = yield line
        return f"{line},{more}|{answer}"
