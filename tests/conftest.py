"""Tiny models for all tests, on the GPU where there is one."""

from functools import partial

import pytest
import torch
from tqdm import tqdm

from minisi.families import FAMILIES
from minisi.model import GPT
from minisi.optim import build, schedule
from minisi.runtime import dice
from minisi.tasks import draw
from minisi.tokenizer import VOCABULARY, Codec
from minisi.trainer import cut, encode, fit


@pytest.fixture(scope="session")
def device():
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="session")
def codec():
    return Codec()


def make_model(device, n_layer=2, n_embd=32, n_head=2, n_hidden=40, seed=0, busy=True):
    """A tiny GPT; a busy one has random output projections too, so that every weight has a say."""
    model = GPT(len(VOCABULARY), n_layer, n_embd, n_head, n_hidden, torch.Generator().manual_seed(seed))
    if busy:
        for name, weight in model.named_parameters():
            if name.endswith("_out.weight"):
                torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(seed + 1))
    return model.to(device)


@pytest.fixture
def tiny(device):
    return partial(make_model, device)


@pytest.fixture(scope="session")
def trained(device, codec):
    """A tiny model that has seen enough to write steps, a bar, an answer and an end, right or wrong."""
    rng = dice(0, "fixture")
    problems = [draw(rng, "train", family, 1 + i % 2) for i in range(100) for family in FAMILIES if family in ("add", "sub", "logic", "chain")]
    batches = cut(encode(codec, [(p.prompt, p.target) for p in problems]), 8)
    model = make_model(device, busy=False)
    fit(model, build(model, model.blocks, 1e-2), batches, partial(schedule, steps=len(batches)), tqdm(disable=True))
    return model.eval().requires_grad_(False)


def pytest_configure(config):
    config.addinivalue_line("markers", "faults: the slow part of test_faults.py, which runs with -m faults")


def pytest_collection_modifyitems(config, items):
    """Leave the slow part out, unless -m says what is wanted."""
    if not config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("faults")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
