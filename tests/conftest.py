"""Tiny models for all tests, on the GPU where there is one."""

import os
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tiny models, two threads wait for each other

import pytest
import torch

from minisi.model.gpt import GPT
from minisi.model.optim import build, schedule
from minisi.model.tokenizer import Codec
from minisi.model.trainer import encode, fit
from minisi.run.config import Config
from minisi.run.runtime import chunks, dice
from minisi.tasks.families import vocabulary_words
from minisi.tasks.problems import draw


class Quiet:
    """Takes the place of a progress bar, and shows nothing."""

    def advance(self, worth, **figures):
        pass


@pytest.fixture(scope="session")
def device():
    return "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="session")
def codec():
    return Codec(vocabulary_words())


def make_model(device, codec, n_layer=2, n_embd=32, n_head=2, n_hidden=40, seed=0, busy=True):
    """A tiny GPT; a busy one has random output projections too, so that every weight has a say."""
    config = Config(n_layer=n_layer, n_embd=n_embd, n_head=n_head, n_hidden=n_hidden, seed=seed)
    model = GPT(config, len(codec.vocabulary))
    generator = torch.Generator().manual_seed(seed + 1)
    for name, weight in model.named_parameters():
        if busy and name.endswith("_out.weight"):
            torch.nn.init.normal_(weight, std=0.3, generator=generator)
    return model.to(device)


@pytest.fixture
def tiny(device, codec):
    return partial(make_model, device, codec)


@pytest.fixture(scope="session")
def trained(device, codec):
    """A tiny model that has seen enough to write steps, a bar, an answer and an end."""
    rng = dice(0, "fixture")
    families = ("add", "sub", "logic", "chain")
    problems = [draw(rng, "train", f, 1 + i % 2) for i in range(100) for f in families]
    batches = chunks(encode(codec, [(p.prompt, p.target) for p in problems]), 8)
    model = make_model(device, codec, busy=False)
    steps = len(batches)
    rates = [schedule(step, steps) for step in range(steps)]
    for _ in fit(model, build(model, model.blocks, 1e-2), batches, rates, [0.0] * steps):
        pass
    return model.eval().requires_grad_(False)


def pytest_collection_modifyitems(config, items):
    """Leave the slow part out, unless -m says what is wanted."""
    if not config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("faults")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
