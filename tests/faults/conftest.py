"""The runs that are harmed, and undisturbed ones to compare them with."""

import pytest

from minisi.lab.testset import make_set

from .process import SMOKE, TINY, Reference, Runs


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
def smoke(tmp_path_factory):
    """Runs of the smoke preset, with the whole test set."""
    path = tmp_path_factory.mktemp("smoke") / "test.jsonl"
    path.write_text("\n".join(make_set("test")))
    return Runs(SMOKE, path)
