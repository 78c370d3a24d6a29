"""Training: from texts to steps.  It knows of no arithmetic."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..run import ranks
from ..run.runtime import chunks, give_back, has_bfloat16
from .gpt import at_a_time, in_line, send
from .optim import Optimizer
from .tokenizer import EOS, Codec

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


def length(example: Example) -> int:
    """How many tokens of an example are read: all but the last."""
    prompt, target = example
    return len(prompt) + len(target) - 1


def loss_sum(model: nn.Module, examples: list[Example], prompt_weight: float) -> Tensor:
    """The weighted sum of the losses of all tokens."""
    device = next(model.parameters()).device
    labels = []
    weights = []
    for prompt, target in examples:
        labels += prompt[1:] + target
        weights += [prompt_weight] * (len(prompt) - 1) + [1.0] * len(target)
    tokens, texts = in_line([prompt + target[:-1] for prompt, target in examples], device)
    with mixed_precision(device):
        logits = model(tokens, texts.positions, texts)  # (N, V)
    found = logits[: len(labels)].float()
    losses = F.cross_entropy(found, send(labels, device), reduction="none")
    return losses @ send(weights, device)


def backward(
    model: nn.Module, examples: list[Example], prompt_weight: float, micro_batch: int = 0
) -> tuple[Tensor, int]:
    """Add the gradients of a batch, of which each rank reads its share.

    Returns (loss for each token of a target, tokens), of the whole batch.

    A token of a target weighs 1 in the loss, one of a prompt `prompt_weight`.  So many examples as
    `micro_batch` go through the model at once, eight times as many on a GPU, or all if it is 0:
    what the backward pass needs is kept of these alone.
    """
    device = next(model.parameters()).device
    targets = sum(len(target) for _, target in examples)
    own = ranks.mine(examples)
    share = float(bool(own))  # a rank without a row reads one for nothing, to go with the others
    rows = sorted(own or examples[:1], key=length)
    total = torch.zeros((), device=device)
    for part in chunks(rows, at_a_time(micro_batch, device) or len(rows)):
        loss = loss_sum(model, part, prompt_weight) * share / targets
        loss.backward()
        total += loss.detach()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    ranks.add_up([total, *gradients])
    return total, sum(map(length, examples))


def mixed_precision(device: torch.device) -> torch.autocast:
    """Products of matrices are rounded to bfloat16, where the device has that.

    Weights, the sum that runs through the blocks, the loss and the optimisers are in float32.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device.type))


def fit(
    model: nn.Module,
    optimizers: list[Optimizer],
    batches: Iterable[list[Example]],
    rates: list[float],
    prompt_weights: list[float],
    first: int = 0,
    every: int = 20,
    micro_batch: int = 0,
) -> Iterator[Trained]:
    """Train, one step a batch, from step `first` on; yields how far it is every few steps.

    It trains as far as it is iterated.  Step number i has `rates[i]` times each optimiser's rate,
    and a prompt's tokens weigh `prompt_weights[i]` in the loss; `micro_batch` is as in `backward`.
    Raises FloatingPointError where a loss, or a weight at the end, is not finite.
    """
    model.train()
    losses = []
    steps = first
    tokens = 0
    for examples in batches:
        loss, count = backward(model, examples, prompt_weights[steps], micro_batch)
        for optimizer in optimizers:
            optimizer.step(rates[steps])
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
    give_back()


def mean(losses: list[Tensor]) -> float:
    """The mean loss: the one place of training that waits for the device."""
    value = torch.stack(losses).mean().item()
    if not math.isfinite(value):
        raise FloatingPointError("the loss is not finite")
    return value


def snapshot(model: nn.Module, optimizers: list[Optimizer]) -> dict[str, Any]:
    """All that training goes on from."""
    states = [optimizer.state for optimizer in optimizers]
    return {"model": model.state_dict(), "optimizers": states}


def restore(model: nn.Module, optimizers: list[Optimizer], tensors: dict[str, Any]) -> None:
    """Go back to a snapshot."""
    model.load_state_dict(tensors["model"])
    for optimizer, saved in zip(optimizers, tensors["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
