"""Problems: drawn from a family, put in a split, solved by the tutor program, and checked."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from .families import FAMILIES
from .runtime import UserError

BAR = "|"  # ends the question, and ends the steps

@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its worked solution.  `level` is 0 for a question that a person typed."""
    family: str
    level: int
    question: str
    steps: str
    answer: str

    @property
    def prompt(self) -> str:
        """What the model reads: the text before its own, for training and asking alike."""
        return self.question + BAR

    @property
    def target(self) -> str:
        """What the model should write; the end-of-text token follows it."""
        return f"{self.steps}{BAR}{self.answer}"

def family_of(question: str) -> str:
    """The family whose pattern the question matches; raises UserError where none does."""
    for name, family in FAMILIES.items() if len(question) < 500 else ():
        if re.fullmatch(family.pattern, question):
            return name
    raise UserError(f"no family can solve {question!r}: the README shows a question of each, such as '347+586'")

def solve(question: str, family: str = "", level: int = 0) -> Problem:
    """The tutor program: the worked solution of any question that some family covers, else UserError."""
    family = family or family_of(question)
    return Problem(family, level, question, *FAMILIES[family].solve(question))

def check(answer: str, text: str) -> str:
    """`right` or `wrong` for a completion `steps|answer`, by its final answer alone; else `unparsable`."""
    steps, bar, said = text.partition(BAR)
    if not (steps and bar and said) or BAR in said:
        return "unparsable"
    return "right" if said == answer else "wrong"

def identity(question: str, family: str = "") -> str:
    """16 hex digits that are the same for all wordings of one problem: operands swapped, facts or list shuffled, renamed."""
    family = FAMILIES[family or family_of(question)]
    canonical = getattr(family, "canonical", str)(question)
    return hashlib.blake2b(canonical.encode(), digest_size=8, key=b"minisi split").hexdigest()

def split_of(question: str, family: str = "") -> str:
    """`train` (60 % of all problems), `dev` (20 %) or `test` (20 %): a property of the problem, of no seed."""
    return ("test", "dev", "train", "train", "train")[int(identity(question, family), 16) % 5]

def draw(rng: Random, split: str, family: str, level: int) -> Problem:
    """A fresh problem of the split."""
    while split_of(question := FAMILIES[family].ask(rng, level), family) != split:
        pass
    return solve(question, family, level)

def balanced(rng: Random, split: str, levels: int, count: int, families: Iterable[str] = FAMILIES) -> list[Problem]:
    """`count` fresh problems of the split, shuffled, even over families and levels 1 to `levels`."""
    cells = [(family, level) for level in range(1, levels + 1) for family in families]
    problems = [draw(rng, split, *cells[i % len(cells)]) for i in range(count)]
    rng.shuffle(problems)
    return problems

def make_test_set(count: int = 2048, levels: int = 4) -> Iterator[str]:
    """The rows of data/test.jsonl: distinct problems of the test split, even over families and levels."""
    rng, seen, cells = Random("minisi test set"), set(), [(f, level) for f in FAMILIES for level in range(1, levels + 1)]
    for family, level in cells:
        for _ in range(count // len(cells)):
            while (name := identity((problem := draw(rng, "test", family, level)).question)) in seen:
                pass
            seen.add(name)
            yield json.dumps({"id": name, **asdict(problem)})

def read_test_set(path: str | Path) -> list[Problem]:
    """The frozen test set; every row is solved anew, so a damaged or foreign file is refused."""
    try:
        rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
        problems = [Problem(**{k: row[k] for k in Problem.__slots__}) for row in rows]
        bad = [p for p in problems if split_of(p.question) != "test" or solve(p.question, p.family, p.level) != p]
    except (OSError, ValueError, LookupError, TypeError, UserError) as error:
        raise UserError(f"cannot read the test set {path} ({error}): git checkout {path} restores it") from None
    if bad or not problems:
        raise UserError(f"the test set {path} holds {len(bad)} damaged rows of {len(problems)}: git checkout {path} restores it")
    return problems
