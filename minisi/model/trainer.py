"""Training: examples to batches of near-equal length, and fit(), which knows of no arithmetic."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ..run.runtime import chunks
from .tokenizer import EOS, Codec

PART = 11  # rows that go through the model together: a third of a batch
Example = tuple[list[int], list[int]]  # token ids: prompt, target (end-of-text included)


class Trained(NamedTuple):
    """How far training is."""

    steps: int  # that lie behind, those before `first` included
    tokens: int  # that were trained on since then
    loss: float  # the mean of the last steps


def encode(codec: Codec, pairs: list[tuple[str, str]]) -> list[Example]:
    """(prompt, target) texts to examples."""
    prompts = codec.encode([prompt for prompt, _ in pairs])
    targets = codec.encode([target for _, target in pairs])
    return [(prompt, [*target, EOS]) for prompt, target in zip(prompts, targets, strict=True)]


def collate(
    examples: list[Example], prompt_weight: float, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs, labels, weights), each (B, T); labels are the next tokens.

    They weigh 1 in the target, `prompt_weight` in the prompt, 0 where a row is filled up.
    """
    T = max(sum(map(len, example)) for example in examples) - 1
    rows = []
    weights = []
    for prompt, target in examples:
        weight = [prompt_weight] * (len(prompt) - 1) + [1.0] * len(target)
        space = T - len(weight)
        rows.append(prompt + target + [EOS] * space)
        weights.append(weight + [0.0] * space)
    tokens = torch.tensor(rows, device=device)  # (B, T + 1)
    return tokens[:, :-1], tokens[:, 1:], torch.tensor(weights, device=device)


def backward(model: nn.Module, examples: list[Example], prompt_weight: float) -> tuple[Tensor, int]:
    """Add the gradients of a batch; returns (loss for each token of a target, tokens).

    Rows of like length go through the model together: little padding, yet all kinds of examples
    in each step.
    """
    device = next(model.parameters()).device
    targets = sum(len(target) for _, target in examples)
    by_length = sorted(examples, key=lambda example: sum(map(len, example)))
    total = 0.0
    tokens = 0
    for part in chunks(by_length, PART):
        inputs, labels, weights = collate(part, prompt_weight, device)
        logits = model(inputs).flatten(0, 1)  # (B T, V)
        losses = F.cross_entropy(logits, labels.flatten(), reduction="none")
        loss = losses @ weights.flatten() / targets
        loss.backward()
        total += loss.detach()
        tokens += inputs.numel()
    return total, tokens


def fit(
    model: nn.Module,
    optimizers: list[Optimizer],
    batches: Iterable[list[Example]],
    rates: list[float],
    prompt_weights: list[float],
    first: int = 0,
    every: int = 20,
) -> Iterator[Trained]:
    """Train, one step a batch, from step `first` on; yields how far it is every few steps.

    It trains as far as it is iterated.  Step number i has `rates[i]` times each optimiser's rate,
    and a prompt's tokens weigh `prompt_weights[i]` in the loss.  Raises FloatingPointError where a
    loss, or a weight at the end, is not finite.
    """
    model.train()
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group in groups:
        group.setdefault("initial_lr", group["lr"])
    losses = []
    steps = first
    tokens = 0
    for examples in batches:
        for group in groups:
            group["lr"] = group["initial_lr"] * rates[steps]
        loss, count = backward(model, examples, prompt_weights[steps])
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(loss)
        steps += 1
        tokens += count
        if steps % every == 0:
            yield Trained(steps, tokens, mean(losses))
            losses = []
    if not all(weight.isfinite().all() for weight in model.parameters()):
        raise FloatingPointError("a weight is not finite")
    if losses:
        yield Trained(steps, tokens, mean(losses))


def mean(losses: list[Tensor]) -> float:
    """The mean loss: the one place of training that waits for the device."""
    value = torch.stack(losses).mean().item()
    if not math.isfinite(value):
        raise FloatingPointError("the loss is not finite")
    return value


def snapshot(model: nn.Module, optimizers: list[Optimizer]) -> dict[str, Any]:
    """All that training goes on from."""
    states = [optimizer.state_dict() for optimizer in optimizers]
    return {"model": model.state_dict(), "optimizers": states}


def restore(model: nn.Module, optimizers: list[Optimizer], tensors: dict[str, Any]) -> None:
    """Go back to a snapshot."""
    model.load_state_dict(tensors["model"])
    for optimizer, saved in zip(optimizers, tensors["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
