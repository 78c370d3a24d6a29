"""The model as one who is asked questions."""

from dataclasses import dataclass
from typing import Any

from ..model.generate import Completion, generate
from ..model.gpt import GPT
from ..model.tokenizer import Codec
from ..run.progress import PACE, Progress
from .attempt import Attempt


@dataclass
class Student:
    """A model that answers in batches; the tokens it writes are counted."""

    model: GPT
    codec: Codec
    limit: int  # the longest completion, in tokens
    progress: Progress
    tokens: int = 0  # written so far

    def complete(self, prompts: list[str], **sampling: Any) -> list[Completion]:
        """A completion for each prompt, greedy unless a temperature and a generator are given."""
        completions = generate(self.model, self.codec, prompts, self.limit, **sampling)
        self.tokens += sum(len(completion.tokens) for completion in completions)
        self.progress.advance(len(prompts) / PACE)
        return completions

    def answer(self, attempts: list[Attempt]) -> None:
        """Fill in what the model says."""
        completions = self.complete([attempt.problem.prompt for attempt in attempts])
        for attempt, completion in zip(attempts, completions, strict=True):
            attempt.completion = completion
