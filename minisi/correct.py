"""The correctors: from a flagged question to a worked solution `steps|answer`, or to an empty text where there is none."""

from collections.abc import Callable, Sequence

from .detect import kind
from .generate import Completion
from .tasks import Problem

Sampler = Callable[[Sequence[str]], list[Completion]]  # prompts to one sampled completion each
Corrector = Callable[[Sequence[Problem], Sampler, int], list[str]]

def by_solver(problems: Sequence[Problem], sample: Sampler, samples: int) -> list[str]:
    """The tutor program's worked solutions."""
    return [problem.target for problem in problems]

def by_self(problems: Sequence[Problem], sample: Sampler, samples: int) -> list[str]:
    """The model's own first sample whose final answer the checker accepts; the checker says right or wrong and no more."""
    drawn = iter(sample([problem.prompt for problem in problems for _ in range(samples)]))
    tries = [[next(drawn) for _ in range(samples)] for _ in problems]
    return [next((c.text for c in own if kind(problem, c) == "right"), "") for problem, own in zip(problems, tries)]

CORRECTORS: dict[str, Corrector] = {"solver": by_solver, "self": by_self}
