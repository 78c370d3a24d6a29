"""Batched decoding: greedy or sampled, with a KV cache; every token's probability comes from the same pass.

Rows of one batch are left-padded to the same length, so all of them write to the same place of the cache; a mask hides the
padding, and rotary positions make the shift harmless.  Rows that have ended leave the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .model import GPT, Cache
from .tokenizer import EOS, Codec

@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote after a prompt: its text, token ids and their probabilities, end-of-text included in both.

    `finished` is false where the model ran out of room before the end of text.  `prompt_probabilities` are those
    of the prompt's tokens but the first: small where the question is unlike those that the model has seen.
    """
    text: str
    tokens: list[int]
    probabilities: list[float]
    finished: bool
    prompt_probabilities: list[float]

def pick(logits: Tensor, temperature: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Next tokens (B,) and the model's own probability of each (at temperature 1): the likeliest, or sampled."""
    probabilities = logits.softmax(-1)  # (B, V)
    if temperature == 0:
        best, tokens = probabilities.max(-1)
        return tokens, best
    noise = torch.empty_like(logits).exponential_(generator=generator)  # the exponential race: argmax p/e samples from p
    tokens = ((logits / temperature).softmax(-1) / noise).argmax(-1)
    return tokens, probabilities.gather(1, tokens[:, None]).squeeze(1)

@torch.inference_mode()
def decode_batch(model: GPT, prompts: Sequence[list[int]], limit: int, temperature: float, generator: torch.Generator | None) -> list[tuple]:
    """(tokens, probabilities, prompt probabilities) of each prompt's completion, at most `limit` tokens long."""
    device = model.head.weight.device
    B, P = len(prompts), max(map(len, prompts))
    tokens = torch.tensor([[EOS] * (P - len(p)) + p for p in prompts], device=device)  # (B, P)
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    visible = torch.arange(P + limit, device=device) >= (P - lengths)[:, None]  # (B, P + limit): not padding
    causal = torch.ones(P, P, dtype=torch.bool, device=device).tril()
    itself = torch.eye(P, dtype=torch.bool, device=device)  # padding sees itself: a softmax over nothing is not a number
    cache = Cache(model, B)
    logits = model(tokens, cache, (visible[:, None, None, :P] & causal) | itself)
    read, logits = logits[:, :-1].softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2).tolist(), logits[:, -1]  # B rows of P - 1
    rows = torch.arange(B, device=device)  # which prompt each row of the batch belongs to
    going = torch.ones(B, dtype=torch.bool, device=device)
    said = torch.full((B, limit), EOS, device=device)
    sure = torch.zeros(B, limit, device=device)
    for t in range(limit):
        token, probability = pick(logits, temperature, generator)
        said[rows, t], sure[rows, t] = token.where(going, EOS), probability
        going = going & (token != EOS)
        left = int(going.sum())
        if left == 0 or t + 1 == limit:
            break
        if left < 0.7 * len(rows):  # not at once: to copy the cache costs about as much as a step
            keep = going.nonzero().squeeze(1)
            rows, token, visible, going = rows[keep], token[keep], visible[keep], going[keep]
            cache.keep(keep)
        logits = model(token[:, None], cache, visible[:, None, None, : P + t + 1])[:, -1]
    ended = said == EOS
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, limit)
    return [(s[:n], p[:n], q[P - len(prompt) :]) for s, p, n, q, prompt in zip(said.tolist(), sure.tolist(), lengths.tolist(), read, prompts)]

def generate(
    model: GPT, codec: Codec, prompts: Sequence[str], limit: int, batch: int = 128, temperature: float = 0.0, generator: torch.Generator | None = None
) -> list[Completion]:
    """A completion for each prompt, in order; `temperature` 0 is greedy.  Prompts of like length are decoded together."""
    model.eval()
    ids = codec.encode(prompts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    done: list[tuple] = [()] * len(ids)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        for i, row in zip(part, decode_batch(model, [ids[i] for i in part], limit, temperature, generator)):
            done[i] = row
    texts = codec.decode([tokens for tokens, _, _ in done])
    return [Completion(text, tokens, sure, tokens[-1] == EOS, read) for text, (tokens, sure, read) in zip(texts, done)]
