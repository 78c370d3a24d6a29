"""Steps read by themselves: each is held to be true, and what they come to is the answer."""

import re
from collections import Counter

from minisi.tasks.stories import GAINS

from .world import by_bits, calculated, parsed, walk

# Columns: `7+6+0=13` of a sum, `03<,2-6-0=16` of a difference, `7*8=56+0=56+8=64` of a product.


def added(a, b, columns, symbol="+"):
    """A sum from the right, or the difference of a larger and a smaller number."""
    sign = {"+": 1, "-": -1}[symbol]
    assert len(columns) == len(str(max(a, b)))
    total = carried = 0
    for place, column in enumerate(columns):
        x = a // 10**place % 10
        y = b // 10**place % 10
        assert re.fullmatch(rf"{x}[{symbol}]{y}[{symbol}]{carried}=\d\d", column)
        carry, digit = map(int, column[-2:])
        assert x + sign * (y + carried) == digit + sign * 10 * carry
        total += digit * 10**place
        carried = carry
    return total + sign * carried * 10 ** len(columns)


def compared(a, b, steps):
    """Digits from the left, until they differ; the last sign."""
    width = len(str(max(a, b)))
    pairs = zip(str(a).zfill(width), str(b).zfill(width), strict=True)
    for step, (x, y) in zip(steps, pairs, strict=False):
        assert step == f"{x}{y}{'<' if x < y else '>' if x > y else '='}"
    assert all("=" in step for step in steps[:-1])
    assert "=" not in steps[-1] or len(steps) == width
    return steps[-1][-1]


def subtracted(a, b, steps):
    comparisons = [step for step in steps if len(step) == len("03<")]
    columns = steps[len(comparisons) :]
    sign = compared(a, b, comparisons)
    if sign == "=":
        assert not columns
        return 0
    return -added(b, a, columns, "-") if sign == "<" else added(a, b, columns, "-")


def is_true(step):
    """Whether each side of `7*8=56+0=56+8=64` equals the number that comes next."""
    sides = step.split("=")
    numbers = [int(re.match(r"\d+", side)[0]) for side in sides[1:]]
    return [int(calculated(side)) for side in sides[:-1]] == numbers


def multiplied(a, b, steps):
    """A row for each digit of `b`, each added to the digits that stand."""
    stands = {}
    left = iter(steps)
    for row, y in enumerate(reversed(str(b))):
        carried = "0"
        for place, x in enumerate(reversed(str(a)), row):
            step = next(left)
            taken = rf"\+{stands.get(place)}=\d\d" if row else ""
            assert re.fullmatch(rf"{x}\*{y}=\d\d\+{carried}=\d\d{taken}", step)
            assert is_true(step)
            carried, stands[place] = step[-2:]
        stands[place + 1] = carried
    assert next(left, None) is None
    return sum(int(digit) * 10**place for place, digit in stands.items())


READERS = {"+": added, "-": subtracted, "*": multiplied}


def in_columns(question, steps):
    a, symbol, b = re.fullmatch(r"(\d+)([+*-])(\d+)", question).groups()
    return READERS[symbol](int(a), int(b), steps.split(","))


# Operations: `9+8=17`, `4+-9:4-9=-5`, `17*5:7*5=35+0=35,1*5=05+3=08=85`, `52 and 37=12`; and
# `5:3-5=-2` where 5 is the last result.

COLUMN = r"(?:\d\d[<=>]|\d[+-]\d[+-]\d=\d\d|\d\*\d=\d\d\+\d=\d\d(?:\+\d=\d\d)?)"
OPERATION = (
    r"(?:(-?\d+):)?(-?\d+)([+*-])(-?\d+)(?::(\d+[+*-]\d+))?"
    rf"(?::({COLUMN}(?:,{COLUMN})*))?=(-?\d+)(?=,|$)"
)


def operation(a, symbol, b, plain, columns, value):
    """(symbol, a, b, value): signs are put right first, and more than digits stand in columns."""
    text = f"{a}{symbol}{b}"
    result = int(calculated(text))
    assert value == str(result)
    assert bool(plain) == ("-" in a + b)
    sizes = [number.strip("-") for number in (a, b)]
    assert sorted(re.findall(r"\d+", plain or text)) == sorted(sizes)
    assert abs(int(calculated(plain or text))) == abs(result)
    assert (columns is not None) == (max(len(a.strip("-")), len(b.strip("-"))) > 1)
    if columns:
        assert abs(in_columns(plain or text, columns)) == abs(result)
    return symbol, int(a), int(b), result


def on_numbers(steps):
    found = list(re.finditer(OPERATION, steps))
    assert ",".join(match[0] for match in found) == steps
    last = None
    for lead, a, symbol, b, *_, value in map(re.Match.groups, found):
        if lead:
            assert symbol == "-"
        leads(last, lead or a, b)
        last = value
    return [operation(*match.groups()[1:]) for match in found]


def leads(last, first, b):
    """What a step is about begins with the last result, if it is about that."""
    assert first == last or b != last


def on_bits(steps):
    found = []
    last = None
    for step in steps.split(","):
        a, symbol, b, value = re.fullmatch(r"(\d+)( [a-z]+ )(\d+)=(\d+)", step).groups()
        assert len(a) == len(b)
        leads(last, a, b)
        last = value
        assert value == by_bits(f"{a}{symbol}{b}")
        found.append((symbol, *(int(number, 8) for number in (a, b, value))))
    return found


def unordered(operation):
    symbol, a, b = operation
    return (symbol, a, b) if symbol == "-" else (symbol, *sorted([a, b]))


def same(these, those):
    """Whether they are the same operations, in any order."""
    return Counter(map(unordered, these)) == Counter(map(unordered, those))


def reduced(question, steps, read):
    """The last value: an operation is on numbers of the question, or values that came before."""
    done = read(steps)
    numbers = []
    operations = []
    walk(parsed(question), numbers, operations)
    assert same(operations, [operation[:3] for operation in done])
    values = Counter(numbers)
    for _, a, b, value in done:
        values.subtract([a, b])
        assert min(values.values()) >= 0
        values[value] += 1
    (last,) = values.elements()
    return last


# The steps of each family, and the answer that is read off them.


def columns_answer(question, steps):
    return str(in_columns(question, steps))


def expr_answer(question, steps):
    return str(reduced(question, steps, on_numbers))


def logic_answer(question, steps):
    width = len(re.search(r"\d+", question)[0])
    return f"{reduced(question, steps, on_bits):0{width}o}"


def sort_answer(question, steps):
    """Each list has one digit more, sorted; the last digit is put in by the answer."""
    _, *digits = question.split()
    lists = steps.split(",")
    assert len(lists) == max(1, len(digits) - 1)
    for i, text in enumerate(lists):
        assert text == " ".join(sorted(digits[: i + 1]))
    return " ".join(sorted([*lists[-1].split(), *digits[len(lists) :]]))


def chain_answer(question, steps):
    facts, _, at, hops = question.split()
    assert len(steps.split(",")) == int(hops)
    for step in steps.split(","):
        assert step in facts.split(",")
        assert step[0] == at
        at = step[-1]
    return at


def story_answer(question, steps):
    have = int(re.search(r"\d+", question)[0])
    events = re.findall(r", ([a-z]+) (\d+)", question)
    for (verb, n), done in zip(events, on_numbers(steps), strict=True):
        assert done[:3] == ("+" if verb in GAINS else "-", have, int(n))
        have = done[3]
    return str(have)


STEPS = {
    "add": columns_answer,
    "sub": columns_answer,
    "mul": columns_answer,
    "expr": expr_answer,
    "sort": sort_answer,
    "logic": logic_answer,
    "chain": chain_answer,
    "story": story_answer,
}
