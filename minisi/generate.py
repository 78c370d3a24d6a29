"""Batched decoding: greedy or sampled, with a KV cache; every token's probability comes from the same pass.

Rows are left-padded to one length, so all write to the same place of the cache; a mask hides the padding, and positions are relative."""
from collections.abc import Sequence
from typing import Any, NamedTuple
import torch
from .model import GPT, Cache
from .tokenizer import EOS, Codec

class Completion(NamedTuple):
    """What the model wrote after a prompt: its text, token ids and their probabilities, end-of-text included in both."""
    text: str
    tokens: list[int]
    probabilities: list[float]  # at temperature 1, whatever the sampling
    finished: bool  # false where the model ran out of room before the end of text
    prompt_probabilities: list[float]  # of the prompt's tokens but the first: small where the question is unlike those that the model has seen
    entropy: float = 0.0  # the mean over the tokens of the entropy, in nats, of what could have stood there

def cut(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in order, `size` at a time."""
    return [items[i : i + size] for i in range(0, len(items), size)]

@torch.inference_mode()
def decode_batch(model: GPT, prompts: Sequence[list[int]], limit: int, temperature: float, generator: torch.Generator | None) -> list[tuple]:
    """(tokens, probabilities, prompt probabilities, entropy) of each prompt's completion, at most `limit` tokens long."""
    device, B, P = model.head.weight.device, len(prompts), max(map(len, prompts))
    cache, tokens = Cache(model, B), torch.tensor([[EOS] * (P - len(p)) + p for p in prompts], device=device)  # (B, P)
    visible = torch.arange(P + limit, device=device) >= torch.tensor([[P - len(p)] for p in prompts], device=device)  # (B, P + limit): not padding
    causal, itself = torch.ones(P, P, dtype=torch.bool, device=device).tril(), torch.eye(P, dtype=torch.bool, device=device)
    logits = model(tokens, cache, (visible[:, None, None, :P] & causal) | itself)  # padding sees itself: a softmax over nothing is not a number
    read, logits = logits[:, :-1].softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2).tolist(), logits[:, -1]  # B rows of P - 1
    rows, going = torch.arange(B, device=device), torch.ones(B, dtype=torch.bool, device=device)  # each row's prompt, and whether it has not ended
    said, sure, spread = torch.full((B, limit), EOS, device=device), torch.zeros(B, limit, device=device), torch.zeros(B, device=device)
    for t in range(limit):
        probabilities = logits.softmax(-1)  # (B, V)
        probability, token = probabilities.max(-1)
        if temperature > 0:  # the exponential race: argmax p/e samples from p
            noise = torch.empty_like(logits).exponential_(generator=generator)
            token = ((logits / temperature).softmax(-1) / noise).argmax(-1)
            probability = probabilities.gather(1, token[:, None]).squeeze(1)
        said[rows, t], sure[rows, t] = token.where(going, EOS), probability
        spread[rows] += torch.special.entr(probabilities).sum(-1) * going
        going = going & (token != EOS)
        if (left := int(going.sum())) == 0 or t + 1 == limit:
            break
        if left < 0.7 * len(rows):  # not at once: to copy the cache costs about as much as a step
            keep = going.nonzero().squeeze(1)
            rows, token, visible, going = rows[keep], token[keep], visible[keep], going[keep]
            cache.keep(keep)
        logits = model(token[:, None], cache, visible[:, None, None, : P + t + 1])[:, -1]
    ended = said == EOS
    lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, limit)
    columns = said.tolist(), sure.tolist(), lengths.tolist(), read, (spread / lengths).tolist(), prompts
    return [(s[:n], p[:n], q[P - len(prompt) :], e) for s, p, n, q, e, prompt in zip(*columns)]

def generate(model: GPT, codec: Codec, prompts: Sequence[str], limit: int, batch: int = 128, temperature: float = 0.0,
             generator: torch.Generator | None = None) -> list[Completion]:
    """A completion for each prompt, in order; `temperature` 0 is greedy.  Prompts of like length are decoded together."""
    model.eval()
    ids = codec.encode(prompts)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    rows = [row for part in cut([ids[i] for i in order], batch) for row in decode_batch(model, part, limit, temperature, generator)]
    done = [row for _, row in sorted(zip(order, rows))]
    texts = codec.decode([row[0] for row in done])
    return [Completion(text, tokens, sure, tokens[-1] == EOS, *rest) for text, (tokens, sure, *rest) in zip(texts, done)]
