"""The pictures of a run and of a comparison, where there is matplotlib."""

import os
import subprocess
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


STYLES = ["module://matplotlib_inline.backend_inline", "nonsense"]


@pytest.mark.parametrize("backend", STYLES)
def test_the_users_window_system_and_style_have_no_say(backend, tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nsavefig.format: svg\n")
    code = (
        "from pathlib import Path\n"
        "from minisi.lab.pictures import draw\n"
        f"drawn = draw(Path({str(tmp_path / 'a.png')!r}), lambda figure: figure.subplots())\n"
        "print(drawn)"
    )
    variables = {"MPLBACKEND": backend, "MATPLOTLIBRC": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_fails_is_a_warning(tmp_path, capsys):
    pytest.importorskip("matplotlib")

    def broken(figure):
        raise RuntimeError("no such font")

    assert not draw(tmp_path / "a.png", broken)
    assert "a.png was not drawn (no such font)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
