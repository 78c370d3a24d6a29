"""Adapters on any linear layer."""

import pytest
import torch
from torch import nn

from minisi.model import lora

from ..passes import packed, random_texts


def sequence(device):
    """Linear layers with and without a bias, one of them deeper inside."""
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(10, 10, bias=False), nn.LayerNorm(10))
    return nn.Sequential(nn.Linear(6, 10), nn.GELU(), inner, nn.Linear(10, 3)).to(device)


@pytest.fixture(params=["sequence", "gpt"])
def subject(request, device, tiny):
    """(module to adapt, function of it): one knows nothing of GPT."""
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).to(device)
    if request.param == "sequence":
        module = sequence(device)
        return module, lambda: module(x)
    model = tiny()
    texts = random_texts(model, [6, 1, 11])
    return model.blocks, lambda: torch.cat(packed(model, texts))


def adapted(module, r=4, alpha=8.0):
    """The new parameters, of adapters that have something to say."""
    parameters = lora.add(module, r, alpha, torch.Generator().manual_seed(2))
    for layer in lora.layers(module).values():
        nn.init.normal_(layer.lora_B, std=0.3)
    return parameters


def linear_names(module):
    return [name for name, part in module.named_modules() if isinstance(part, nn.Linear)]


def test_an_adapter_starts_as_the_identity(subject):
    module, run = subject
    before = run()
    linears = linear_names(module)
    parameters = lora.add(module, 4, 8.0, torch.Generator())
    assert torch.equal(run(), before)
    assert list(lora.layers(module)) == linears
    assert len(linears) > 2
    assert len(parameters) == 2 * len(linears)


def test_the_update_is_alpha_over_r_times_B_A_x(device):
    module = nn.Sequential(nn.Linear(6, 10)).to(device)
    x = torch.randn(4, 6, device=device)
    base = module(x)
    A, B = adapted(module, r=3, alpha=12.0)
    assert A.shape == (3, 6)
    assert B.shape == (10, 3)
    torch.testing.assert_close(module(x), base + 12 / 3 * x @ A.T @ B.T)


def test_only_A_and_B_get_gradients(subject):
    module, run = subject
    linears = linear_names(module)
    names = {f"{name}.{part}" for name in linears for part in ("lora_A", "lora_B")}
    parameters = adapted(module)
    run().square().sum().backward()

    with_gradients = {name for name, p in module.named_parameters() if p.grad is not None}
    trainable = {name for name, p in module.named_parameters() if p.requires_grad}
    assert with_gradients == names
    assert trainable == names
    assert all(p.grad.abs().max() > 0 for p in parameters)

    saved = lora.state(module)
    assert set(saved) == names
    assert not any(weight.requires_grad for weight in saved.values())


def test_merged_equals_unmerged_and_merging_twice_is_once(subject):
    module, run = subject
    base = run()
    adapted(module)
    lora.scale(module, 0.5)
    unmerged = run()
    assert (unmerged - base).abs().max() > 0.01

    lora.merge(module)
    once = run()
    torch.testing.assert_close(once, unmerged, atol=1e-4, rtol=1e-3)

    lora.merge(module)
    assert torch.equal(run(), once)

    lora.remove(module)
    assert torch.equal(run(), once)
    assert not lora.layers(module)


def test_scale_0_is_the_base_and_1_is_as_trained(subject):
    module, run = subject
    base = run()
    adapted(module)
    full = run()
    lora.scale(module, 0)
    assert torch.equal(run(), base)
    lora.scale(module, 1)
    assert torch.equal(run(), full)


def test_removing_without_a_merge_restores_every_bit(subject):
    module, run = subject
    before = {name: p.clone() for name, p in module.state_dict().items()}
    adapted(module)
    run()
    lora.remove(module)

    after = module.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(p.requires_grad for p in module.parameters())


def test_a_generator_of_the_cpu_gives_the_same_adapter_on_any_device(device):
    def first_weight(place):
        generator = torch.Generator().manual_seed(3)
        return lora.add(sequence(place), 4, 8.0, generator)[0]

    assert torch.equal(first_weight(device).cpu(), first_weight("cpu"))


def test_a_second_call_puts_no_adapter_on_an_adapter(subject):
    module, _ = subject
    linears = linear_names(module)
    adapted(module)
    lora.add(module, 4, 8.0, torch.Generator())
    assert list(lora.layers(module)) == linears


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_merging_changes_no_bit_in_any_precision(dtype, device):
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4, bias=False))
    model.to(device, dtype)
    for weight in lora.add(model, 3, 6.0):
        nn.init.normal_(weight)
    lora.scale(model, 0.5)
    x = torch.randn(5, 12, device=device, dtype=dtype)
    before = model(x)
    lora.merge(model)
    assert torch.equal(model(x), before)
    assert before.dtype == dtype


def test_a_layer_that_is_read_and_not_called_is_adapted_too():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(3, 5, 8)
    with torch.no_grad():  # then torch takes the weights and calls no layer
        base = layer(x)
        for weight in lora.add(layer, 2, 4.0):
            nn.init.normal_(weight)
        learned = layer(x)
        lora.merge(layer)
        assert not torch.allclose(learned, base, atol=1e-3)
        torch.testing.assert_close(layer(x), learned)


class Doubled(nn.Linear):
    """Computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_what_computes_something_else_is_left_alone():
    model = nn.Sequential(Doubled(4, 4), nn.Linear(4, 4))
    x = torch.randn(2, 4)
    base = model(x)
    assert len(lora.add(model, 2, 2.0)) == 2
    assert torch.equal(model(x), base)
    assert list(lora.layers(model)) == ["1"]


def test_weights_that_are_shared_are_refused_but_not_other_layers():
    shared = nn.Linear(4, 4)
    tied = nn.ModuleDict({"embed": nn.Embedding(7, 4), "head": nn.Linear(4, 7, bias=False)})
    tied["head"].weight = tied["embed"].weight
    for model in (nn.Sequential(shared, nn.ReLU(), shared), tied):
        with pytest.raises(ValueError, match="shares its weight"):
            lora.add(model, 2, 2.0)
        assert not lora.layers(model)
    norm = nn.LayerNorm(4)
    assert len(lora.add(nn.Sequential(nn.Linear(4, 4), norm, nn.Linear(4, 4), norm), 2, 2.0)) == 4
