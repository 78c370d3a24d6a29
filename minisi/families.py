"""The eight families of questions, each with the tutor program that solves them.

A problem is text, `question|steps|answer`.  One worked example, `add` at level 2:

    347+586|7+6+0=13,4+8+1=13,3+5+1=09|933

The question is what the model is asked.  The steps are written out so that each needs only what stands nearby: here one
column at a time from the right, `digit+digit+carry=` the new carry and the digit to write.  The answer is read off them.

A family is a class with
  pattern                what its questions look like (a regular expression)
  ask(rng, level)        a new question; levels are 1, 2, 3, ... without an upper end
  solve(question)        (steps, answer), from the question's text and nothing else, so a question that a person typed will do
  canonical(question)    optional: one text for all questions that are the same problem, which decides the split
and is named in FAMILIES, at the end.  It is a namespace, never an instance, so its functions take no `self`.
"""

import operator
import re
import string
from collections.abc import Callable, Iterable
from random import Random

from .runtime import UserError

def number(rng: Random, digits: int) -> str:
    """A number of exactly `digits` digits, without a leading zero."""
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def columns(top: str, bottom: str, symbol: str, rule: Callable[[int, int, int], int]) -> tuple[str, str]:
    """Schoolbook arithmetic from the right: each column is `x y carry=` the next carry and the digit to write."""
    steps, digits, carry = [], "", 0
    for x, y in zip(map(int, reversed(top)), map(int, reversed(bottom))):
        carried, digit = divmod(rule(x, y, carry), 10)
        steps.append(f"{x}{symbol[0]}{y}{symbol[1]}{carry}={abs(carried)}{digit}")
        digits, carry = f"{digit}{digits}", abs(carried)
    return ",".join(steps), f"{carry}{digits}".lstrip("0") or "0"


class Add:
    """`347+86`: the longer number has as many digits as the level says; level 1 is two digits and one."""

    pattern = r"(\d+)\+(\d+)"

    def ask(rng: Random, level: int) -> str:
        return f"{number(rng, max(2, level))}+{number(rng, max(1, level - rng.randint(0, level > 2)))}"

    def solve(question: str) -> tuple[str, str]:
        a, b = question.split("+")
        width = max(len(a), len(b))
        return columns(a.zfill(width), b.zfill(width), "++", lambda x, y, carry: x + y + carry)

    def canonical(question: str) -> str:
        return "+".join(sorted(question.split("+")))


class Sub:
    """`586-347`, never below zero: columns with the borrow where `add` has the carry."""

    pattern = r"(\d+)-(\d+)"

    def ask(rng: Random, level: int) -> str:
        a, b = Add.ask(rng, level).split("+")
        return f"{a}-{b}" if int(a) >= int(b) else f"{b}-{a}"

    def solve(question: str) -> tuple[str, str]:
        a, b = question.split("-")
        if int(a) < int(b):
            raise UserError(f"{question} is below zero, which no family covers: swap the two numbers")
        return columns(a, b.lstrip("0").zfill(len(a)), "--", lambda x, y, borrow: x - y - borrow)


class Mul:
    """`347*6`: a number of level + 1 digits times one digit, column by column."""

    pattern = r"(\d+)\*(\d)"

    def ask(rng: Random, level: int) -> str:
        return f"{number(rng, level + 1)}*{rng.randint(2, 6)}"

    def solve(question: str) -> tuple[str, str]:
        a, b = question.split("*")
        return columns(a, b * len(a), "*+", lambda x, y, carry: x * y + carry)

    def canonical(question: str) -> str:
        return "*".join(sorted(question.split("*")))


def reduce(text: str, atom: str, rules: Iterable[tuple[str, Callable[[str, str, str], str]]]) -> tuple[list[str], list[str]]:
    """Work an expression out, one operation a step: in the first innermost bracket the tightest operator, from the left.

    Returns (each operation with its result, the whole expression after each).
    """
    done, lines = [], [text]
    if re.search(r"[\d)]\(|\)\d", text):
        raise UserError(f"{text!r} lacks an operator beside a bracket")
    while not re.fullmatch(atom, text):
        inner = re.search(r"\(([^()]*)\)", text)
        start, end = inner.span(1) if inner else (0, len(text))
        found = ((re.search(f"({atom})({symbol})({atom})", text[start:end]), apply) for symbol, apply in rules)
        match, apply = next((f for f in found if f[0]), (None, None))
        if match is None:
            raise UserError(f"{text!r} is not a complete expression: check its brackets and operators")
        value = apply(*match.groups())
        whole = inner is not None and match.span() == (0, end - start)  # the bracket is done: drop it
        text = text[: start + match.start() - whole] + value + text[start + match.end() + whole :]
        done.append(f"{match[0]}={value}")
        lines.append(text)
    return done, lines


class Expr:
    """`((3+4)*2)-5`: level + 1 operations, each on the last result and a digit; in what we ask, all from 0 to 29."""

    pattern = r"(?=.*[+*-])[\d+*()-]+"
    rules = {"+": operator.add, "-": operator.sub, "*": operator.mul}

    def ask(rng: Random, level: int) -> str:
        value = rng.randint(1, 9)
        text = str(value)
        for i in range(level + 1):
            digit, left = rng.randint(1, 9), rng.random() < 0.5
            x, y = (value, digit) if left else (digit, value)
            symbol = rng.choice([s for s, rule in Expr.rules.items() if 0 <= rule(x, y) < 30] or ["-"])
            if symbol == "-" and x < y:
                x, y, left = y, x, not left
            value, part = Expr.rules[symbol](x, y), f"({text})" if i else text
            text = f"{part}{symbol}{digit}" if left else f"{digit}{symbol}{part}"
        return text

    def solve(question: str) -> tuple[str, str]:
        def apply(a: str, symbol: str, b: str) -> str:
            value = Expr.rules[symbol](int(a), int(b))
            if value < 0:
                raise UserError(f"{a}{symbol}{b} is below zero, which no family covers: reorder the expression")
            return str(value)

        done, lines = reduce(question, r"\d+", ((r"\*", apply), (r"[+-]", apply)))
        return ",".join(done), lines[-1]


class Sort:
    """`sort 5 2 8 3`: level + 3 digits; the steps insert them one by one into a sorted list."""

    pattern = r"sort( \d+)+"

    def ask(rng: Random, level: int) -> str:
        return "sort " + " ".join(str(rng.randrange(10)) for _ in range(level + 3))

    def solve(question: str) -> tuple[str, str]:
        numbers = question.split()[1:]
        lists = [" ".join(sorted(numbers[: i + 1], key=int)) for i in range(len(numbers))]
        return ",".join(lists[:-1] or lists), lists[-1]

    def canonical(question: str) -> str:
        return " ".join(sorted(question.split()))


class Logic:
    """`(10 and 01) or 11`: level + 1 bitwise operations; two bits, so that a guess is right one time in four."""

    pattern = r"(?:[01]{2}|[()]| and | or )+"

    def ask(rng: Random, level: int) -> str:
        terms = [f"{rng.randrange(4):02b}" for _ in range(level + 2)]
        while len(terms) > 1:
            i = rng.randrange(len(terms) - 1)
            terms[i : i + 2] = [f"({terms[i]} {rng.choice(('and', 'or'))} {terms[i + 1]})"]
        return terms[0][1:-1]

    def solve(question: str) -> tuple[str, str]:
        def bitwise(rule: Callable[[int, int], int]) -> Callable[[str, str, str], str]:
            return lambda a, _, b: f"{rule(int(a, 2), int(b, 2)):02b}"

        _, lines = reduce(question, "[01]{2}", ((" and ", bitwise(operator.and_)), (" or ", bitwise(operator.or_))))
        return ",".join(lines[1:-1]) or question, lines[-1]


class Chain:
    """`c>f,a>c,f>b from a 3`: shuffled facts, level + 1 on the path, one more beyond or beside it; follow the path."""

    pattern = r"[a-z]>[a-z](?:,[a-z]>[a-z])* from [a-z] [1-9]\d?"

    def ask(rng: Random, level: int) -> str:
        hops = min(level + 1, 23)  # more than that, and the alphabet is used up
        path = rng.sample(string.ascii_lowercase[: max(10, hops + 3)], hops + 3)
        facts = [f"{a}>{b}" for a, b in zip(path, path[1:])]
        del facts[hops + rng.randrange(2)]  # cut at or beyond the last hop: what is left over leads astray
        rng.shuffle(facts)
        return f"{','.join(facts)} from {path[0]} {hops}"

    def solve(question: str) -> tuple[str, str]:
        facts, _, at, hops = question.split(" ")
        arrows, steps = dict(fact.split(">") for fact in facts.split(",")), []
        if len(arrows) <= facts.count(","):
            raise UserError("two facts start from the same letter: leave one of them out")
        for _ in range(int(hops)):
            if at not in arrows:
                raise UserError(f"no fact leads on from {at!r}: ask for fewer hops or add one")
            steps.append(f"{at}>{arrows[at]}")
            at = arrows[at]
        return ",".join(steps), at

    def canonical(question: str) -> str:
        facts, query = question.split(" ", 1)
        return f"{','.join(sorted(facts.split(',')))} {query}"


class Story:
    """`how many pens does ann have if ann has 19, gives 6 to eva, buys 4?`: `level` events, one sum or difference each."""

    NAMES = "tom ann ben eva sam mia leo zoe max ida kim jon".split()
    THINGS = "apples books coins cards shells pens cups stones nuts eggs stamps maps".split()
    GAINS, LOSSES = "buys finds wins picks makes gets".split(), "loses sells drops spends returns gives".split()
    pattern = r"how many [a-z]+ does ([a-z]+) have if \1 has \d+(?:, [a-z]+ \d+(?: (?:to|from) [a-z]+)?)*\?"

    def ask(rng: Random, level: int) -> str:
        name, have, events = rng.choice(Story.NAMES), rng.randint(5, 25), []
        text = f"how many {rng.choice(Story.THINGS)} does {name} have if {name} has {have}"
        for _ in range(level):
            n = rng.randint(2, 9)
            verb = rng.choice(Story.GAINS if have < n else Story.GAINS + Story.LOSSES)
            have += n if verb in Story.GAINS else -n
            whom = {"gets": " from ", "gives": " to "}.get(verb, "")
            events.append(f", {verb} {n}{whom}" + (rng.choice([x for x in Story.NAMES if x != name]) if whom else ""))
        return f"{text}{''.join(events)}?"

    def solve(question: str) -> tuple[str, str]:
        start, *events = question[:-1].split(" if ")[1].split(", ")
        total, steps = int(start.split()[2]), []
        for event in events:
            verb, n = event.split()[:2]
            if verb not in Story.GAINS + Story.LOSSES:
                raise UserError(f"{verb!r} is no verb of a story: take one of {', '.join(Story.GAINS + Story.LOSSES)}")
            symbol, new = ("+", total + int(n)) if verb in Story.GAINS else ("-", total - int(n))
            if new < 0:
                raise UserError(f"{event!r} takes more than there is: check the numbers of the story")
            steps.append(f"{total}{symbol}{n}={new}")
            total = new
        return ",".join(steps) or str(total), str(total)

    def canonical(question: str) -> str:
        names: dict[str, str] = {}
        known = "|".join(Story.NAMES + Story.THINGS)
        return re.sub(rf"\b({known})\b", lambda match: names.setdefault(match[0], f"#{len(names)}"), question)


FAMILIES = {c.__name__.lower(): c for c in (Add, Sub, Mul, Expr, Sort, Logic, Chain, Story)}
