"""The families of questions that the world has.  A new one is a class, and a name in this list."""

import re

from ..run.runtime import UserError
from .arithmetic import Add, Mul, Sub
from .bits import Logic
from .expressions import Expr
from .sequences import Chain, Sort
from .stories import Story

KNOWN = (Add, Sub, Mul, Expr, Sort, Logic, Chain, Story)
FAMILIES = {kind.__name__.lower(): kind() for kind in KNOWN}
LONGEST = 500  # characters of a question
SPOKEN = {  # what a person writes, and how families do; the last needs the others done
    r"\bplus\b": "+",
    r"\bminus\b|[\N{MINUS SIGN}\N{EN DASH}]": "-",
    r"\btimes\b|\N{MULTIPLICATION SIGN}|(?<=[\d)]) ?x ?(?=[-\d(])": "*",
    "^sort: ?": "sort ",
    "^(what(['\N{RIGHT SINGLE QUOTATION MARK}]s| is)|how much is) (?=[^a-z]*$)": "",
}
THOUSANDS = r"(?<!\d)(\d{1,3}),(?=\d{3}(?!\d))"  # before the comma, as in `1,000`
NEEDLESS = r"\((\([^()]*\))\)|(?<![\d)])\((-?\d+)\)(?![\d(])"  # `((3+4))` and `(5)`


def matching(question: str) -> str:
    """The family whose pattern the question matches; empty where none does."""
    for name, family in FAMILIES.items():
        if len(question) < LONGEST and re.fullmatch(family.pattern, question, re.ASCII):
            return name
    return ""


def family_of(question: str) -> str:
    """The family whose pattern the question matches; raises UserError where none does."""
    family = matching(question)
    if not family:
        raise UserError(
            f"no family can solve {question[:LONGEST]!r}: the README shows a question of each,"
            " such as '347+586'"
        )
    return family


def as_asked(text: str) -> str:
    """A question as families write it, from what a person typed.

    Capitals, needless spaces, brackets and commas, and a `=`, `?` or `.` at the end don't matter; a
    space between two digits does.  What is no question of any family comes back as it was typed.
    """
    plain = re.sub(r" (?=[,:?])", "", " ".join(text.lower().split()))
    for spoken, written in SPOKEN.items():
        plain = re.sub(spoken, written, plain)
    bare = plain.rstrip(" =?.")
    tight = re.sub(r" ?([-+*>,]) ?|(?<=\() | (?=\))", r"\1", bare)
    spaced = re.sub(r"(?<=\d), ?(?=\d)", " ", bare)
    whole = re.sub(THOUSANDS, r"\1", tight)
    read = map(without_needless, (plain, bare, f"{bare}?", tight, spaced, whole))
    return next(filter(matching, read), text)


def without_needless(text: str) -> str:
    """The text without brackets around a number, or around brackets; the same if it is too long."""
    if len(text) > LONGEST:
        return text
    while (barer := re.sub(NEEDLESS, lambda match: match[1] or match[2], text)) != text:
        text = barer
    return text


def chosen(names: str) -> list[str]:
    """The families that are named, with commas between; all where none is."""
    named = list(dict.fromkeys(names.split(","))) if names else list(FAMILIES)
    unknown = [name for name in named if name not in FAMILIES]
    if unknown:
        raise UserError(f"no family is called {unknown[0]!r}: take of {', '.join(FAMILIES)}")
    return named


def vocabulary_words() -> list[str]:
    """The words that the families declare, for the tokenizer."""
    return sorted({word for family in FAMILIES.values() for word in family.words.split()})
