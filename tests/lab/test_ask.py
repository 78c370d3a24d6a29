"""What a person types, and what comes back."""

import json
import os
import re
from dataclasses import asdict, replace

import pytest

from minisi.lab import ask as asking
from minisi.lab.ask import EXAMPLES, FIRST, OUTSIDE, ask, newest, read, shown
from minisi.method.detect import RAW
from minisi.model.generate import Completion
from minisi.model.gpt import GPT
from minisi.run.checkpoint import commit
from minisi.run.config import Config
from minisi.run.runtime import UserError, dice
from minisi.tasks.families import FAMILIES, as_asked
from minisi.tasks.problems import balanced, solve

from ..programs import program

CONFIG = Config(n_layer=1, n_embd=16, n_head=1, n_hidden=16, base_levels=3, levels=4)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("347+586", "347+586"),
        (" 347 + 586 = ", "347+586"),
        ("7 * 8?", "7*8"),
        ("7 x 8", "7*8"),
        ("7\u00d78", "7*8"),  # with the signs of a text processor
        ("3 \u2212 5", "3-5"),
        ("3 \u2013 5", "3-5"),
        ("What is 3 plus 5?", "3+5"),
        ("what's (3 minus -5) times 2", "(3--5)*2"),
        ("How much is 12 times 3 ?", "12*3"),
        ("What\u2019s 3 \u00d7 -5", "3*-5"),
        ("Sort 3, 1, 2?", "sort 3 1 2"),
        ("sort 3,1,2", "sort 3 1 2"),
        ("What is 12+30.", "12+30"),
        ("5 x -3", "5*-3"),
        (" -3+5", "-3+5"),
        ("1,000 + 2", "1000+2"),
        ("12,345,678-1,000?", "12345678-1000"),
        ("Sort: 3 1 2", "sort 3 1 2"),
        ("sort:3,1,2", "sort 3 1 2"),
        ("( 3 + 4 ) * 2 =?", "(3+4)*2"),
        ("SORT 5  2 8", "sort 5 2 8"),
        ("sort 5 2 8 ?", "sort 5 2 8"),
        ("2 AND (3 or 7)", "2 and (3 or 7)"),
        ("A>b,b>c from A 2", "a>b,b>c from a 2"),
        ("(5)+3", "5+3"),
        ("((3+4))*2", "(3+4)*2"),
        ("( (2) ) x (3)", "2*3"),
        ("2-(-3)", "2--3"),
        ("Tom has 4 nuts, earns 6: how many?", "tom has 4 nuts, earns 6: how many?"),
        ("Tom has 4 nuts, earns 6: how many", "tom has 4 nuts, earns 6: how many?"),
    ],
)
def test_what_was_typed_is_read_as_its_family_writes_it(typed, read):
    assert as_asked(typed) == read
    assert solve(read)


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "?",
        "What is it?",
        "hello (5)",
        "5(3)",
        "2^(3)",
        "3 4+5",
        "12 3",
        "3.5+1",
        "1,00+2",
        "1000,000+2",
        "sort 100,200",
        "plus",
        "what is 3 and 4",
        "5 and 3, or 2",
        "=",
        "sort",
    ],
)
def test_what_is_no_question_comes_back_as_it_was_typed(typed):
    assert as_asked(typed) == typed


@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_that_a_family_asks_is_read_as_it_stands(family):
    for problem in balanced(dice(1, "typed"), "train", 4, 40, [family]):
        assert as_asked(problem.question) == problem.question
        assert as_asked(f"  {problem.question.upper()} ") == problem.question


def model_in(folder, codec, config=CONFIG, **facts):
    """Leave the state of a model in a folder."""
    model = GPT(config, len(codec.vocabulary))
    facts |= {"vocabulary": codec.checksum, "config": asdict(config)}
    commit(folder, 0, {"model": model.state_dict()}, facts)
    return str(folder)


@pytest.fixture
def folder(tmp_path, codec):
    """A run whose detector is fitted: confidence is that of the least certain token."""
    return model_in(tmp_path, codec, corrections=0, levels=4, weights=RAW, threshold=0.75)


SAID = {  # what stands in for the model says, and how sure it is
    "3+4|": ("3+4+0=07|7", 0.9, True),
    "5+6|": ("5+6+0=11|12", 0.6, True),
    "8-1|": ("8-1-0", 0.9, False),
}


@pytest.fixture
def said(monkeypatch):
    """Stands in for the model: other questions than those above get an answer that is no number."""

    def generate(model, codec, prompts, limit):
        assert limit == CONFIG.limit
        answers = [SAID.get(prompt, ("1|x", 0.8, True)) for prompt in prompts]
        return [Completion(text, [1], [sure], whole, [0.5]) for text, sure, whole in answers]

    monkeypatch.setattr(asking, "generate", generate)


def test_each_question_gets_a_row_in_its_order(folder, said):
    rows = ask(folder, ["8 - 1", "what?", "3+4=", "5+6", "a>b from a 2"], "cpu")
    assert [row.get("verdict", "unread") for row in rows] == [
        *("unparsable", "unread", "right", "wrong", "unread"),
    ]
    assert [row["question"] for row in rows] == ["8-1", "what?", "3+4", "5+6", "a>b from a 2"]
    assert (rows[2]["steps"], rows[2]["answer"], rows[2]["sure"]) == ("3+4+0=07", "7", True)
    assert (rows[3]["steps"], rows[3]["answer"], rows[3]["sure"]) == ("5+6+0=11", "12", False)
    assert rows[3]["confidence"] == pytest.approx(0.6)
    assert "no family" in rows[1]["error"]
    assert "no fact leads on" in rows[4]["error"]
    assert json.loads(json.dumps(rows)) == rows


def test_the_same_question_twice_gets_two_rows(folder, said):
    first, second = ask(folder, ["3+4", "3 + 4"], "cpu")
    assert first == second


def test_an_answer_is_shown_with_the_truth_beside_it(folder, said):
    right, wrong = ask(folder, ["3+4", "5+6"], "cpu")
    assert shown(right).splitlines()[-1] == "solver: agrees"
    assert shown(wrong).splitlines()[-1] == "solver: wrong, the answer is 11 by 5+6+0=11"


def test_a_right_answer_by_wrong_steps_is_told_apart(folder, said, monkeypatch):
    monkeypatch.setitem(SAID, "3+4|", ("3+4+0=08|7", 0.9, True))
    (row,) = ask(folder, ["3+4"], "cpu")
    assert (row["verdict"], row["right_steps"]) == ("right", False)
    assert shown(row).splitlines()[-1] == "solver: agrees, but the steps are 3+4+0=07"


def misspelt():
    """A question of each family, with two neighbours exchanged or a letter lost."""
    rng = dice(1, "misspelt")
    for problem in balanced(rng, "train", 3, 100):
        text = problem.question
        i = rng.randrange(len(text) - 1)
        yield problem, text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        yield problem, text[:i] + text[i + 1 :]


def test_what_cannot_be_read_is_told_with_a_question_that_can():
    found = [(problem.family, read(text)) for problem, text in misspelt()]
    refused = [(family, row["error"]) for family, row in found if "error" in row]
    assert 20 < len(refused) < len(found)
    unread = [(family, error) for family, error in refused if "is it like" in error]
    meant = [re.search("is it like `(.*?)`", error)[1] for _, error in unread]
    assert all(solve(one) for one in meant)
    alike = [solve(one).family == family for one, (family, _) in zip(meant, unread, strict=True)]
    assert sum(alike) > 0.7 * len(alike)
    for _, error in unread:
        assert all(f"`{one}`" in error for one in EXAMPLES)


@pytest.mark.parametrize("text", ["hello", "twelve plus 3", "what is 3 and 4", "sqrt(4)"])
def test_a_text_that_is_like_no_question_gets_no_guess(text):
    error = read(text)["error"]
    assert error.startswith(f"no family knows {text!r}.  There are `")
    assert "is it like" not in error


def test_all_that_is_asked_first_can_be_read():
    assert [solve(one).family for one in EXAMPLES] == list(FAMILIES)


def talked(folder, typed):
    """What a person sees who types these lines."""
    return program("-m", "minisi", "ask", "--run", folder, "--device", "cpu", typed=typed)


@pytest.mark.parametrize("typed", ["", "3+4", "3+4\nnonsense\n-3+5\n\n7+7\n"])
def test_without_a_question_it_answers_what_is_typed(typed, folder):
    done = talked(folder, typed)
    assert (done.returncode, done.stderr) == (0, "")
    asked = typed.split("\n\n")[0].split()
    read = [one for one in asked if one != "nonsense"]
    assert done.stdout.count("steps: ") == FIRST + len(read)
    assert done.stdout.count("no family knows") == asked.count("nonsense")
    assert folder in done.stdout


def test_the_newest_run_is_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert newest() == Config.out
    for age, name in enumerate(("loop", "smoke-loop", "base")):
        (tmp_path / "runs" / name).mkdir(parents=True)
        if name != "base":
            log = tmp_path / "runs" / name / "metrics.jsonl"
            log.touch()
            os.utime(log, (age, age))
    assert newest() == "runs/smoke-loop"


OF_LEVEL = {1: "3+4", 4: "1234+4321", 5: "12345+54321", 9: "123456789+1"}


@pytest.mark.parametrize("level", OF_LEVEL)
def test_what_is_of_a_level_above_those_that_were_taught_is_outside(level, folder, said):
    assert solve(OF_LEVEL[level]).level == level
    (row,) = ask(folder, [OF_LEVEL[level]], "cpu")
    assert row["inside"] == (level <= CONFIG.levels)
    assert ("outside" in shown(row)) == (level > CONFIG.levels)


def test_a_base_was_taught_its_own_levels_and_is_unsure_below_a_half(tmp_path, codec, said):
    base = model_in(tmp_path, codec)
    taught, other = ask(base, ["5+6", OF_LEVEL[4]], "cpu")
    assert (taught["inside"], taught["sure"]) == (True, True)
    assert (other["inside"], other["sure"]) == (False, True)


@pytest.mark.parametrize("question", ["007+5", "(1+2)*(4+4)"])
def test_a_question_that_no_level_asks_is_outside(question, folder, said):
    (row,) = ask(folder, [question], "cpu")
    assert not row["inside"]


def test_a_question_of_a_family_that_was_not_taught_is_outside(tmp_path, codec, said):
    some = replace(CONFIG, base_families="add,sort")
    run = model_in(tmp_path, codec, some, corrections=0, levels=4, weights=RAW, threshold=0.75)
    rows = ask(run, ["3+4", "8-1", "sort 5 2"], "cpu")
    assert [row["inside"] for row in rows] == [True, False, True]


def test_it_is_shown_whether_the_model_is_sure_and_whether_it_was_taught_such_a_question(
    folder, said
):
    rows = ask(folder, ["3+4", "5+6", OF_LEVEL[9]], "cpu")
    confidence = [shown(row).splitlines()[2] for row in rows]
    assert confidence[0] == "confidence: 0.9000, sure (0.7500 or more)"
    assert confidence[1] == "confidence: 0.6000, unsure (less than 0.7500)"
    assert confidence[2] == f"confidence: 0.8000, sure (0.7500 or more), {OUTSIDE}"


def test_where_there_is_no_model_the_remedy_is_said(tmp_path):
    with pytest.raises(UserError, match=r"run python loop\.py first"):
        ask(str(tmp_path), ["3+4"], "cpu")


def typed_in(folder, *arguments):
    """What the program does with them."""
    return program("-m", "minisi", "ask", "--run", folder, "--device", "cpu", *arguments)


def test_a_file_of_questions_becomes_a_json_row_each(folder, tmp_path):
    path = tmp_path / "questions.txt"
    path.write_text("\ufeff3 + 4 =\nwhat?\n\u0663+\u0664\n")  # the last in other digits
    done = typed_in(folder, "--file", str(path))
    assert done.returncode == 0, done.stderr
    rows = list(map(json.loads, done.stdout.splitlines()))
    assert [row["question"] for row in rows] == ["3+4", "what?", "\u0663+\u0664"]
    assert ["error" in row for row in rows] == [False, True, True]


def test_an_empty_file_has_no_rows(folder, tmp_path):
    (tmp_path / "questions.txt").touch()
    done = typed_in(folder, "--file", f"{tmp_path}/questions.txt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_question_needs_no_quotation_marks(folder):
    quoted, bare = typed_in(folder, "3 + 4"), typed_in(folder, "3", "+", "4")
    assert quoted.stdout == bare.stdout != ""


@pytest.mark.parametrize("question", ["-3+5", "-(3+2)+5", "--3"])
def test_a_question_may_begin_with_a_minus(question, folder):
    done = typed_in(folder, question)
    assert "usage" not in done.stderr
    assert ("answer" in done.stdout) == (question == "-3+5")


def test_a_question_or_a_file_is_asked_for_and_not_both():
    done = program("-m", "minisi", "ask", "3+4", "--file", "x")
    assert done.returncode == 2
    assert "--file" in done.stderr
