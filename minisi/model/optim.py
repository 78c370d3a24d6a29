"""The optimisers: Muon for the matrices inside the blocks, AdamW for all else, one schedule."""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

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


class Optimizer:
    """Parameters, the peak of their learning rate, and a state: tensors by name.

    Those of torch.optim load a compiler, which costs each program 0.7 s and 70 MiB.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        self.params = list(params)
        self.lr = lr
        self.state = {}

    def kept(self, name: str, like: Tensor) -> Tensor:
        """A tensor of the state, zeros at first."""
        if name not in self.state:
            self.state[name] = torch.zeros_like(like)
        return self.state[name]

    def step(self, rate: float = 1.0) -> None:
        """One step, at this share of the peak rate."""
        raise NotImplementedError

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a `state` that was saved."""
        device = self.params[0].device
        self.state = {name: tensor.to(device) for name, tensor in state.items()}


class AdamW(Optimizer):
    """Loshchilov & Hutter 2019, with the moments that small batches want, without decay.

    Every parameter needs a gradient.
    """

    @torch.no_grad()
    def step(self, rate: float = 1.0) -> None:
        """One step, by torch's kernel, which takes all parameters at once."""
        moments = [
            [self.kept(f"{name} {i}", p) for i, p in enumerate(self.params)]
            for name in ("mean", "square")
        ]
        steps = self.kept("steps", self.params[0].new_zeros((), dtype=torch.float32))
        steps += 1
        torch._fused_adamw_(
            self.params,
            [p.grad for p in self.params],
            *moments,
            [],
            [steps] * len(self.params),
            lr=rate * self.lr,
            beta1=0.9,
            beta2=0.95,
            weight_decay=0.0,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised, in fp32, matrices of one shape as one stack.

    A matrix three times as tall as wide is taken for queries, keys and values, each by itself.

    The factor 0.2 sqrt(max(m, n)) makes a step as large as one of AdamW (Liu et al. 2025,
    section 2.2), so that one rate serves both.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, ns_steps: int = 3
    ) -> None:
        super().__init__(params, lr)
        self.momentum = momentum
        self.work = partial(orthogonalise, steps=ns_steps)

    @torch.no_grad()
    def step(self, rate: float = 1.0) -> None:
        """One step for every parameter that has a gradient."""
        shapes = {}
        for p in self.params:
            if p.grad is not None:
                shapes.setdefault(p.shape, []).append(p)
        for (m, n), params in shapes.items():
            grads = torch.stack([p.grad for p in params])  # (N, m, n)
            momentum = self.kept(f"{m} x {n}", grads)
            momentum.lerp_(grads, 1 - self.momentum)
            nesterov = grads.lerp_(momentum, self.momentum)
            tall = n if m == 3 * n else m
            update = ranks.divided(self.work, nesterov.view(-1, tall, n))
            size = rate * self.lr * 0.2 * max(tall, n) ** 0.5
            torch._foreach_add_(params, update.view_as(grads).unbind(), alpha=-size)


def build(model: nn.Module, blocks: nn.Module, lr: float) -> list[Optimizer]:
    """Muon for the matrices of `blocks`, AdamW for the rest of the model."""
    inside = set(blocks.parameters())
    rest = [p for p in model.parameters() if p not in inside]
    return [Muon(blocks.parameters(), lr), AdamW(rest, lr)]


def schedule(step: int, steps: int) -> float:
    """Share of the peak rate at a step.

    Linear warm-up in 20 steps, a plateau, linear decay to zero over the last 0.4 of the steps.
    """
    return min(1.0, (step + 1) / 20, (steps - step) / (0.4 * steps))
