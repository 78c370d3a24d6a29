"""Batched decoding, greedy or sampled, with a KV cache; probabilities come from the same pass."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ..run import ranks
from ..run.runtime import chunks, give_back, torchs_products
from .gpt import GPT, ROWS, at_a_time, even, in_line, send
from .tokenizer import EOS, Codec, Ids

WRITE_PLACES = 2**16  # for tokens of completions, if more than ROWS are written together on a CPU
READ = 3 * ROWS  # texts that are read together on a CPU, at most,
READ_PLACES = 2**14  # and places for their tokens, if all were as long as the longest
ROOM = 32  # tokens by which a cache grows
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


class Cache:
    """Attention of the newest token of each text to all before: their keys and values are kept.

    Prompts lie side by side from the left.  What comes after them goes to the same place in all
    rows, and a mask hides the gap between.
    """

    def __init__(self, model: GPT, prompts: Ids, limit: int) -> None:
        device = model.head.weight.device
        lengths = [len(prompt) for prompt in prompts]
        self.tokens, self.texts = in_line(prompts, device)  # (N,) with what fills up the line
        self.ends = send(lengths, device)  # (B,) where the next tokens stand
        self.length = max(lengths)  # places that are taken
        rows = torch.arange(len(lengths), device=device).repeat_interleave(self.ends)
        positions = self.texts.positions[: len(rows)]
        self.places = rows * self.length + positions  # of the prompts' tokens in B T
        visible = torch.arange(self.length, device=device) < self.ends[:, None]
        self.visible = F.pad(visible, (0, limit), value=True)[:, None, None]  # (B, 1, 1, room)
        self.kept = [None] * len(model.blocks)  # (2, B, H, room, D) of each layer

    def read(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention within the prompts (N, H, D)."""
        shape = torch.Size((len(self.ends), self.length))
        own = len(self.places)
        laid = [self.texts.lay(x[:own], shape, self.places) for x in (k, v)]
        self.kept[layer] = F.pad(torch.stack(laid), (0, 0, 0, ROOM))
        return self.texts(layer, q, k, v)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of one more token of each text (B, H, D)."""
        end = self.length + 1
        if end > self.kept[layer].size(3):
            self.kept[layer] = F.pad(self.kept[layer], (0, 0, 0, ROOM))
        kept = self.kept[layer][..., :end, :]
        kept[..., -1, :] = torch.stack((k, v))
        mask = self.visible[..., :end]
        with torchs_products():
            y = F.scaled_dot_product_attention(q[:, :, None], *kept, attn_mask=mask)
        return y.squeeze(2)

    def advance(self) -> None:
        """Each text has a token more."""
        self.length += 1
        self.ends += 1

    def keep(self, rows: Tensor) -> None:
        """Drop every text but these."""
        self.ends = self.ends[rows]
        self.visible = self.visible[rows]
        for layer, kept in enumerate(self.kept):  # one by one: it is most of the memory
            self.kept[layer] = kept[:, rows]


@torch.inference_mode()
def decode(
    model: GPT, prompts: Ids, limit: int, temperature: float, generator: Generator | None
) -> tuple[Tensor, ...]:
    """What a batch says: tokens and probabilities (B, limit), filled up with EOS where it ended.

    Beside them lengths (B,), mean entropies (B,), and for each token of the prompts, one prompt
    behind the other, the probability of the token that follows it.
    """
    device = model.head.weight.device
    cache = Cache(model, prompts, limit)
    logits = model(cache.tokens, cache.texts.positions, cache.read)  # (N, V)
    known = logits[:-1].softmax(-1).gather(1, cache.tokens[1:, None]).squeeze(1)
    logits = logits[cache.ends.cumsum(0) - 1]  # (B, V)

    rows = torch.arange(len(prompts), device=device)  # that are still in the batch
    going = torch.ones_like(rows, dtype=torch.bool)
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
        fewer = even(left)
        if fewer < SHRINK * len(rows):
            keep = going.sort(descending=True, stable=True).indices[:fewer]
            rows, token, going = (x[keep] for x in (rows, token, going))
            cache.keep(keep)
        logits = model(token, cache.ends, cache)
        cache.advance()
    lengths = ((said != EOS).sum(1) + 1).clamp(max=limit)
    return said, sure, lengths, spread / lengths, known


def batches(order: list[Any], at_once: int, device: torch.device) -> Iterator[Sequence[Any]]:
    """This rank's share, so many at once on a CPU, of what is ordered from short to long.

    The longest come first: memory that they free has room for all that follow.
    """
    for part in reversed(chunks(ranks.mine(order), at_a_time(at_once, device))):
        yield part
        give_back()


def generate(
    model: GPT,
    codec: Codec,
    prompts: list[str],
    limit: int,
    batch: int = 256,
    temperature: float = 0.0,
    generator: Generator | None = None,
) -> list[Completion]:
    """A completion for each prompt, in order; `temperature` 0 is greedy.

    Prompts of like length are decoded together, `batch` at once on a CPU, or fewer where the limit
    is high, for all may get that long.
    """
    model.eval()
    if generator and ranks.are_joined():  # each rank draws for itself
        generator.manual_seed(generator.initial_seed() + ranks.RANK)
    order = sorted(enumerate(codec.encode(prompts)), key=lambda item: len(item[1]))
    found = {}
    device = model.head.weight.device
    at_once = min(batch, max(ROWS, WRITE_PLACES // limit))
    for part in batches(order, at_once, device):
        batched = [ids for _, ids in part]
        *columns, known = decode(model, batched, limit, temperature, generator)
        rows = zip(part, *(column.tolist() for column in columns), strict=True)
        known = iter(known.tolist())
        for (i, ids), tokens, sure, n, entropy in rows:
            tokens = tokens[:n]
            (text,) = codec.decode([tokens])
            *prompted, _ = islice(known, len(ids))  # the last is of what follows the prompt
            finished = tokens[-1] == EOS
            found[i] = Completion(text, tokens, sure[:n], finished, prompted, entropy)
    found = ranks.gathered(found)
    return [found[i] for i in sorted(found)]


def confirm(
    model: GPT, codec: Codec, prompts: list[str], drafts: list[str], limit: int
) -> list[Completion | None]:
    """The completions of prompts that `generate` would write as their drafts say; None elsewhere.

    A text is read in one pass, and written in one for each token (Leviathan et al. 2023, 2.3).
    """
    model.eval()
    before = codec.encode(prompts)
    after = [[*draft, EOS] for draft in codec.encode(drafts)]
    texts = [prompt + draft for prompt, draft in zip(before, after, strict=True)]
    drafted = [i for i, draft in enumerate(drafts) if draft and len(after[i]) <= limit]
    order = sorted(drafted, key=lambda i: len(texts[i]))
    found = {}
    device = model.head.weight.device
    longest = len(texts[order[-1]]) if order else 1
    at_once = max(1, min(READ, READ_PLACES // longest))
    for part in batches(order, at_once, device):
        sure, spread, likeliest = read(model, [texts[i] for i in part])
        end = 0  # of the texts so far
        for i in part:
            prompted = slice(end, end + len(before[i]) - 1)
            end += len(texts[i])
            written = slice(prompted.stop, end - 1)
            if all(likeliest[written]):
                entropy = sum(spread[written]) / len(after[i])
                likely = sure[written]
                known = sure[prompted]
                found[i] = Completion(drafts[i], after[i], likely, True, known, entropy)
    found = ranks.gathered(found)
    return [found.get(i) for i in range(len(texts))]


@torch.inference_mode()
def read(model: GPT, texts: Ids) -> tuple[list[float], list[float], list[bool]]:
    """What the model thinks of texts that lie in one line, of each token but the first.

    Its probability, the entropy of what could have stood there, and whether it is the likeliest.
    """
    device = model.head.weight.device
    tokens, attend = in_line(texts, device)
    logits = model(tokens, attend.positions, attend)[:-1]
    probabilities = logits.softmax(-1)
    sure = probabilities.gather(1, tokens[1:, None]).squeeze(1)
    spread = torch.special.entr(probabilities).sum(-1)
    likeliest = probabilities.argmax(-1) == tokens[1:]
    return sure.tolist(), spread.tolist(), likeliest.tolist()
