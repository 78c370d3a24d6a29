"""The model: a decoder-only transformer without biases, as OLMo-1 (Groeneveld et al. 2024, 2).

Parameter-free LayerNorm, rotary positions in the half-split form (Su et al. 2021), SwiGLU
(Shazeer 2020), untied head.  Shapes: B batch, T time, S time seen so far (the cache and T),
C width, H heads, D = C / H head width, F hidden width, V vocabulary.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..run.config import Config
from ..run.runtime import torch_dice

THETA = 10_000.0  # of the rotary positions
ROOM = 32  # tokens by which a cache grows
linear = partial(nn.Linear, bias=False)


def norm(x: Tensor) -> Tensor:
    """LayerNorm without parameters."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


class Cache:
    """Keys and values of the tokens so far: (2, layers, B, H, room, D), `length` of it filled."""

    def __init__(self, model: "GPT", batch: int) -> None:
        width = model.head.in_features // model.n_head
        shape = (2, len(model.blocks), batch, model.n_head, 0, width)
        self.kv = model.head.weight.new_empty(shape)
        self.length = 0

    def append(self, layer: int, kv: Tensor) -> Tensor:
        """Store (2, B, H, T, D) of a layer; returns its (2, B, H, S, D), new ones included."""
        end = self.length + kv.size(3)
        room = self.kv.size(4)
        if end > room:
            self.kv = F.pad(self.kv, (0, 0, 0, end + ROOM - room))
        self.kv[:, layer, :, :, self.length : end] = kv
        return self.kv[:, layer, :, :, :end]

    def keep(self, rows: Tensor) -> None:
        """Drop every row of the batch but these."""
        self.kv = self.kv[:, :, rows]


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

    def forward(
        self, x: Tensor, turns: Tensor, mask: Tensor | None, cache: Cache | None, layer: int
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); `turns` (2, T, D) are the cosines and sines of RoPE."""
        B, T, C = x.shape
        qkv = self.qkv(norm(x)).view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        qk = qkv[:2]  # (2, B, H, T, D)
        v = qkv[2]  # (B, H, T, D)
        a, b = qk.chunk(2, -1)  # the pairs that turn are (i, i + D/2)
        cos, sin = turns
        q, k = qk * cos + torch.cat((-b, a), -1) * sin
        if cache:
            k, v = cache.append(layer, torch.stack((k, v)))  # (B, H, S, D)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        x = x + self.attn_out(y.transpose(1, 2).reshape(B, T, C))
        gate, up = self.gate_up(norm(x)).chunk(2, -1)  # (B, T, F)
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

    def forward(
        self, tokens: Tensor, cache: Cache | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """(B, T) ids, going on from what the cache holds -> (B, T, V) logits.

        `mask` (B, 1, T, S) is true where attention is allowed; without it, attention is causal.
        """
        start = cache.length if cache else 0
        end = start + tokens.size(1)
        positions = torch.arange(start, end, device=tokens.device)
        if mask is None and start:
            mask = torch.arange(end, device=tokens.device) <= positions[:, None]
        D = self.head.in_features // self.n_head
        rates = THETA ** -(torch.arange(0, D, 2, device=tokens.device) / D)  # (D/2,)
        angles = torch.outer(positions, rates).repeat(1, 2)  # (T, D)
        turns = torch.stack((angles.cos(), angles.sin()))
        x = self.embed(tokens)
        for layer, block in enumerate(self.blocks):
            x = block(x, turns, mask, cache, layer)
        if cache:
            cache.length = end
        return self.head(norm(x))
