"""The eight families of questions, each with the tutor program that solves them.

A problem is text, `question|steps|answer`.  One worked example, `add` at level 3:
    347+586|7+6+0=13,4+8+1=13,3+5+1=09|933
Each step needs only what stands nearby: here a column at a time from the right, `digit+digit+carry=` the new carry and the digit to write.
The answer is read off the steps.  A family is a class, used as a namespace (no `self`), and is named in FAMILIES, at the end.  It has
  pattern                what its questions look like (a regular expression)
  ask(rng, level)        a new question; levels are 1, 2, 3, ... without an upper end
  solve(question)        (steps, answer), from the question's text and nothing else, so a question that a person typed will do
  canonical(question)    optional: one text for all questions that are the same problem, which decides the split"""
import hashlib, itertools, operator, re, string
from collections.abc import Callable, Iterable
from random import Random
from .runtime import UserError

SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul}

def number(rng: Random, digits: int) -> str:
    """A number of exactly `digits` digits, without a leading zero."""
    return str(rng.randrange(10 ** (digits - 1), 10**digits))

def columns(top: str, bottom: str, symbol: str, rule: Callable[[int, int, int], int]) -> tuple[str, str]:
    """Schoolbook arithmetic from the right: each column is `x y carry=` the next carry and the digit to write."""
    steps, digits, carry = [], "", 0
    for x, y in itertools.zip_longest(map(int, reversed(top)), map(int, reversed(bottom)), fillvalue=0):
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
        return columns(*question.split("+"), "++", lambda x, y, carry: x + y + carry)
    def canonical(question: str) -> str:
        return "+".join(sorted(question.split("+")))

class Sub:
    """`586-347`, never below zero: columns with the borrow where `add` has the carry."""
    pattern = r"(\d+)-(\d+)"
    def ask(rng: Random, level: int) -> str:
        return "-".join(sorted(Add.ask(rng, level).split("+"), key=int, reverse=True))
    def solve(question: str) -> tuple[str, str]:
        a, b = question.split("-")
        if int(a) < int(b):
            raise UserError(f"{question} is below zero, which no family covers: swap the two numbers")
        return columns(a, b.lstrip("0"), "--", lambda x, y, borrow: x - y - borrow)

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

def equation(a: str, symbol: str, b: str) -> tuple[str, str]:
    """`9+6=15` and `15`.  Of + and * the larger operand stands in front: half as many facts to learn."""
    x, y = (int(a), int(b)) if symbol == "-" else sorted((int(a), int(b)), reverse=True)
    if (value := SIGNS[symbol](x, y)) < 0:
        raise UserError(f"{a}{symbol}{b} is below zero, which no family covers: reorder the question")
    return f"{x}{symbol}{y}={value}", str(value)

def reduce(text: str, atom: str, symbols: Iterable[str], apply: Callable[[str, str, str], tuple[str, str]]) -> tuple[list[str], list[str]]:
    """(steps, the whole text after each) of an expression worked out one operation a step: in the first innermost bracket the tightest operator,
    from the left.  `symbols` are patterns, the tightest first; `apply(left, symbol, right)` gives a step and its value."""
    done, lines = [], [text]
    if re.search(r"[\d)]\(|\)\d", text):
        raise UserError(f"{text!r} lacks an operator beside a bracket")
    while not re.fullmatch(atom, text):
        inner = re.search(r"\(([^()]*)\)", text)
        start, end = inner.span(1) if inner else (0, len(text))
        found = (re.search(f"({atom})({symbol})({atom})", text[start:end]) for symbol in symbols)
        if (match := next(filter(None, found), None)) is None:
            raise UserError(f"{text!r} is not a complete expression: check its brackets and operators")
        step, value = apply(*match.groups())
        whole = inner is not None and match.span() == (0, end - start)  # the bracket is done: drop it
        text = text[: start + match.start() - whole] + value + text[start + match.end() + whole :]
        done, lines = [*done, step], [*lines, text]
    return done, lines

def hashed(a: str, symbol: str, b: str) -> tuple[str, str]:
    """A rule for `reduce` under which mirror images get the same value: a hash of the sorted operands, themselves hashes (Merkle 1987)."""
    pair = (a, b) if symbol == "-" else sorted((a, b))
    return "", "#" + hashlib.blake2b(symbol.join(pair).encode(), digest_size=8).hexdigest()

class Expr:
    """`((3+4)*2)-5`: as many operations as the level says, at least two, each on the last result and a digit, all from 0 to 19."""
    pattern = r"(?=.*[+*-])[\d+*()-]+"
    symbols = (r"\*", "[+-]")
    def ask(rng: Random, level: int) -> str:
        text = str(value := rng.randint(1, 9))
        for i in range(max(2, level)):
            terms = (value, f"({text})" if i else text), (digit := rng.randint(1, 9), str(digit))
            (x, a), (y, b) = terms if rng.random() < 0.5 else reversed(terms)
            symbol = rng.choice([s for s, rule in SIGNS.items() if 0 <= rule(x, y) < 20] or ["-"])
            if symbol == "-" and x < y:
                x, a, y, b = y, b, x, a
            value, text = SIGNS[symbol](x, y), f"{a}{symbol}{b}"
        return text
    def solve(question: str) -> tuple[str, str]:
        steps, lines = reduce(question, r"\d+", Expr.symbols, equation)
        return ",".join(steps), lines[-1]
    def canonical(question: str) -> str:
        return reduce(question, r"\d+|#\w{16}", Expr.symbols, hashed)[1][-1]

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
    """`(2 and 3) or 7`: as many operations as `expr`, on the bits of numbers from 0 to 7, so that a guess is rarely right."""
    pattern = r"(?:[0-7]|[()]| and | or )+"
    rules = {" and ": operator.and_, " or ": operator.or_}
    def ask(rng: Random, level: int) -> str:
        terms = [str(rng.randrange(8)) for _ in range(max(2, level) + 1)]
        while len(terms) > 1:
            i = rng.randrange(len(terms) - 1)
            terms[i : i + 2] = [f"({terms[i]} {rng.choice(('and', 'or'))} {terms[i + 1]})"]
        return terms[0][1:-1]
    def solve(question: str) -> tuple[str, str]:
        lines = reduce(question, r"\d", Logic.rules, lambda a, symbol, b: ("", str(Logic.rules[symbol](int(a), int(b)))))[1]
        return ",".join(lines[1:-1]) or question, lines[-1]
    def canonical(question: str) -> str:
        return reduce(question, r"\d|#\w{16}", Logic.rules, hashed)[1][-1]

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
            steps, at = [*steps, f"{at}>{arrows[at]}"], arrows[at]
        return ",".join(steps), at
    def canonical(question: str) -> str:
        facts, query = question.split(" ", 1)
        return f"{','.join(sorted(facts.split(',')))} {query}"

class Story:
    """`ann has 19 pens, gives 6 to eva, buys 4: how many?`: `level` events, one sum or difference each, all from 0 to 19."""
    NAMES = "tom ann ben eva sam mia leo zoe max ida kim jon".split()
    THINGS = "apples books coins cards shells pens cups stones nuts eggs stamps maps".split()
    GAINS = "buys finds wins picks makes earns bakes gets".split()
    LOSSES = "loses sells drops spends returns eats lends gives".split()
    pattern = r"[a-z]+ has \d+ [a-z]+(?:, [a-z]+ \d+(?: (?:to|from) [a-z]+)?)*: how many\?"
    def ask(rng: Random, level: int) -> str:
        name, have = rng.choice(Story.NAMES), rng.randint(2, 19)
        text = f"{name} has {have} {rng.choice(Story.THINGS)}"
        for _ in range(level):
            n = rng.randint(1, 9)
            verb = rng.choice((Story.GAINS if have + n < 20 else []) + (Story.LOSSES if have >= n else []))
            have += n if verb in Story.GAINS else -n
            whom = {"gets": " from ", "gives": " to "}.get(verb, "")
            text += f", {verb} {n}{whom}" + (rng.choice([x for x in Story.NAMES if x != name]) if whom else "")
        return f"{text}: how many?"
    def solve(question: str) -> tuple[str, str]:
        start, *events = question.split(":")[0].split(", ")
        total, steps = start.split()[2], []
        for event in events:
            verb, n = event.split()[:2]
            if verb not in Story.GAINS + Story.LOSSES:
                raise UserError(f"{verb!r} is no verb of a story: take one of {', '.join(Story.GAINS + Story.LOSSES)}")
            step, total = equation(total, "+" if verb in Story.GAINS else "-", n)
            steps.append(step)
        return ",".join(steps) or total, total
    def canonical(question: str) -> str:
        names, known = {}, "|".join(Story.NAMES + Story.THINGS)
        return re.sub(rf"\b({known})\b", lambda match: names.setdefault(match[0], f"#{len(names)}"), question)

FAMILIES = {c.__name__.lower(): c for c in (Add, Sub, Mul, Expr, Sort, Logic, Chain, Story)}
