"""The correctors: from a flagged question to a worked solution `steps|answer`, or to an empty text where there is none."""
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random
from .generate import Completion, cut
from .parts import PARTS, together
from .tasks import Problem, check, parse

Ask = Callable[[Sequence[str]], list[Completion]]  # prompts to one completion each
Corrector = Callable[[Sequence[Problem], Ask, Ask, Random, int], list[str]]  # problems, greedy, sampled, for cuts, answers a problem

def by_solver(problems: Sequence[Problem], greedy: Ask, sampled: Ask, rng: Random, count: int) -> list[str]:
    """The tutor program's worked solutions."""
    return [problem.target for problem in problems]

def by_parts(problems: Sequence[Problem], greedy: Ask, rng: Random, count: int) -> list[list[str]]:
    """`count` texts for each problem, put together from the model's answers to parts of it; empty where a way led nowhere."""
    def ask(questions: Sequence[str]) -> list[tuple[str, str] | None]:
        return [parse(c.text) if c.finished else None for c in greedy([Problem("", 0, question).prompt for question in questions])]
    ways = [PARTS.get(p.family, lambda *_: (x for x in ()))(p.question, rng) for p in problems for _ in range(count)]  # a family may have no parts
    return cut(together(ways, ask), count)

def agreed(texts: Iterable[str], least: float) -> str:
    """The commonest text, step for step the same, if it comes at least so often."""
    text, count = next(iter(Counter(filter(None, texts)).most_common(1)), ("", 0))
    return text if count >= least else ""

def by_self(problems: Sequence[Problem], greedy: Ask, sampled: Ask, rng: Random, count: int) -> list[str]:
    """What the model says in parts or when sampled, if the checker accepts it, which says right or wrong and no more.
    Two of the texts must agree in every step, for a right answer can come from wrong steps."""
    drawn = [c.text if c.finished else "" for c in sampled([p.prompt for p in problems for _ in range(count)])]
    tries = zip(problems, by_parts(problems, greedy, rng, count), cut(drawn, count))
    return [agreed((text for text in (*parts, *samples) if check(p.answer, text) == "right"), 2) for p, parts, samples in tries]

def by_vote(problems: Sequence[Problem], greedy: Ask, sampled: Ask, rng: Random, count: int) -> list[str]:
    """What three of four ways through a question's parts agree on, step for step.  No key takes part: neither solver nor checker."""
    return [agreed(texts, 0.75 * count) for texts in by_parts(problems, greedy, rng, count)]

CORRECTORS: dict[str, Corrector] = {"solver": by_solver, "self": by_self, "vote": by_vote}
