"""The runs that are harmed, and undisturbed ones to compare them with."""

import pytest

from .. import test_loop
from .process import ROOT, SMOKE, TINY, Reference, Runs

small_test_set = test_loop.small_test_set


@pytest.fixture(scope="module")
def runs(small_test_set):
    """Tiny runs, with a coin for an answer."""
    return Runs(TINY, small_test_set)


@pytest.fixture(scope="module")
def reference(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    runs.run(folder / "first")  # loads what torch loads late
    return Reference(runs, folder / "undisturbed")


@pytest.fixture
def copied(reference, tmp_path):
    """A folder with a copy of a finished run and its base."""
    return reference.copy(tmp_path)


@pytest.fixture(scope="session")
def smoke():
    """Runs of the smoke preset, with the whole test set."""
    return Runs(SMOKE, ROOT / "data" / "test.jsonl")
