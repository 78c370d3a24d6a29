"""Batched decoding, greedy or sampled, with a KV cache; probabilities come from the same pass.

Rows are left-padded to one length, so all write to the same place of the cache; a mask hides the
padding, and positions are relative.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..run.runtime import chunks
from .gpt import GPT, Cache
from .tokenizer import EOS, Codec, Ids

SHRINK = 0.7  # share of rows still going at which a batch shrinks: a copy costs about a step


class Completion(NamedTuple):
    """What the model wrote after a prompt; the end of text is among tokens and probabilities."""

    text: str
    tokens: list[int]
    probabilities: list[float]  # of the tokens, at temperature 1, whatever the sampling
    finished: bool  # false where the model ran out of room before the end of text
    prompt_probabilities: list[float]  # of the prompt's tokens but the first: small where it is new
    entropy: float = 0.0  # in nats, the mean over the tokens, of what could have stood there

    @property
    def whole(self) -> str:
        """The text; empty where it did not come to an end."""
        return self.text if self.finished else ""


def choose(
    probabilities: Tensor, logits: Tensor, temperature: float, generator: Generator | None
) -> Tensor:
    """The next token of each row (B,): the likeliest, or sampled."""
    if temperature == 0:
        return probabilities.argmax(-1)
    # The exponential race: argmax p/e samples from p.
    noise = torch.empty_like(logits).exponential_(generator=generator)
    return ((logits / temperature).softmax(-1) / noise).argmax(-1)


def take_in(model: GPT, prompts: Ids, limit: int) -> tuple[Cache, Tensor, Tensor, Tensor]:
    """Read a batch of prompts, to go on from.

    Returns a cache that holds them, where it will hold no padding (B, 1, 1, P + limit), what comes
    next as logits (B, V), and the probabilities of the prompts' own tokens (B, P - 1).
    """
    device = model.head.weight.device
    P = max(map(len, prompts))
    tokens = torch.tensor([[EOS] * (P - len(p)) + p for p in prompts], device=device)  # (B, P)
    visible = F.pad(tokens != EOS, (0, limit), value=True)[:, None, None]
    places = torch.arange(P, device=device)
    past = places <= places[:, None]
    itself = places == places[:, None]
    cache = Cache(model, len(prompts))
    # Padding sees itself: a softmax over nothing is not a number.
    logits = model(tokens, cache, (visible[..., :P] & past) | itself)  # (B, P, V)
    known = logits[:, :-1].softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
    return cache, visible, logits[:, -1], known


@torch.inference_mode()
def decode(
    model: GPT, prompts: Ids, limit: int, temperature: float, generator: Generator | None
) -> tuple[Tensor, ...]:
    """What a batch says: tokens and probabilities (B, limit), filled up with EOS where it ended.

    Beside them lengths (B,), mean entropies (B,), and the prompts' probabilities (B, P - 1).
    """
    cache, visible, logits, known = take_in(model, prompts, limit)
    rows = torch.arange(len(prompts), device=logits.device)  # that are still in the batch
    going = rows >= 0
    said = rows.new_full((len(rows), limit), EOS)
    sure = logits.new_zeros(said.shape)
    spread = logits.new_zeros(len(rows))
    for t in range(limit):
        probabilities = logits.softmax(-1)  # (B, V)
        token = choose(probabilities, logits, temperature, generator).where(going, EOS)
        said[rows, t] = token
        sure[rows, t] = probabilities.gather(1, token[:, None]).squeeze(1)
        spread[rows] += torch.special.entr(probabilities).sum(-1) * going
        going = token != EOS
        left = int(going.sum())
        if left == 0 or t + 1 == limit:
            break
        if left < SHRINK * len(rows):
            keep = going.nonzero().squeeze(1)
            rows, token, visible, going = (x[keep] for x in (rows, token, visible, going))
            cache.keep(keep)
        logits = model(token[:, None], cache, visible[..., : cache.length + 1])[:, -1]
    lengths = ((said != EOS).sum(1) + 1).clamp(max=limit)
    return said, sure, lengths, spread / lengths, known


def generate(
    model: GPT,
    codec: Codec,
    prompts: list[str],
    limit: int,
    batch: int = 128,
    temperature: float = 0.0,
    generator: Generator | None = None,
) -> list[Completion]:
    """A completion for each prompt, in order; `temperature` 0 is greedy.

    Prompts of like length are decoded together.
    """
    model.eval()
    order = sorted(enumerate(codec.encode(prompts)), key=lambda item: len(item[1]))
    found = {}
    for part in chunks(order, batch):
        columns = decode(model, [ids for _, ids in part], limit, temperature, generator)
        rows = zip(part, *(column.tolist() for column in columns), strict=True)
        for (i, ids), tokens, sure, n, entropy, known in rows:
            tokens = tokens[:n]
            (text,) = codec.decode([tokens])
            prompted = known[len(known) + 1 - len(ids) :]
            finished = tokens[-1] == EOS
            found[i] = Completion(text, tokens, sure[:n], finished, prompted, entropy)
    return [found[i] for i in sorted(found)]
