"""The pictures of a run and of a comparison, where there is matplotlib."""

import sys
from functools import partial

import pytest

from minisi.lab.pictures import comparison, curve, diagnostics, draw

from .test_report import ROWS

FOUND = {
    "seeds": [1, 2],
    "arms": [
        {"arm": "failure", "test_accuracy": 0.7, "test_low": 0.6, "test_high": 0.8},
        {"arm": "random", "test_accuracy": 0.7, "test_low": 0.6, "test_high": 0.8},
    ],
    "cells": [
        {"arm": arm, "seed": seed, "curve": [[0, 0.5], [100 * seed, 0.7]]}
        for arm in ("failure", "random")
        for seed in (1, 2)
    ],
}
PLOTS = {
    "four rounds": partial(curve, ROWS),
    "the base alone": partial(curve, ROWS[:1]),
    "a detector": partial(diagnostics, ROWS[3]),
    "a comparison": partial(comparison, FOUND),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_a_png_where_there_is_matplotlib(plot, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.png"
    assert draw(path, PLOTS[plot])
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_left_out_where_there_is_no_matplotlib(plot, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not draw(tmp_path / "a.png", PLOTS[plot])
    assert list(tmp_path.iterdir()) == []
