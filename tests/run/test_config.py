"""Options, presets and limits."""

import re
import subprocess
import sys
from dataclasses import fields
from functools import partial

import pytest

from minisi.lab.controls import ARMS
from minisi.method.teacher import TEACHERS
from minisi.run import config
from minisi.run.config import PRESETS, Config, configure
from minisi.tasks.families import chosen

from ..programs import ROOT

OPTIONS = fields(Config)
LIMITED = [f for f in OPTIONS if f.type in (int, float)]
parser = partial(config.parser, "test", ARMS, TEACHERS)


def parsed(*arguments, **kind):
    """The options that were given."""
    return vars(parser(**kind).parse_args(arguments))


def refusal(capsys, *arguments, **kind):
    """What is said of a command line that is refused, with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        configure(parsed(*arguments, **kind))
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("f", OPTIONS, ids=lambda f: f.name)
def test_help_gives_the_default_of_every_option(f, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    text = parser().format_help()
    entries = dict(re.findall(r"^  --(\w+) (.*(?:\n    .*)*)", text, re.MULTILINE))
    default = "none" if f.default == "" else f.default
    assert entries[f.name].endswith(f"(default {default})")


def test_only_options_that_were_given_come_out():
    assert parsed() == {}
    assert parsed("--seed", "7", "--lr", "0.5") == {"seed": 7, "lr": 0.5}


@pytest.mark.parametrize("f", OPTIONS, ids=lambda f: f.name)
def test_an_option_takes_what_its_type_says(f):
    assert type(f.default) is f.type


@pytest.mark.parametrize("f", LIMITED, ids=lambda f: f.name)
def test_limits_hold_and_are_themselves_allowed(f, capsys):
    low, high = f.metadata["limits"]
    allowed = [low]
    outside = [low - 1]
    if high < float("inf"):
        allowed.append(high)
        outside.append(high + 1)

    for value in allowed:
        given = parsed(f"--{f.name}", str(value))
        assert given == {f.name: value}
        Config(**{"n_head": 1, **given})  # one head takes any width
    for value in (*outside, "x", "nan", "inf", str(2**70)):
        assert f"--{f.name}" in refusal(capsys, f"--{f.name}", str(value))


@pytest.mark.parametrize("given", ["--ronds", "--roun"])
def test_an_unknown_option_is_refused_with_the_nearest(given, capsys):
    assert "did you mean --rounds?" in refusal(capsys, given, "3")


@pytest.mark.parametrize(
    ("option", "value", "nearest"),
    [
        ("--arm", "failur", "failure"),
        ("--corrector", "sef", "self"),
        ("--preset", "smoek", "smoke"),
        ("--device", "cdua", "cuda"),
    ],
)
def test_a_refused_value_is_answered_with_the_nearest_value(option, value, nearest, capsys):
    assert f"did you mean {nearest}?" in refusal(capsys, option, value)


@pytest.mark.parametrize(("option", "value"), [("--seed", "-1"), ("--arm", "qqq")])
def test_a_refused_value_with_none_near_gets_no_suggestion(option, value, capsys):
    assert "did you mean" not in refusal(capsys, option, value)


def test_the_pretraining_parser_knows_no_loop_and_its_out_is_the_base(capsys):
    assert parsed("--out", "here", pretraining=True) == {"base": "here"}
    for option in ("--rounds", "--test", "--show", "--base"):
        assert option in refusal(capsys, option, "3", pretraining=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_in_what_was_not_given(preset):
    wanted = {f.name: f.default for f in OPTIONS}
    wanted |= PRESETS[preset]
    wanted |= {"preset": preset}
    assert vars(configure({"preset": preset})) == wanted


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_teaches_families_that_are_known_and_asks_more_levels_than_it_teaches(preset):
    found = configure({"preset": preset})
    families = chosen(found.base_families)
    assert "chain" in families or not found.base_chain_steps
    assert found.base_chain_steps + found.base_question_steps < found.base_steps
    assert found.base_levels < found.levels


def test_given_wins_over_base_wins_over_preset():
    given = {"preset": "smoke", "base_steps": 11}
    found = configure(given, {"base_steps": 22, "n_layer": 7})
    assert found.base_steps == 11
    assert found.n_layer == 7
    assert found.rounds == PRESETS["smoke"]["rounds"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--n_embd", "30", "--n_head", "4"), "--n_embd 30"),
        (("--base", "here", "--out", "./here"), "--base and --out"),
    ],
)
def test_settings_that_clash_exit_with_2(arguments, named, capsys):
    assert named in refusal(capsys, *arguments)


@pytest.mark.parametrize("value", ["failure,rnadom", "all"])
def test_a_comparison_of_arms_that_do_not_exist_exits_with_2(value, capsys):
    message = refusal(capsys, "--compare", value)
    assert "--compare" in message
    assert value.split(",")[-1] in message


@pytest.mark.parametrize(
    "value", ["failure,random:", "random:x", "random:-1", "vote:2:3", ":2", "ra:3ndom", ","]
)
def test_an_arm_of_no_number_of_seeds_exits_with_2(value, capsys):
    assert "random:3" in refusal(capsys, "--compare", value)


@pytest.mark.parametrize("value", ["", "1,x", "1,,2", "1-3", "-1"])
def test_a_comparison_of_seeds_that_are_none_exits_with_2(value, capsys):
    assert "--seeds" in refusal(capsys, f"--seeds={value}")


@pytest.mark.parametrize(
    "given",
    [
        {"compare": "failure,random"},
        {"compare": ",".join([*ARMS, *TEACHERS])},
        {"seeds": "7"},
        {"seeds": "1,20,3"},
    ],
    ids=str,
)
def test_arms_and_seeds_to_compare_are_named_with_commas(given):
    ((name, value),) = given.items()
    assert parsed(f"--{name}", value) == given
    assert getattr(configure(given), name) == value


def test_results_are_kept_out_of_the_project_by_whatever_name_it_is_called(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(ROOT)
    code = "import sys; from minisi.run.config import is_for_results as f; sys.exit(f(sys.argv[1]))"
    for folder, kept in (("", 0), ("data", 0), ("runs/a", 1)):
        command = [sys.executable, "-c", code, str(link / folder)]
        assert subprocess.run(command, cwd=link, env={"PYTHONPATH": str(link)}).returncode == kept


def test_settings_and_names_load_without_torch():
    modules = "minisi.run.config, minisi.lab.controls, minisi.method.teacher"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
