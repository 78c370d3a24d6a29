"""The model as one who is asked questions."""

from dataclasses import dataclass
from typing import Any

from ..model.generate import Completion, confirm, generate
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
    tokens: int = 0  # that its answers had so far

    def complete(self, prompts: list[str], **sampling: Any) -> list[Completion]:
        """A completion for each prompt, greedy unless a temperature and a generator are given."""
        completions = generate(self.model, self.codec, prompts, self.limit, **sampling)
        self.tokens += sum(len(completion.tokens) for completion in completions)
        self.progress.advance(len(prompts) / PACE)
        return completions

    def answer(self, attempts: list[Attempt]) -> None:
        """Fill in what the model says; where it is as expected, without writing it."""
        prompts = [attempt.problem.prompt for attempt in attempts]
        drafts = [attempt.draft for attempt in attempts]
        found = confirm(self.model, self.codec, prompts, drafts, self.limit)
        self.tokens += sum(len(completion.tokens) for completion in filter(None, found))
        left = [prompt for prompt, known in zip(prompts, found, strict=True) if not known]
        self.progress.advance((len(prompts) - len(left)) / PACE)
        written = iter(self.complete(left))
        for attempt, completion in zip(attempts, found, strict=True):
            attempt.completion = completion or next(written)
