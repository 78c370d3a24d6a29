"""Tiny models and runs for all tests, on the GPU where there is one."""

import json
import os
import sys
from functools import partial
from itertools import islice
from random import Random

os.environ.setdefault("OMP_NUM_THREADS", "1")  # on tiny models, two threads wait for each other

import pytest
import torch

import loop
from minisi.lab.testset import cells, make_set
from minisi.model import trainer
from minisi.model.gpt import GPT
from minisi.model.optim import build, schedule
from minisi.model.tokenizer import Codec
from minisi.model.trainer import encode, fit
from minisi.run.config import Config
from minisi.run.runtime import chunks, dice
from minisi.tasks.families import FAMILIES, vocabulary_words
from minisi.tasks.problems import draw

from .programs import SETS, TEST_QUESTIONS, TINY, Program, options, settings


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


def mix(monkeypatch, mixed):
    """Have training multiply in bfloat16, or not."""
    monkeypatch.setattr(trainer, "has_bfloat16", lambda device: mixed)


@pytest.fixture
def precise(monkeypatch):
    """Training multiplies in float32 alone."""
    mix(monkeypatch, False)


@pytest.fixture(scope="session")
def trained(device, codec):
    """A tiny model that has seen enough to write steps, a bar, an answer and an end."""
    rng = dice(0, "fixture")
    families = ("add", "sub", "logic", "chain")
    problems = [draw(rng, "train", f, 1 + i % 2) for i in range(200) for f in families]
    batches = chunks(encode(codec, [(p.prompt, p.target) for p in problems]), 8)
    model = make_model(device, codec, busy=False)
    steps = len(batches)
    rates = [schedule(step, steps) for step in range(steps)]
    for _ in fit(model, build(model, model.blocks, 1e-2), batches, rates, [0.0] * steps):
        pass
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def no_pictures():
    """Runs within this process draw none, which would take most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        yield


@pytest.fixture(scope="session")
def small_test_set(tmp_path_factory):
    rows = cells(Random("small"), range(1, 5), TEST_QUESTIONS // (4 * len(FAMILIES)))
    path = tmp_path_factory.mktemp("data") / "test.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="session")
def small_sets(tmp_path_factory):
    """The option for frozen sets of a few questions each."""
    folder = tmp_path_factory.mktemp("sets")
    paths = [folder / "typed.jsonl", folder / "gpt3.jsonl"]
    for path, count in zip(paths, SETS.values(), strict=True):
        path.write_text("\n".join(islice(make_set(path.stem), count)))
    return ["--sets", ",".join(map(str, paths))]


@pytest.fixture(scope="session")
def begun(tmp_path_factory, small_test_set, small_sets):
    """A run and a comparison: at once, which saves time."""
    run, arms = (tmp_path_factory.mktemp(name) for name in ("run", "arms"))
    places = ["--out", f"{arms}/loop", "--test", str(small_test_set), "--sets", ""]
    compared = ["--compare", "failure,random", "--seeds", "1,2"]
    programs = [
        Program(["loop.py", *options(run, small_test_set), *small_sets], run),
        Program(["loop.py", *TINY, *places, *compared], arms),
    ]
    yield programs
    for program in programs:
        program.end()


@pytest.fixture(scope="session")
def finished(begun):
    """A run that has come to its end."""
    return begun[0].end()


@pytest.fixture
def play(finished, tmp_path, small_test_set):
    """Plays a run within this process, in the test's own folder, on the finished base."""

    def play(**changed):
        given = {"base": f"{finished.folder}/base", **changed}
        return loop.loop(settings(tmp_path, small_test_set, **given))

    return play


@pytest.fixture(scope="session")
def compared(begun):
    """A comparison that has come to its end."""
    return begun[1].end()


def pytest_collection_modifyitems(config, items):
    """Leave the slow part out, unless -m says what is wanted."""
    if not config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("faults")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
