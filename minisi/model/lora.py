"""LoRA by hand (Hu et al. 2021, section 4.1): h = (W + (alpha / r) B A) x, with W frozen.

It works on each plain nn.Linear of any module; subclasses, which may compute something else, are
left alone.  The sum is made anew for each use: at a rank of half the width that is cheaper than to
send each token through A and B.
"""

from collections import Counter

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn


class LoRALinear(nn.Module):
    """A frozen nn.Linear with a trainable low-rank update beside it.

    r           rank of the update: its size is r (in + out)
    lora_alpha  the update counts alpha / r times, so that r can change without a new learning rate
    lora_A      (r, in), random
    lora_B      (out, r), zero: a new adapter changes nothing
    """

    def __init__(
        self, linear: nn.Linear, r: int, lora_alpha: float, generator: Generator | None
    ) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.scaling = lora_alpha / r
        self.factor = 1.0
        A = torch.empty(r, linear.in_features)
        nn.init.kaiming_uniform_(A, a=5**0.5, generator=generator)  # as PEFT and the paper's code
        self.lora_A = nn.Parameter(A.to(linear.weight))
        self.lora_B = nn.Parameter(linear.weight.new_zeros(linear.out_features, r))

    @property
    def weight(self) -> Tensor:
        """(out, in): W + (alpha / r) B A."""
        update = self.lora_B @ self.lora_A
        return torch.add(self.linear.weight, update, alpha=self.factor * self.scaling)

    @property
    def bias(self) -> Tensor | None:
        """(out,), or none: that of the layer."""
        return self.linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        return F.linear(x, self.weight, self.bias)


def layers(module: nn.Module) -> dict[str, LoRALinear]:
    """The adapted layers inside a module, by name."""
    return {name: m for name, m in module.named_modules() if isinstance(m, LoRALinear)}


def add(
    module: nn.Module, r: int, lora_alpha: float, generator: Generator | None = None
) -> list[nn.Parameter]:
    """Put an adapter on every plain nn.Linear inside `module`.

    Returns the new parameters, the only ones left to train there.  ValueError where a layer shares
    its weight, since what it learns would change the other.
    """
    uses = Counter(weight for _, weight in module.named_parameters(remove_duplicate=False))
    for name, child in module.named_modules():
        if type(child) is nn.Linear and uses[child.weight] > 1:
            raise ValueError(f"{name} shares its weight: give it one of its own first")
    module.requires_grad_(False)
    for parent in [m for m in module.modules() if not isinstance(m, LoRALinear)]:
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, LoRALinear(child, r, lora_alpha, generator))
    return [p for p in module.parameters() if p.requires_grad]


def scale(module: nn.Module, factor: float) -> None:
    """Let adapters count `factor` times: 1 as trained, 0 not at all."""
    for layer in layers(module).values():
        layer.factor = factor


@torch.no_grad()
def merge(module: nn.Module) -> None:
    """Add the update to the frozen weights and remove the adapters: the outputs stay the same."""
    for layer in layers(module).values():
        layer.linear.weight.copy_(layer.weight)
    remove(module)


def remove(module: nn.Module) -> None:
    """Put the plain layers back, as they were; they stay frozen."""
    for name, layer in layers(module).items():
        module.set_submodule(name, layer.linear)


def state(module: nn.Module) -> dict[str, Tensor]:
    """The adapter alone, `<layer>.lora_A` and `<layer>.lora_B`, for saving."""
    return {name: p.detach() for name, p in module.named_parameters() if ".lora_" in name}
