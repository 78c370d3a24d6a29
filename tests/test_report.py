"""What a person sees."""

import re
import sys
from functools import partial

import pytest

from minisi.detect import Verdict
from minisi.generate import Completion
from minisi.memory import failure
from minisi.report import COLUMNS, comparison, curve, draw, finish, header, line, markdown, shown, summary, terminal_curve
from minisi.tasks import solve


def row(round, **changed):
    accuracy = 0.5 + 0.1 * round
    names = "asked wrong unsure unparsable self_corrected unsolved memory relapsed steps train_tokens generated_tokens fixed broken"
    figures = {name: 100 * round for name in names.split()}
    figures |= dict(round=round, arm="failure", corrector="solver", seed=1, corrections=1234 * round, kept=round > 0, scale=0.5, seconds=12.3)
    figures |= dict(test_n=2048, test_accuracy=accuracy, test_low=accuracy - 0.02, test_high=accuracy + 0.02, dev_before=0.5, dev_after=0.6)
    figures |= dict(p_value=0.5, label_coverage=1.0 * (round > 0), reliability=[[0, 0.0, 0.0], [40, 0.5, 0.4], [60, 0.9, 1.0]], risk=[n / 40 for n in range(1, 11)])
    figures |= dict(detector={name: dict(auroc=0.9, ece=0.02, aurc=0.1, precision=0.75, recall=0.5) for name in ("scaled", "product")})
    return figures | dict(auroc=0.9, ece=0.02, threshold=0.7, by_family={"add": accuracy, "sub": 0.5}, by_level={"1": 0.9, "2": accuracy}, **changed)


ROWS = [row(0), row(1), row(2), row(3)]


@pytest.mark.parametrize("r", ROWS, ids=lambda r: f"round {r['round']}")
def test_the_titles_stand_over_their_figures(r):
    titles, figures = ([(m[0], m.end()) for m in re.finditer(r"\S+", text)] for text in (header(), line(r)))
    assert [title for title, _ in titles] == list(COLUMNS) and [end for _, end in titles] == [end for _, end in figures]
    assert [float(figure) for figure, _ in figures] == pytest.approx([r[name] for name in COLUMNS], abs=0.005)


def test_a_refused_adapter_is_called_rejected_and_no_other():
    assert line({**row(1), "kept": False}) == line(row(1)) + "  rejected"
    assert "rejected" in line({**row(1), "steps": 0, "kept": False})  # its numbers were not finite, twice
    assert "rejected" not in line({**row(0), "steps": 0, "kept": False})


def test_the_last_block_is_names_and_values():
    first, *lines = summary(ROWS, {"seconds": 61, "out": "runs/x"}).splitlines()
    values = dict(re.fullmatch(r"([a-z_0-9]+): (\S.*)", text).groups() for text in lines)
    assert first == "---" and len(values) == len(lines)
    assert float(values["base_accuracy"]) == 0.5 and float(values["final_accuracy"]) == pytest.approx(0.8)
    assert (values["test_n"], values["corrections"], values["seconds"], values["out"]) == ("2048", "3702", "61", "runs/x")
    assert [float(x) for x in values["level_2"].split(" -> ")] == pytest.approx([0.5, 0.8]) and {"level_1", "family_add", "family_sub"} <= set(values)


@pytest.mark.parametrize("text", ["x|13", ""])
def test_a_shown_failure_has_the_question_what_was_said_how_surely_and_the_truth(text):
    p = solve("347+586")
    block = shown([failure(p, Completion("nine|9", [1], [0.25], True, [0.5]), Verdict("wrong", 0.25), p.target if text else "", "solver", 1)] * 2)
    assert block.count(p.question) == block.count("nine|9") == block.count("0.25") == 2 and block.count(p.target) == (2 if text else 0)


def test_the_report_has_a_table_row_a_round_and_all_that_was_run():
    page = markdown(ROWS, "python loop.py --seed 1", {"torch": "9.9"}, "---\nfinal: 1")
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert [len(table) for table in tables] == [2 + len(ROWS)] * 3 + [2 + 2]
    assert [{text.count("|") for text in table} for table in tables] == [{len(COLUMNS) + 1}, {2 + 2}, {2 + 2}, {6 + 1}]
    assert tables[1][-1] == f"| 3 | 0.900 | {row(3)['by_level']['2']:.3f} |" and tables[3][2] == "| scaled | 0.900 | 0.020 | 0.100 | 0.750 | 0.500 |"
    assert all(part in page for part in ("    python loop.py --seed 1", "torch 9.9", "---\nfinal: 1", "![curve](curve.png)"))


FOUND = dict(seeds=[1, 2], arms=[dict(arm="failure"), dict(arm="random")])
FOUND["cells"] = [dict(arm=a, seed=s, curve=[[0, 0.5], [100 * s, 0.7]]) for a in ("failure", "random") for s in (1, 2)]


@pytest.mark.parametrize("drawn", [True, False])
def test_a_finished_run_leaves_its_report_and_prints_the_last_block(drawn, tmp_path, capsys, monkeypatch):
    if not drawn:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    finish(tmp_path, ROWS, ["loop.py", "--seed", "1"], {"torch": "9.9"}, {"leaks": "0 of 5"})
    printed, block = capsys.readouterr().out, summary(ROWS, {"leaks": "0 of 5"})
    assert printed == (block if drawn else f"{terminal_curve(ROWS)}\n{block}") + "\n"
    assert (tmp_path / "report.md").read_text() == markdown(ROWS, "python loop.py --seed 1", {"torch": "9.9"}, block)
    assert (tmp_path / "curve.png").exists() == drawn


PLOTS = {"four rounds": partial(curve, ROWS), "the base alone": partial(curve, ROWS[:1]), "a comparison": partial(comparison, FOUND)}


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_a_png_where_there_is_matplotlib(plot, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    assert draw(tmp_path / "a.png", PLOTS[plot]) and (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not draw(tmp_path / "b.png", PLOTS[plot]) and len(list(tmp_path.iterdir())) == 1


def test_the_curve_of_the_terminal_has_a_bar_a_round_as_long_as_its_accuracy():
    bars = terminal_curve([row(0) | {"test_accuracy": share} for share in (0, 0.5, 1)], width=40).splitlines()[1:]
    assert [bar.count("#") for bar in bars] == [0, 20, 40] and len({len(bar) for bar in bars}) == 1
