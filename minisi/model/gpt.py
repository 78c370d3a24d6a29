"""The model: a decoder-only transformer without biases, as OLMo-1 (Groeneveld et al. 2024, 2).

Parameter-free LayerNorm, rotary positions in the half-split form (Su et al. 2021), SwiGLU
(Shazeer 2020), untied head.  The tokens of all texts lie in one line, and only attention knows
which belong together; so little is computed for padding.  Shapes: N tokens, B texts,
T time (the longest text), C width, H heads, D = C / H head width, F hidden width, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..run.config import Config
from ..run.runtime import chunks, torch_dice
from .tokenizer import EOS, Ids

THETA = 10_000.0  # of the rotary positions
ROWS = 22  # texts of like length that are attended to together on a CPU, at most,
SCORES = 2**20  # and scores of a head, if all were as long as the longest
MORE = 8  # times as many texts go at once on a GPU, which otherwise waits for its next kernel
LINE = 256  # what counts of tokens in a line are filled up to a multiple of, at least
EVEN = 16  # and counts of rows and of places
linear = partial(nn.Linear, bias=False)
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # layer; q, k, v (N, H, D) -> (N, H, D)


def norm(x: Tensor) -> Tensor:
    """LayerNorm without parameters."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


def even(count: int, least: int = EVEN) -> int:
    """A count filled up to a multiple of `least`, or of an eighth to a sixteenth of itself.

    So few sizes come back often, and a new one costs time and memory.
    """
    step = max(least, 2 ** (count.bit_length() - 4))
    return step * ceil(count / step)


def at_a_time(count: int, device: torch.device) -> int:
    """How many texts go at once where a CPU takes `count`."""
    return count if torch.device(device).type == "cpu" else MORE * count


def send(values: list[Any] | Tensor, device: torch.device) -> Tensor:
    """A tensor of these on the device, without waiting for what the device is doing."""
    return torch.as_tensor(values).to(device, non_blocking=True)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k' / sqrt(D) + mask) v of each head, all (B, H, T, D); a mask of -inf hides."""
    scores = q * q.size(-1) ** -0.5 @ k.mT
    return scores.add_(mask).softmax(-1) @ v


class Texts:
    """Causal attention within each of several texts, which lie one behind the other.

    Those of like length should be neighbours: they are laid side by side, filled up.  Tokens that
    fill up the line behind them attend to nothing.
    """

    def __init__(
        self, lengths: list[int], device: torch.device, rows: int = ROWS, filler: int = 0
    ) -> None:
        self.groups = []  # of each: how many tokens, (B, T), and where in B T they are laid
        positions = []
        longest = even(max(lengths))
        together = max(1, min(rows, SCORES // longest**2))
        for group in chunks(lengths, at_a_time(together, device)):
            T = even(max(group))
            taken = torch.arange(T) < torch.tensor(group)[:, None]  # (B, T)
            positions.append(taken.nonzero()[:, 1])
            places = taken.flatten().nonzero().squeeze(1)
            self.groups.append((sum(group), taken.shape, send(places, device)))
        hidden = torch.full((longest, longest), -torch.inf, device=device)
        self.mask = hidden.triu(1)  # (T, T) hides what comes later
        self.filler = filler
        positions.append(torch.zeros(filler, dtype=torch.long))
        self.positions = send(torch.cat(positions), device)  # (N,) of each token in its text

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """(N, H, D) each -> (N, H, D)."""
        sizes = [tokens for tokens, _, _ in self.groups]
        q, k, v = (x[: sum(sizes)].split(sizes) for x in (q, k, v))
        found = []
        parts = zip(q, k, v, self.groups, strict=True)
        for *qkv, (_, shape, places) in parts:
            laid = [self.lay(x, shape, places) for x in qkv]
            T = shape[1]
            y = attention(*laid, self.mask[:T, :T])  # (B, H, T, D)
            found.append(y.transpose(1, 2).flatten(0, 1).index_select(0, places))
        found.append(found[0].new_zeros(self.filler, *found[0].shape[1:]))
        return torch.cat(found)

    def lay(self, x: Tensor, shape: torch.Size, places: Tensor) -> Tensor:
        """Tokens (n, H, D) of a group -> (B, H, T, D), zeros behind each text."""
        space = x.new_zeros(shape.numel(), *x.shape[1:])
        return space.index_copy(0, places, x).unflatten(0, shape).transpose(1, 2)


def in_line(texts: Ids, device: torch.device) -> tuple[Tensor, Texts]:
    """Texts one behind the other (N,), filled up with at least one EOS."""
    tokens = list(chain.from_iterable(texts))
    filler = even(len(tokens) + 1, LINE) - len(tokens)
    tokens += [EOS] * filler
    lengths = [len(text) for text in texts]
    return send(tokens, device), Texts(lengths, device, filler=filler)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        C = config.n_embd
        self.n_head = config.n_head
        self.qkv = linear(C, 3 * C)
        self.attn_out = linear(C, C)
        self.gate_up = linear(C, 2 * config.n_hidden)
        self.mlp_out = linear(config.n_hidden, C)

    def forward(self, x: Tensor, turns: Tensor, attend: Attend, layer: int) -> Tensor:
        """(N, C) -> (N, C); `turns` (2, N, 1, 1, D) are the cosines and sines of RoPE."""
        qkv = self.qkv(norm(x)).view(len(x), 3, self.n_head, -1)  # (N, 3, H, D)
        qk = qkv[:, :2]
        a, b = qk.chunk(2, -1)  # the pairs that turn are (i, i + D/2)
        cos, sin = turns.to(qkv.dtype)
        q, k = (qk * cos + torch.cat((-b, a), -1) * sin).unbind(1)
        y = attend(layer, q, k, qkv[:, 2])
        x = x + self.attn_out(y.flatten(1))
        gate, up = self.gate_up(norm(x)).chunk(2, -1)  # (N, F)
        return x + self.mlp_out(F.silu(gate) * up)


class GPT(nn.Module):
    """Token ids to logits.

    Weights start normal, of deviation 0.1 for the embedding and 1 / sqrt(inputs) elsewhere.  Both
    output projections of a block start at zero, so a new block is the identity.  Weights follow
    the seed, and not the device.
    """

    def __init__(self, config: Config, vocabulary: int) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.embed = nn.Embedding(vocabulary, config.n_embd)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.head = linear(config.n_embd, vocabulary)
        generator = torch_dice("cpu", config.seed, "weights")
        for name, weight in self.named_parameters():
            deviation = 0.1 if name == "embed.weight" else weight.size(1) ** -0.5
            if name.endswith("_out.weight"):
                deviation = 0.0
            nn.init.normal_(weight, 0.0, deviation, generator)

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """(N,) ids and their positions in their texts -> (N, V) logits."""
        D = self.head.in_features // self.n_head
        rates = THETA ** -(torch.arange(0, D, 2, device=tokens.device) / D)  # (D/2,)
        angles = torch.outer(positions, rates).repeat(1, 2)[:, None, None]  # (N, 1, 1, D)
        turns = torch.stack((angles.cos(), angles.sin()))
        x = self.embed(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, turns, attend, layer)
        return self.head(norm(x))
