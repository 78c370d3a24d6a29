"""Problems: drawn from a family, put in a split, solved by the tutor program, and checked."""
import hashlib, json, pathlib, re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from random import Random
from .families import FAMILIES
from .runtime import UserError

BAR = "|"  # ends the question, and ends the steps

@dataclass(frozen=True, slots=True)
class Problem:
    """A question; the tutor program works it out when asked for, and not before.  `level` is 0 for a question that a person typed."""
    family: str
    level: int
    question: str
    @property
    def steps(self) -> str:
        """The worked solution up to the answer."""
        return FAMILIES[self.family].solve(self.question)[0]
    @property
    def answer(self) -> str:
        """The key."""
        return FAMILIES[self.family].solve(self.question)[1]
    @property
    def prompt(self) -> str:
        """What the model reads: the text before its own, for training and asking alike."""
        return self.question + BAR
    @property
    def target(self) -> str:
        """What the model should write; the end-of-text token follows it."""
        return BAR.join(FAMILIES[self.family].solve(self.question))

def family_of(question: str) -> str:
    """The family whose pattern the question matches; raises UserError where none does."""
    for name, family in FAMILIES.items() if len(question) < 500 else ():
        if re.fullmatch(family.pattern, question):
            return name
    raise UserError(f"no family can solve {question!r}: the README shows a question of each, such as '347+586'")

def solve(question: str, family: str = "", level: int = 0) -> Problem:
    """The tutor program: the worked solution of any question that some family covers, else UserError."""
    problem = Problem(family or family_of(question), level, question)
    problem.target  # which raises where it can't be solved
    return problem

def parse(text: str) -> tuple[str, str] | None:
    """(steps, answer) of a completion `steps|answer`; None for anything else."""
    steps, bar, said = text.partition(BAR)
    return (steps, said) if steps and said and BAR not in said else None

def check(answer: str, text: str) -> str:
    """`right` or `wrong` for a completion `steps|answer`, by its final answer alone; else `unparsable`."""
    return "unparsable" if (said := parse(text)) is None else "right" if said[1] == answer else "wrong"

def identity(question: str, family: str = "") -> str:
    """16 hex digits that are the same for all wordings of one problem: operands swapped, facts or list shuffled, renamed."""
    canonical = getattr(FAMILIES[family or family_of(question)], "canonical", str)(question)
    return hashlib.blake2b(canonical.encode(), digest_size=8, key=b"minisi split").hexdigest()

def split_of(question: str, family: str = "") -> str:
    """`train` (60 % of all problems), `dev` (20 %) or `test` (20 %): a property of the problem, of no seed."""
    return ("test", "dev", "train", "train", "train")[int(identity(question, family), 16) % 5]

def draw(rng: Random, split: str, family: str, level: int) -> Problem:
    """A fresh problem of the split."""
    while split_of(question := FAMILIES[family].ask(rng, level), family) != split:
        pass
    return Problem(family, level, question)

def balanced(rng: Random, split: str, levels: int, count: int, families: Iterable[str] = FAMILIES) -> list[Problem]:
    """`count` fresh problems of the split, shuffled, even over families and levels 1 to `levels`."""
    cells = [(family, level) for level in range(1, levels + 1) for family in families]
    problems = [draw(rng, split, *cells[i % len(cells)]) for i in range(count)]
    rng.shuffle(problems)
    return problems

def make_test_set(count: int = 2048, levels: int = 4) -> Iterator[str]:
    """The rows of data/test.jsonl: distinct problems of the test split, even over families and levels."""
    rng, seen, cells = Random("minisi test set"), set(), [(f, level) for f in FAMILIES for level in range(1, levels + 1)]
    for cell in (cell for cell in cells for _ in range(count // len(cells))):
        while (name := identity((problem := draw(rng, "test", *cell)).question)) in seen:
            pass
        seen.add(name)
        yield json.dumps({"id": name, **asdict(problem), "steps": problem.steps, "answer": problem.answer})

def read_test_set(path: str | pathlib.Path) -> list[Problem]:
    """The frozen test set; every row is solved anew, so a damaged or foreign file is refused."""
    try:
        rows = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
        problems = [Problem(row["family"], row["level"], row["question"]) for row in rows]
        bad = [p for p, row in zip(problems, rows) if split_of(p.question) != "test" or (p.steps, p.answer) != (row["steps"], row["answer"])]
    except (OSError, ValueError, LookupError, TypeError, UserError) as error:
        raise UserError(f"cannot read the test set {path} ({error}): git checkout {path} restores it") from None
    if bad or not problems:
        raise UserError(f"the test set {path} holds {len(bad)} damaged rows of {len(problems)}: git checkout {path} restores it")
    return problems
