"""The optimisers: Muon for the matrices inside the blocks, AdamW for all else, one schedule."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from ..run import ranks


def orthogonalise(G: Tensor, steps: int) -> Tensor:
    """Newton-Schulz: push every singular value of a stack of matrices (N, m, n) towards 1.

    The coefficients are those of Jordan et al. 2024, "Muon".
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = G.size(1) > G.size(2)
    X = G.mT if tall else G  # the small side in front: its Gram matrix is the cheaper one
    X = X / X.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        A = X @ X.mT
        B = torch.baddbmm(A, A, A, beta=b, alpha=c)
        X = torch.baddbmm(X, B, X, beta=a)
    return X.mT if tall else X


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised, in fp32, matrices of one shape as one stack.

    A matrix three times as tall as wide is taken for queries, keys and values, each by itself.

    The factor 0.2 sqrt(max(m, n)) makes a step as large as one of AdamW (Liu et al. 2025,
    section 2.2), so that one rate serves both.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, ns_steps: int = 3
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "ns_steps": ns_steps})

    @torch.no_grad()
    def step(self) -> None:
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                if p.grad is not None:
                    shapes.setdefault(p.shape, []).append(p)
            for (m, n), params in shapes.items():
                grads = torch.stack([p.grad for p in params])  # (N, m, n)
                state = self.state[params[0]]  # of the whole stack
                momentum = state.setdefault("momentum", torch.zeros_like(grads))
                momentum.lerp_(grads, 1 - group["momentum"])
                nesterov = grads.lerp_(momentum, group["momentum"])
                tall = n if m == 3 * n else m
                work = partial(orthogonalise, steps=group["ns_steps"])
                update = ranks.divided(work, nesterov.view(-1, tall, n))
                size = group["lr"] * 0.2 * max(tall, n) ** 0.5
                torch._foreach_add_(params, update.view_as(grads).unbind(), alpha=-size)


def adamw(params: Iterable[Tensor], lr: float) -> Optimizer:
    """AdamW with the moments that small batches want, without decay."""
    return AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, fused=True)


def build(model: nn.Module, blocks: nn.Module, lr: float) -> list[Optimizer]:
    """Muon for the matrices of `blocks`, AdamW for the rest of the model."""
    inside = set(blocks.parameters())
    rest = [p for p in model.parameters() if p not in inside]
    return [Muon(blocks.parameters(), lr), adamw(rest, lr)]


def schedule(step: int, steps: int) -> float:
    """Share of the peak rate at a step.

    Linear warm-up in 20 steps, a plateau, linear decay to zero over the last 0.4 of the steps.
    """
    return min(1.0, (step + 1) / 20, (steps - step) / (0.4 * steps))
