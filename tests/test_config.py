"""Options, presets and limits."""

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from minisi.config import ARMS, PRESETS, Config, configure, parser

OPTIONS = fields(Config)
LIMITED = [f for f in OPTIONS if f.type in (int, float)]


def refusal(arguments, capsys, **kind):
    with pytest.raises(SystemExit) as stop:
        configure(vars(parser("test", **kind).parse_args(arguments)))
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("f", OPTIONS, ids=lambda f: f.name)
def test_help_gives_the_default_of_every_option(f, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    entries = dict(re.findall(r"^  --(\w+) (.*(?:\n    .*)*)", parser("test").format_help(), re.M))
    assert entries[f.name].endswith(f"(default {f.default})")


def test_only_options_that_were_given_come_out():
    assert vars(parser("test").parse_args([])) == {}
    assert vars(parser("test").parse_args(["--seed", "7", "--lr", "0.5"])) == {"seed": 7, "lr": 0.5}


def test_an_option_takes_what_its_type_says():
    assert {f.name: type(f.default) for f in OPTIONS} == {f.name: f.type for f in OPTIONS}


@pytest.mark.parametrize("f", LIMITED, ids=lambda f: f.name)
def test_limits_hold_and_are_themselves_allowed(f, capsys):
    low, high = f.metadata["low"], f.metadata["high"]
    ends = [low, high] if high < float("inf") else [low]
    for value in ends:
        assert vars(parser("test").parse_args([f"--{f.name}", str(value)])) == {f.name: value}
    for value in (low - 1, *(end + 1 for end in ends[1:]), "x", "nan", "inf"):
        assert f"--{f.name}" in refusal([f"--{f.name}", str(value)], capsys)


def test_an_unknown_option_is_refused_with_the_nearest(capsys):
    for given in ("--ronds", "--roun"):
        assert "did you mean --rounds?" in refusal([given, "3"], capsys)


@pytest.mark.parametrize("given, wanted", [("--arm failur", "did you mean failure?"), ("--preset smoek", "did you mean smoke?"), ("--seed -1", "")])
def test_a_refused_value_is_answered_with_the_nearest_value_if_any(given, wanted, capsys):
    message = refusal(given.split(), capsys)
    assert wanted in message and ("did you mean" in message) == bool(wanted)


def test_the_pretraining_parser_knows_no_loop_and_its_out_is_the_base(capsys):
    assert vars(parser("test", pretraining_only=True).parse_args(["--out", "here"])) == {"base": "here"}
    refusal(["--rounds", "3"], capsys, pretraining_only=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_in_what_was_not_given(preset):
    config = configure({"preset": preset})
    assert all(getattr(config, name) == value for name, value in PRESETS[preset].items())
    assert all(getattr(config, f.name) == f.default for f in OPTIONS if f.name not in (*PRESETS[preset], "preset"))


def test_given_wins_over_base_wins_over_preset():
    given = {"preset": "smoke", "base_steps": 11}
    config = configure(given, {"base_steps": 22, "n_layer": 7})
    assert (config.base_steps, config.n_layer, config.rounds) == (11, 7, PRESETS["smoke"]["rounds"])


def test_settings_that_clash_exit_with_2(capsys):
    with pytest.raises(SystemExit) as stop:
        configure({"n_embd": 30, "n_head": 4})
    assert stop.value.code == 2 and "--n_embd 30" in capsys.readouterr().err


@pytest.mark.parametrize("name, value", [("compare", "failure,rnadom"), ("compare", "all"), ("seeds", ""), ("seeds", "1,x"), ("seeds", "1,,2"), ("seeds", "1-3"), ("seeds", "-1")])
def test_a_comparison_of_nothing_that_exists_exits_with_2(name, value, capsys):
    with pytest.raises(SystemExit) as stop:
        configure({name: value})
    assert stop.value.code == 2 and f"--{name}" in capsys.readouterr().err


@pytest.mark.parametrize("given", [dict(compare="failure,random"), dict(compare=",".join(ARMS)), dict(seeds="7"), dict(seeds="1,20,3")], ids=str)
def test_arms_and_seeds_to_compare_are_named_with_commas(given):
    assert vars(configure(given)).items() >= given.items()


def test_settings_load_without_torch():
    code = "import sys, minisi.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
