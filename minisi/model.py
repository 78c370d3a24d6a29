"""The model: a decoder-only transformer without biases, in the shape of OLMo-1 (Groeneveld et al. 2024, section 2).

Parameter-free LayerNorm, rotary positions in the half-split form (Su et al. 2021), SwiGLU (Shazeer 2020), untied head.
Shapes: B batch, T time, S time seen so far (the cache and T), C width, H heads, D = C / H head width, F hidden width, V vocabulary."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

class Cache:
    """Keys and values of the tokens seen so far, each (layers, B, H, room, D), of whose room `length` is filled."""
    def __init__(self, model: "GPT", batch: int) -> None:
        self.length, heads, width = 0, model.n_head, model.head.in_features // model.n_head
        self.k, self.v = (torch.empty(len(model.blocks), batch, heads, 0, width, device=model.head.weight.device) for _ in range(2))
    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, H, T, D) keys and values of a layer; returns that layer's (B, H, S, D), the new ones included."""
        end = self.length + k.size(2)
        if end > self.k.size(3):  # copy to more room
            self.k, self.v = (F.pad(x[:, :, :, : self.length], (0, 0, 0, end + 32 - self.length)) for x in (self.k, self.v))
        self.k[layer, :, :, self.length : end], self.v[layer, :, :, self.length : end] = k, v
        return self.k[layer, :, :, :end], self.v[layer, :, :, :end]
    def keep(self, rows: Tensor) -> None:
        """Drop every row of the batch but these."""
        self.k, self.v = self.k[:, rows, :, : self.length], self.v[:, rows, :, : self.length]

class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); both output projections start at zero, so a new block is the identity."""
    def __init__(self, n_embd: int, n_head: int, n_hidden: int) -> None:
        super().__init__()
        self.n_head = n_head
        self.qkv, self.attn_out = nn.Linear(n_embd, 3 * n_embd, bias=False), nn.Linear(n_embd, n_embd, bias=False)
        self.gate_up, self.mlp_out = nn.Linear(n_embd, 2 * n_hidden, bias=False), nn.Linear(n_hidden, n_embd, bias=False)
    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """(B, T, C) -> (B, T, C)"""
        B, T, C = x.shape
        qkv = self.qkv(F.layer_norm(x, (C,), eps=1e-5)).view(B, T, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)  # (3, B, H, T, D)
        a, b = qkv[:2].chunk(2, -1)  # RoPE by angles (T, D): the pairs are (i, i + D/2)
        (q, k), v = qkv[:2] * cos + torch.cat((-b, a), -1) * sin, qkv[2]
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, H, S, D)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)  # (B, H, T, D)
        x = x + self.attn_out(y.transpose(1, 2).reshape(B, T, C))
        gate, up = self.gate_up(F.layer_norm(x, (C,), eps=1e-5)).chunk(2, -1)  # (B, T, F)
        return x + self.mlp_out(F.silu(gate) * up)

class GPT(nn.Module):
    """Token ids to logits.  Initial weights: normal, of deviation 0.1 for the embedding and 1 / sqrt(inputs) elsewhere, from `generator`."""
    def __init__(self, vocabulary: int, n_layer: int, n_embd: int, n_head: int, n_hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.n_head, self.embed = n_head, nn.Embedding(vocabulary, n_embd)
        self.blocks = nn.ModuleList(Block(n_embd, n_head, n_hidden) for _ in range(n_layer))
        self.head = nn.Linear(n_embd, vocabulary, bias=False)
        for name, weight in self.named_parameters():
            nn.init.normal_(weight, 0.0, 0.0 if name.endswith("_out.weight") else 0.1 if name == "embed.weight" else weight.size(1) ** -0.5, generator)
    def forward(self, tokens: Tensor, cache: Cache | None = None, mask: Tensor | None = None) -> Tensor:
        """(B, T) ids, going on from what the cache holds -> (B, T, V) logits.  `mask` (B, 1, T, S) is true where attention is allowed; without it, causal."""
        start = cache.length if cache else 0
        end, D = start + tokens.size(1), self.head.in_features // self.n_head
        if mask is None and start:
            mask = torch.ones(end - start, end, dtype=torch.bool, device=tokens.device).tril(start)
        rates = 10_000.0 ** -(torch.arange(0, D, 2, device=tokens.device) / D)  # (D/2,)
        angles = torch.outer(torch.arange(start, end, device=tokens.device), rates).repeat(1, 2)  # (T, D)
        x, cos, sin = self.embed(tokens), angles.cos(), angles.sin()
        for layer, block in enumerate(self.blocks):
            x = block(x, cos, sin, mask, cache, layer)
        if cache:
            cache.length = end
        return self.head(F.layer_norm(x, x.shape[-1:], eps=1e-5))
