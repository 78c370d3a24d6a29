"""A frozen set that is damaged, or none, is refused in one sentence that names its file."""

import json
from dataclasses import replace
from functools import cache
from itertools import islice

import pytest

from minisi.lab import testset
from minisi.lab.testset import SETS, make_set, read_set, read_sets
from minisi.run.config import Config
from minisi.run.runtime import UserError
from minisi.tasks.problems import identity, solve, split_of


@cache
def first_lines(name):
    return list(islice(make_set(name), 4))


def assert_refused(path, content):
    """The file is refused, as a test set and as one of the sets beside it."""
    path.write_bytes(content)
    one_sentence = rf"^cannot read the test set {path} [^\n]+$"
    with pytest.raises(UserError, match=one_sentence):
        read_set(path)
    with pytest.raises(UserError, match=one_sentence):
        read_sets(Config(test=str(path), sets=""))


def question_of(split):
    """A sum of the split."""
    sums = [f"{n}+{n}" for n in range(10, 99)]
    return next(question for question in sums if split_of(question) == split)


def a_wrong_answer(row):
    return {**row, "answer": row["answer"] + "0"}


def wrong_steps(row):
    return {**row, "steps": "1+1+0=02"}


def another_question(row):
    question = question_of("test")
    return {**row, "question": question, "id": identity(question)}


def a_question_of(split):
    def damage(row):
        made = testset.row(solve(question_of(split)))
        return {**made, "typed": made["question"]}

    damage.__name__ = f"a_{split}_question"
    return damage


def another_id(row):
    return {**row, "id": "0" * 16}


def without(name):
    def damage(row):
        return {key: value for key, value in row.items() if key != name}

    damage.__name__ = f"no_{name}"
    return damage


def a_family_that_is_not_there(row):
    return {**row, "family": "div"}


def a_question_of_no_family(row):
    return {**row, "question": "what?"}


def a_question_that_is_a_number(row):
    return {**row, "question": 7}


def a_question_that_is_null(row):
    return {**row, "question": None}


def another_text(row):
    return {**row, "typed": "what?"}


def a_text_of_another_question(row):
    return {**row, "typed": f"{question_of('test')} = "}


def a_text_that_is_a_number(row):
    return {**row, "typed": 7}


def a_list(row):
    return [1]


def a_level_that_asks_no_such_question(row):
    return {**row, "level": 0}


def a_level_that_is_text(row):
    return {**row, "level": str(row["level"])}


def a_level_that_is_null(row):
    return {**row, "level": None}


DAMAGES = [
    a_wrong_answer,
    wrong_steps,
    another_question,
    a_question_of("train"),
    a_question_of("dev"),
    another_id,
    *map(without, ("id", "family", "level", "question", "steps", "answer")),
    a_family_that_is_not_there,
    a_question_of_no_family,
    a_question_that_is_a_number,
    a_question_that_is_null,
    another_text,
    a_text_of_another_question,
    a_text_that_is_a_number,
    a_list,
    a_level_that_asks_no_such_question,
    a_level_that_is_text,
    a_level_that_is_null,
]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_row_is_refused(damage, name, tmp_path):
    *whole, last = first_lines(name)
    damaged = json.dumps(damage(json.loads(last)))
    assert_refused(tmp_path / f"{name}.jsonl", "\n".join([*whole, damaged]).encode())


@pytest.mark.parametrize("family", ["sub", "mul", "expr", "logic", "chain", "sort", "story"])
def test_a_row_with_another_rows_family_is_refused(family, tmp_path):
    row = testset.row(solve(question_of("test")))
    assert_refused(tmp_path / "test.jsonl", json.dumps({**row, "family": family}).encode())


NOT_A_SET = [b"{", b"\xff\xfe\x00", b"[]\n", b"7\n", b"null\n", b'"add"\n', b"\n"]


@pytest.mark.parametrize("content", NOT_A_SET)
def test_a_file_that_is_no_set_is_refused(content, tmp_path):
    assert_refused(tmp_path / "test.jsonl", content)


@pytest.mark.parametrize("name", SETS)
def test_a_file_that_was_cut_is_refused(name, tmp_path):
    content = "\n".join(first_lines(name)).encode()
    assert_refused(tmp_path / f"{name}.jsonl", content[:-9])


def test_an_empty_test_set_is_refused(tmp_path):
    (tmp_path / "test.jsonl").touch()
    with pytest.raises(UserError, match="test set"):
        read_sets(Config(test=f"{tmp_path}/test.jsonl", sets=""))


def test_a_test_set_of_many_tasks_is_refused(tmp_path):
    *_, last = map(json.loads, first_lines("gpt3"))
    (tmp_path / "gpt3.jsonl").write_text(
        "\n".join([*first_lines("gpt3"), json.dumps({**last, "task": "another"})])
    )
    with pytest.raises(UserError, match="test set"):
        read_sets(Config(test=f"{tmp_path}/gpt3.jsonl", sets=""))


def test_a_test_set_with_nothing_of_the_runs_families_is_refused(tmp_path):
    (tmp_path / "test.jsonl").write_text("\n".join(first_lines("test")))
    (family,) = {json.loads(line)["family"] for line in first_lines("test")}
    config = Config(test=f"{tmp_path}/test.jsonl", sets="", base_families=family)
    assert read_sets(config)
    with pytest.raises(UserError, match="test set"):
        read_sets(replace(config, base_families="story"))


@pytest.mark.parametrize("missing", ["nowhere.jsonl", "."])
def test_a_file_that_is_missing_or_a_folder_is_refused(missing, tmp_path):
    (tmp_path / "test.jsonl").write_text("\n".join(first_lines("test")))
    path = tmp_path / missing
    for config in (
        Config(test=str(path), sets=""),
        Config(test=f"{tmp_path}/test.jsonl", sets=str(path)),
    ):
        with pytest.raises(UserError, match=rf"^cannot read the test set {path} [^\n]+$"):
            read_sets(config)
