"""Files that are whole or not there, and logs that grow row by row."""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .runtime import Row, UserError, warn_once

# What an operating system, or a network's file system, says of what it can't do.
UNABLE = (
    *(errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF),
    *(errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.ENOTTY, errno.ENODEV),
    *(errno.EISDIR, errno.EROFS),
)


def write(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary one beside it.

    `path` never holds half of it, not even after a power cut.
    """
    part = path.with_name(path.name + ".part")
    try:
        with naming(path):
            part.write_bytes(as_bytes(content))
            sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an error without a file's name, such as that of a full disk, the name of this file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def as_bytes(content: bytes | str) -> bytes:
    """Text in UTF-8; the bytes of a file's name that are no text stay what they were."""
    return content.encode(errors="surrogateescape") if isinstance(content, str) else content


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        warn_once("files can't be synced here: a power cut could cost what is newest")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    write(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSONL log; none where there is no file.

    A last row without its line end was torn by a crash: it is taken away.  UserError names a row
    that is damaged.
    """
    content = path.read_bytes() if path.exists() else b""
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        os.truncate(path, len(whole))
    rows = []
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            rows.append(dict(**json.loads(line)))
        except (ValueError, TypeError):
            raise UserError(f"{path} line {number} is damaged: restore the file") from None
    return rows


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add rows to a JSONL log.

    They are written one by one: a crash tears the last of them at most.
    """
    with naming(path), path.open("a", buffering=1) as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def sha256(content: bytes | str) -> str:
    """A checksum that no flipped bit survives."""
    return hashlib.sha256(as_bytes(content)).hexdigest()
