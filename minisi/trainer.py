"""Training: examples to batches of near-equal length, and fit(), which knows nothing of arithmetic."""
import math
from collections.abc import Callable, Iterable, Sequence
import torch
from torch import Tensor, nn
from tqdm import tqdm
from .generate import cut
from .tokenizer import EOS, Codec

PART = 11  # rows that go through the model together: a third of a batch
Example = tuple[list[int], list[int]]  # token ids: prompt, target (end-of-text included)

def encode(codec: Codec, pairs: Sequence[tuple[str, str]]) -> list[Example]:
    """(prompt, target) texts to examples."""
    prompts, targets = codec.encode([prompt for prompt, _ in pairs]), codec.encode([target for _, target in pairs])
    return [(prompt, [*target, EOS]) for prompt, target in zip(prompts, targets)]

def collate(examples: Sequence[Example], prompt_weight: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, labels, weights), each (B, T): labels are the next tokens; they weigh 1 in the target, `prompt_weight` in the prompt, 0 where a row is filled up."""
    T = max(len(prompt) + len(target) for prompt, target in examples) - 1
    rows = torch.tensor([(prompt + target + [EOS] * T)[: T + 1] for prompt, target in examples], device=device)
    weights = [([prompt_weight] * (len(p) - 1) + [1.0] * len(t) + [0.0] * T)[:T] for p, t in examples]
    return rows[:, :-1], rows[:, 1:], torch.tensor(weights, device=device)

def fit(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], batches: Iterable[Sequence[Example]], schedule: Callable[[int], float], bar: tqdm,
        prompt_weight: Callable[[int], float] = lambda step: 0.0, first: int = 0, save: Callable[[int, int], None] = lambda step, tokens: None,
        every: int = 20) -> tuple[int, int]:
    """One step a batch, from `first` on, at `schedule(step)` times each optimiser's rate, the prompt weighing `prompt_weight(step)`; returns (steps, tokens).
    Every 20 steps and at the end the bar gets the mean loss, then comes `save(step, tokens)`; a loss or last weight that is not finite raises FloatingPointError."""
    model.train()
    peaks = [(group, group.setdefault("initial_lr", group["lr"])) for optimizer in optimizers for group in optimizer.param_groups]
    total, steps, tokens = torch.zeros((), device=next(model.parameters()).device), first, 0
    with bar:
        for examples in batches:
            for group, peak in peaks:
                group["lr"] = peak * schedule(steps)
            targets = sum(len(target) for _, target in examples)
            for part in cut(sorted(examples, key=lambda e: len(e[0]) + len(e[1])), PART):  # of like length: little padding, yet all families in each step
                inputs, labels, weights = collate(part, prompt_weight(steps), total.device)
                losses = nn.functional.cross_entropy(model(inputs).flatten(0, 1), labels.flatten(), reduction="none")  # (B T,)
                loss = losses @ weights.flatten() / targets
                loss.backward()
                total += loss.detach()
                tokens += inputs.numel()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            steps += 1
            if steps % every == 0:
                show(total, every, steps, bar)
                save(steps, tokens)
        if steps % every:
            show(total, steps % every, steps, bar)
        if not all(p.isfinite().all() for group, _ in peaks for p in group["params"]):
            raise FloatingPointError("a weight is not finite")
        if steps % every:
            save(steps, tokens)
    return steps, tokens

def show(total: Tensor, count: int, steps: int, bar: tqdm) -> None:
    """Hand the mean loss of the last `count` steps to the bar and zero it: the one place of training that waits for the device."""
    loss = total.item() / count
    total.zero_()
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is not finite near step {steps}")
    bar.update(count)
    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
