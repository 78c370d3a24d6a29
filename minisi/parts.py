"""A question taken apart into questions within reach, whose answers, put together, answer the whole.

What a model can do in parts it can learn to do at once: least-to-most prompting (Zhou et al. 2022, section 2) makes the labels, training on them is
the distillation of Christiano et al. (2018).  Here text is cut and joined, no more: every sum, order and bit is the model's own, so no answer key takes
part.  Cuts and padding are drawn, so that different ways through a question check each other.  A way is a generator: it yields questions, is sent
(steps, answer) of each, and returns the whole `steps|answer`; ValueError or LookupError say that a reply does not fit, or that there are no parts."""
import re
from collections.abc import Callable, Generator, Sequence
from random import Random
from .families import SIGNS

Way = Generator[str, tuple[str, str], str]
CARRIES = {"+": lambda x, y: (x + y) // 10, "-": lambda x, y: int(x < y), "*": lambda x, y: x * y // 10}  # of a column of padding

def columns(question: str, rng: Random) -> Way:
    """`3474+5867`: the right columns from `674+267`, the left ones from `349+582`, whose last column hands on the same carry."""
    a, symbol, b = re.split(r"([+*-])", question)
    width, times = max(len(a), len(b)), symbol == "*"
    a, b, k = a.zfill(width), b if times else b.zfill(width), (width + rng.randrange(2)) // 2
    steps, _ = yield f"{rng.randint(5, 9)}{a[-k:]}{symbol}" + (b if times else f"{rng.randint(1, 4)}{b[-k:]}")
    right = steps.split(",")[:k]
    x, y = rng.choice([(x, y) for x in range(10) for y in ([int(b)] if times else range(10)) if str(CARRIES[symbol](x, y)) == right[-1][-2]])
    steps, answer = yield f"{a[:-k].lstrip('0')}{x}{symbol}" + (b if times else f"{b[:-k].lstrip('0')}{y}")
    digits = answer[:-1] + "".join(step[-1] for step in reversed(right))
    return f"{','.join([*right, *steps.split(',')[1:]])}|{digits.lstrip('0') or '0'}"

def expr(question: str, rng: Random) -> Way:
    """`(((3+4)*2)-5)+1`: first `(3+4)*2`, then the rest with a sum of the same value in its place, such as `((8+6)-5)+1`."""
    opens, brackets = [], []
    for i, c in enumerate(question):
        opens += [i] if c == "(" else []
        brackets += [(opens.pop(), i + 1)] if c == ")" else []
    start, end = rng.choice([(a, b) for a, b in brackets if len(re.findall("[+*-]", question[a:b])) > 1])
    steps, value = yield question[start + 1 : end - 1]
    same = [f"({x}{s}{y})" for x in range(1, 10) for y in range(1, 10) for s, rule in SIGNS.items() if str(rule(x, y)) == value]
    more, answer = yield question[:start] + rng.choice(same) + question[end:]
    return f"{','.join([steps, *more.split(',')[1:]])}|{answer}"

def sort(question: str, rng: Random) -> Way:
    """`sort 5 2 8 3 9 4 7`: all but the last, then the last among the lower half and among the upper half of these."""
    *first, last = question.split(" ")[1:]
    steps, done = yield " ".join(["sort", *first])
    numbers = done.split(" ")
    low, high = numbers[: (len(numbers) + 1) // 2], numbers[len(numbers) // 2 :]
    _, lower = yield " ".join(["sort", *rng.sample([*low, last], len(low) + 1)])
    _, upper = yield " ".join(["sort", *rng.sample([*high, last], len(high) + 1)])
    above = lower.split(" ") == [*low, last]
    if not above and upper.split(" ") != [last, *high]:
        raise ValueError("the last number is neither below the upper half nor above the lower")
    whole = [*numbers[: -len(high)], upper] if above else [lower, *numbers[len(low) :]]
    return f"{steps},{done}|{' '.join(whole)}"

def logic(question: str, rng: Random) -> Way:
    """`(2 and 3) or (7 or 1)`: the first bracket from `(2 and 3) or 5`, then the question with its value in its place."""
    bracket = re.search(r"\(\d (?:and|or) \d\)", question)
    if bracket is None or question.count("(") < 2:
        raise ValueError("two operations are as few as the model knows")
    steps, _ = yield f"{bracket[0]} {rng.choice(('and', 'or'))} {rng.randrange(8)}"
    line = question.replace(bracket[0], steps[0], 1)
    more, answer = yield line
    return f"{line},{more}|{answer}"

def chain(question: str, rng: Random) -> Way:
    """`c>f,a>c,f>b,b>e from a 4`: some hops, then the other hops by the facts that are left."""
    facts, _, start, hops = question.split(" ")
    known, k = facts.split(","), (int(hops) + rng.randrange(2)) // 2
    steps, at = yield f"{','.join(rng.sample(known, len(known)))} from {start} {k}"
    left = [fact for fact in known if fact not in steps.split(",")]
    more, answer = yield f"{','.join(left)} from {at} {int(hops) - k}"
    if not {*steps.split(","), *more.split(",")} <= {*known}:
        raise ValueError("a step is no fact of the question")
    return f"{steps},{more}|{answer}"

def story(question: str, rng: Random) -> Way:
    """`ann has 19 pens, gives 6 to eva, buys 4: how many?`: some events, then the others from the number that is left."""
    head, *events = question.removesuffix(": how many?").split(", ")
    name, has, _, things = head.split(" ")
    k = rng.randrange(1, len(events))
    steps, value = yield f"{', '.join([head, *events[:k]])}: how many?"
    more, answer = yield f"{', '.join([f'{name} {has} {value} {things}', *events[k:]])}: how many?"
    return f"{steps},{more}|{answer}"

PARTS = {"add": columns, "sub": columns, "mul": columns, "expr": expr, "sort": sort, "logic": logic, "chain": chain, "story": story}

def together(ways: Sequence[Way], ask: Callable[[list[str]], list[tuple[str, str] | None]]) -> list[str]:
    """Go all ways side by side, a batch of questions at a time; `ask` returns (steps, answer), or None.  An empty text where a way leads nowhere."""
    texts, replies = [""] * len(ways), dict.fromkeys(range(len(ways)))
    while replies:
        questions = {}
        for i, reply in replies.items():
            try:
                questions[i] = ways[i].send(reply)
            except StopIteration as end:
                texts[i] = end.value or ""
            except (ValueError, LookupError):
                pass
        replies = {i: reply for i, reply in zip(questions, ask(list(questions.values()))) if reply}
    return texts
