"""What is measured beside the libraries: the same rows, and a fair clock."""

import sys

import pytest
import torch

from minisi.lab import peers
from minisi.model.trainer import backward
from minisi.run.runtime import UserError

EXAMPLES = [([5, 6], [7, 8, 0]), ([9], [3, 0]), ([4, 4, 4], [2, 0])]


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match="pip install transformers peft"):
        peers.peers("cpu", str(tmp_path))


def test_rows_are_filled_up_and_only_targets_count():
    ids, mask, labels = peers.padded(EXAMPLES, "cpu")
    assert ids.tolist() == [[5, 6, 7, 8, 0], [9, 3, 0, 0, 0], [4, 4, 4, 2, 0]]
    assert mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    out = peers.IGNORED
    assert labels.tolist() == [
        [out, out, 7, 8, 0],
        [out, 3, 0, out, out],
        [out, out, out, 2, 0],
    ]


def test_a_ratio_is_of_the_shortest_times_and_theirs_has_torchs_products(monkeypatch):
    now = 0.0
    took = {"ours": iter([9, 2, 5, 3, 4, 2.5]), "theirs": iter([1, 8, 6, 7, 9, 6.5])}
    met = []
    settings = torch.backends.mkldnn.matmul
    before = settings.fp32_precision

    def work(name):
        def done():
            nonlocal now
            met.append((name, settings.fp32_precision))
            now += next(took[name])

        return done

    monkeypatch.setattr(peers.time, "perf_counter", lambda: now)
    assert peers.ratio(work("ours"), work("theirs")) == 6 / 2
    assert set(met) == {("ours", before), ("theirs", "ieee")}
    assert [name for name, _ in met] == ["ours", "theirs"] * (1 + peers.TIMES)
    assert settings.fp32_precision == before


def test_losses_are_those_of_the_same_model_in_the_library(tiny, precise, device):
    pytest.importorskip("transformers")
    model = tiny()
    ids, mask, labels = peers.padded(EXAMPLES, device)
    theirs = peers.olmo(model)(input_ids=ids, attention_mask=mask, labels=labels).loss
    ours, _ = backward(model, EXAMPLES, 0.0)
    torch.testing.assert_close(theirs, ours, atol=1e-5, rtol=1e-4)
