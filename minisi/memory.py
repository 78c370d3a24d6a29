"""The failure memory: what went wrong, what would have been right, and what is still failing."""
import json, os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from .detect import Verdict, kind
from .generate import Completion
from .runtime import UserError
from .tasks import BAR, Problem, identity, split_of

UNSOLVED = "unsolved"  # the source of a failure that has no correction yet

@dataclass(frozen=True, slots=True)
class Failure:
    """One row of memory.jsonl: a question, what the model said, and the correction.
    `steps`, `answer` and `completion` are the correction's, and empty while `source` is `unsolved`; `source` is who
    corrected: `solver`, `self`, `vote`, or `own`, the model's first answer where that was right but unsure."""
    id: str
    family: str
    level: int
    question: str
    steps: str
    answer: str
    said: str
    wrong_steps: str
    confidence: float
    kind: str
    source: str
    round: int
    prompt: str
    completion: str

def failure(problem: Problem, completion: Completion, verdict: Verdict, correction: str, source: str, round: int) -> Failure:
    """A row for the memory; `correction` is `steps|answer`, or empty."""
    steps, _, answer = correction.partition(BAR)
    wrong_steps, _, said = completion.text.partition(BAR)
    return Failure(
        identity(problem.question, problem.family), problem.family, problem.level, problem.question, steps, answer, said, wrong_steps,
        float(f"{verdict.confidence:.6f}"), verdict.kind, source if correction else UNSOLVED, round, problem.prompt, correction)  # fmt: skip

class FailureMemory:
    """An append-only JSONL file and its contents: the last row of an id counts.  `right[id]` is how it was last answered."""
    def __init__(self, path: Path) -> None:
        self.path, self.failures, self.right = path, {}, {}
        text = path.read_bytes() if path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]  # a row without its line end was torn by a crash: it doesn't count
        if whole != text:
            os.truncate(path, len(whole))
        for n, line in enumerate(whole.splitlines(), 1):
            try:
                row = Failure(**json.loads(line))
            except (ValueError, TypeError):
                raise UserError(f"{path} line {n} is not a row of a failure memory: restore the file or start with another --out") from None
            self.failures[row.id], self.right[row.id] = row, row.kind in ("right", "unsure")
    def append(self, rows: Sequence[Failure]) -> None:
        """Store failures; a problem of the dev or test split may never get here."""
        assert not (leaks := [row.question for row in rows if split_of(row.question, row.family) != "train"]), f"leak: not of the train split: {leaks}"
        with self.path.open("a", buffering=1) as file:  # line by line: a crash tears the last at most
            for row in rows:
                file.write(json.dumps(asdict(row)) + "\n")
                self.failures[row.id], self.right[row.id] = row, row.kind in ("right", "unsure")
    def unknown(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those of the problems that are not remembered, each once."""
        named = {identity(p.question, p.family): p for p in problems}
        return [p for name, p in named.items() if name not in self.failures]
    def problems(self, solved: bool) -> list[Problem]:
        """The failures that have a correction, or those that have none; never those whose own answer stands."""
        rows = (row for row in self.failures.values() if row.source != "own" and (row.source != UNSOLVED) == solved)
        return [Problem(row.family, row.level, row.question) for row in rows]
    def recall(self, problems: Sequence[Problem], completions: Sequence[Completion]) -> int:
        """Note whether remembered questions were answered as they were corrected; returns how many relapsed, from right to wrong."""
        ids = [identity(p.question, p.family) for p in problems]
        right = [kind(self.failures[i].answer, completion) == "right" for i, completion in zip(ids, completions)]
        relapsed = sum(self.right[i] and not ok for i, ok in zip(ids, right))
        self.right.update(zip(ids, right))
        return relapsed
    def sample(self, rng: Random, count: int, round: int, newest: float) -> list[Failure]:
        """`count` corrected failures with repetition: a share `newest` from this round, the rest from before, still failing ones 4:1."""
        rows = [row for row in self.failures.values() if row.source != UNSOLVED]
        new = [row for row in rows if row.round == round]
        old = [row for row in rows if row.round != round]
        n = count if not old else int(count * newest) if new else 0
        weights = [1 if self.right[row.id] else 4 for row in old]
        return (rng.choices(new, k=n) if new else []) + (rng.choices(old, weights, k=count - n) if old else [])
