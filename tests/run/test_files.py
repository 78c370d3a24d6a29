"""Files that are whole or not there, and logs that grow row by row."""

import errno
import json
import os

import pytest

from minisi.run.files import append_rows, read_rows, sha256, write, write_json
from minisi.run.runtime import UserError

ROWS = [{"round": 0, "x": [0.1, 2]}, {"round": 1, "text": "é\n"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("content", ["text, é", b"\x00\xff\r\n", ""])
def test_a_file_holds_what_was_written_last_and_nothing_stands_beside_it(content, path):
    write(path, "old and longer than what follows")
    write(path, content)
    wanted = content.encode() if isinstance(content, str) else content
    assert path.read_bytes() == wanted
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("make", "content"), [(write, "new"), (write, b"new"), (write_json, {})])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(make, content, path, monkeypatch):
    write(path, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        make(path, content)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_json_that_is_written_is_read(path):
    content = {"x": [1, 2.5, "é"]}
    write_json(path, content)
    assert json.loads(path.read_text()) == content


def test_a_log_grows_row_by_row(path):
    assert read_rows(path) == []
    for count, row in enumerate(ROWS, 1):
        append_rows(path, [row])
        assert read_rows(path) == ROWS[:count]


def test_a_log_takes_many_rows_or_none_at_once(path):
    append_rows(path, iter(ROWS))
    append_rows(path, [])
    append_rows(path, ROWS)
    assert read_rows(path) == ROWS * 2


@pytest.mark.parametrize("cut", [1, 2, 10])
def test_a_row_that_a_crash_tore_is_taken_away(cut, path):
    append_rows(path, ROWS)
    os.truncate(path, path.stat().st_size - cut)
    assert read_rows(path) == ROWS[:1]
    append_rows(path, ROWS[1:])
    assert read_rows(path) == ROWS


@pytest.mark.parametrize("line", ["{", "", "7", "null", '"ab"', "\udcff"])
def test_a_damaged_row_is_named_and_left_as_it_is(line, path):
    append_rows(path, ROWS[:1])
    with path.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    append_rows(path, ROWS[1:])
    before = path.read_bytes()
    with pytest.raises(UserError, match="file line 2 is damaged: restore"):
        read_rows(path)
    assert path.read_bytes() == before


def test_a_checksum_is_of_the_bytes_and_a_flipped_bit_changes_it():
    assert sha256("é") == sha256("é".encode())
    assert sha256(b"\x00\x00") != sha256(b"\x00\x01")
