"""Several processes as one run, as torchrun starts them, against one process."""

import json

import pytest

from minisi.lab import compare
from minisi.run import ranks
from minisi.run.checkpoint import read_state
from minisi.run.config import Config
from minisi.run.runtime import UserError

from ..programs import options, program, python, rows

TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SAME = ("levels", "asked", "wrong", "unsure", "unparsable", "corrections", "steps", "train_tokens")


@pytest.fixture(scope="module")
def shared(tmp_path_factory, small_test_set):
    """The folder of a run of two processes, and what they said."""
    folder = tmp_path_factory.mktemp("shared")
    return folder, python(*TWO, "loop.py", *options(folder, small_test_set))


def test_two_processes_are_one_run(shared, finished):
    folder, said = shared
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("base_accuracy") == 1
    assert said.stderr.count("pretraining, seed 1") == 1
    one, two = (
        [{name: row[name] for name in SAME} for row in rows(path / "loop")]
        for path in (finished.folder, folder)
    )
    assert one == two
    assert rows(folder / "loop", "lessons") == rows(finished.folder / "loop", "lessons")
    weights = [read_state(path / "base").tensors["model"] for path in (finished.folder, folder)]
    for name, weight in weights[0].items():  # each process rounds its share of the products
        assert (weights[1][name] - weight).norm() < 0.05 * weight.norm(), name


def test_one_process_goes_on_where_two_stopped(shared, small_test_set):
    given = [*options(shared[0], small_test_set), "--rounds", "3"]
    more = program("loop.py", *given)
    assert more.returncode == 0, more.stderr
    assert [row["round"] for row in rows(shared[0] / "loop")] == [0, 1, 2, 3]


def test_each_process_has_its_share_and_together_they_have_all():
    done = python(*TWO, "-m", "tests.run.ranks_alone")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[33, 32]]


def test_a_comparison_is_not_shared(monkeypatch):
    monkeypatch.setattr(compare, "WORLD", 2)
    with pytest.raises(UserError, match="--jobs"):
        compare.main({"compare": "random"}, pytest.fail)


@pytest.mark.parametrize(("needed", "found"), [(1, 1), (2, 2), (2, 8), (2, 1), (3, 2)])
def test_each_process_has_a_gpu_or_all_say_that_there_are_too_few(needed, found, monkeypatch):
    taken = []
    monkeypatch.setattr(ranks.torch.cuda, "device_count", lambda: found)
    monkeypatch.setattr(ranks.torch.cuda, "set_device", taken.append)
    for own in range(needed):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(needed))
        monkeypatch.setenv("LOCAL_RANK", str(own))
        if needed > found:
            with pytest.raises(UserError, match="--device cpu"):
                ranks.take_gpu()
        else:
            ranks.take_gpu()
    assert taken == ([] if needed > found else list(range(needed)))


@pytest.mark.parametrize("settings", [{"batch": 1}, {"base_batch": 1}])
def test_a_batch_has_a_row_for_each_process(settings, monkeypatch):
    monkeypatch.setattr(ranks, "WORLD", 2)
    with pytest.raises(UserError, match="2 or more"), ranks.joined(Config(**settings)):
        pass
