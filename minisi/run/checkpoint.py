"""Where a run goes on.  A folder, of a base or of a run, holds states that count once committed.

    runs/loop/  model-5.pt manifest-5.json    after round 5; those of two rounds before are kept too
                metrics.jsonl answers.jsonl memory.jsonl lessons.jsonl    logs; a manifest says how
                                                           long they were
                config.json env.json report.md curve.png    for people: no program depends on them

A state is a file of tensors and a manifest with checksums, whose rename makes it count.  Nothing
that is read is executed: manifests and logs are JSON, tensors are loaded with `weights_only`.
"""

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .config import BASE_SETTINGS, RUN_SETTINGS, Config
from .files import UNABLE, sha256, sync, write
from .runtime import Row, UserError, belonging, warn_once

FORMAT = 7  # of a folder; raised when its meaning changes
KEPT = 3  # states of a folder: the newest, and two should that be damaged
MEMORY = "memory.jsonl"  # which a person may edit between two rounds
LOGS = ("answers.jsonl", "lessons.jsonl", MEMORY, "metrics.jsonl")


class State(NamedTuple):
    """A state of a base or run, with its tensors on the CPU."""

    number: int  # a round, or a step of pretraining
    facts: Row  # what the manifest says: `config`, and more
    tensors: Row


def write_tensors(path: Path, tensors: Row) -> None:
    """Write tensors by name, or nested as in an optimiser's state."""
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    write(path, buffer.getvalue())


def manifest_path(folder: Path, number: int) -> Path:
    """Where the manifest of a state is."""
    return folder / f"manifest-{number}.json"


def numbers(folder: Path) -> list[int]:
    """The numbers of the states in a folder, newest first."""
    found = [path.stem.removeprefix("manifest-") for path in folder.glob("manifest-*.json")]
    return sorted(map(int, filter(str.isdecimal, found)), reverse=True)


def commit(folder: Path, number: int, tensors: Row, facts: Row) -> None:
    """Make this the newest state of the folder, with the logs as they are now.

    Raises FloatingPointError, and writes nothing, where a weight of `tensors["model"]` is not
    finite.  `facts["vocabulary"]` is a checksum that `read_state` compares.
    """
    if not all(weight.isfinite().all() for weight in tensors["model"].values()):
        raise FloatingPointError("a weight is not finite")
    model = folder / f"model-{number}.pt"
    write_tensors(model, tensors)
    logs = [folder / name for name in LOGS if (folder / name).exists()]
    for log in logs:
        sync(log)
    files = {}
    for path in (model, *logs):
        content = path.read_bytes()
        files[path.name] = [len(content), sha256(content)]
    told = {"format": FORMAT, "number": number, "files": files, **facts}

    # Before the rename that counts, so that a crash in between leaves nothing to clear away.
    older = [old for old in numbers(folder) if old != number]
    for old in older[KEPT - 1 :]:
        (folder / f"model-{old}.pt").unlink(missing_ok=True)
        manifest_path(folder, old).unlink()
    write(manifest_path(folder, number), json.dumps(signed(told)) + "\n")


def signed(told: Row) -> Row:
    """What a manifest says, with a checksum of it."""
    return {**told, "checksum": sha256(json.dumps(told))}


class OtherVersion(ValueError):
    """A state that is whole, and not for this program as it is now."""


def read_manifest(folder: Path, number: int) -> Row:
    """What a manifest says, without its files being looked at; ValueError where it is damaged."""
    path = manifest_path(folder, number)
    text = path.read_text()
    found, end = json.JSONDecoder().raw_decode(text)
    if found["format"] != FORMAT:
        raise OtherVersion("another version of minisi made it: name another folder")
    facts = {name: value for name, value in found.items() if name != "checksum"}
    if signed(facts) != found or facts["number"] != number or text[end:] != "\n":
        raise ValueError(f"{path.name} is damaged")
    return facts


def check_state(folder: Path, number: int, vocabulary: str) -> State:
    """A state whose files are what its manifest says; ValueError says what is wrong with it."""
    facts = read_manifest(folder, number)
    if vocabulary not in ("", facts["vocabulary"]):
        plugin = facts.get("config", {}).get("plugin")
        remedy = (
            f"it was made with --plugin {plugin}: give that" if plugin else "name another folder"
        )
        raise OtherVersion(f"it was made for other families of questions: {remedy}")
    for name, (size, checksum) in facts["files"].items():
        content = (folder / name).read_bytes()
        whole = sha256(content[:size] if name in LOGS else content) == checksum
        if not whole and name != MEMORY:
            raise ValueError(f"{name} is damaged or cut")
    model = folder / f"model-{number}.pt"
    return State(number, facts, torch.load(model, map_location="cpu", weights_only=True))


def read_state(folder: Path, vocabulary: str = "") -> State | None:
    """The newest state that is whole and of this vocabulary (a checksum; empty: of any).

    None where there was never a state; UserError where none can be read.  A warning names each
    that is passed over.
    """
    found = numbers(folder)
    others = []
    for number in found:
        try:
            return check_state(folder, number, vocabulary)
        except Exception as error:  # torch.load and json raise nearly anything
            others += [error] if isinstance(error, OtherVersion) else []
            print(
                f"warning: {manifest_path(folder, number)} does not count: {error}", file=sys.stderr
            )
    if others:
        raise UserError(f"{folder} can't be used here: {others[0]}")
    if found:
        raise UserError(
            f"no state in {folder} can be read, for the reasons above: restore its files,"
            f" or delete {folder} if they are lost"
        )
    return None


def made_with(folder: Path) -> Row:
    """The settings of the base in a folder, as far as its newest manifest can be read."""
    for number in numbers(folder):
        try:
            config = read_manifest(folder, number)["config"]
            return {name: config[name] for name in BASE_SETTINGS}
        except Exception:  # a damaged manifest raises nearly anything
            continue
    return {}


def check_settings(
    folder: Path,
    state: State | None,
    wanted: Row,
    names: Sequence[str] = BASE_SETTINGS,
    kind: str = "base",
) -> None:
    """Raise UserError where a folder's state was made with other settings than the `wanted`.

    The same where a `run` is found for a `base`, or a base for a run, or logs without a state.
    """
    if state is None:
        log = folder / "metrics.jsonl"
        rows = log.read_bytes().count(b"\n") if log.exists() else 0
        if rows > 1 or any((folder / name).exists() for name in ("model.pt", MEMORY)):
            raise UserError(
                f"{folder} holds files of another version, or without manifest: name another folder"
            )
        return
    found = "run" if "corrections" in state.facts else "base"
    if found != kind:
        raise UserError(f"{folder} holds a {found}: name another folder")
    made = asdict(Config()) | state.facts["config"]  # settings that are new since have defaults
    clash = [
        f"{name} {made[name]}, not {wanted[name]}"
        for name in names
        if name in wanted and wanted[name] != made[name]
    ]
    if clash:
        grown = made.get("grow") and not wanted.get("grow")
        remedy = f"give --grow {made['grow']} too" if grown else "ask for what it was made with"
        raise UserError(
            f"{folder} was made with {'; '.join(clash)}: {remedy}, or name another folder"
        )


def check_run(folder: Path, state: State | None, wanted: Row, more: Sequence[str] = ()) -> None:
    """`check_settings` for a run, whose test set must be as it was, too."""
    check_settings(folder, state, wanted, [*RUN_SETTINGS, *more], "run")
    test = wanted["test"]
    if state and state.facts["test"] != sha256(belonging(test).read_bytes()):
        raise UserError(
            f"{test} is not the test set that the run in {folder} began with: restore it, or choose"
            " another --out"
        )


def cut_logs(folder: Path, state: State | None) -> None:
    """Take back what was logged after a state; without one, all."""
    files = state.facts["files"] if state else {}
    for name in LOGS:
        log = folder / name
        size, checksum = files.get(name, (0, sha256("")))
        if name == MEMORY and state and log.exists():
            cut_memory(log, state.number, size, checksum)
        elif log.exists() and log.stat().st_size > size:
            os.truncate(log, size)


def cut_memory(path: Path, last: int, size: int, checksum: str) -> None:
    """Keep what was stored up to the last round, and what a person made of it.

    Rows of later rounds go, and where what counted is as it was, what a crash tore.
    """
    content = path.read_bytes()
    edited = sha256(content[:size]) != checksum
    start = 0 if edited else size
    lines = content[start:].splitlines()
    kept = [line for line in lines if counts(line, last, edited)]
    left = content[:start] + b"".join(line + b"\n" for line in kept)
    if left != content:
        write(path, left)
    if len(kept) < len(lines):
        gone = len(lines) - len(kept)
        print(f"{path}: {gone} rows of a round that did not count are gone", file=sys.stderr)
    if sha256(left) != checksum:
        count = left.count(b"\n")
        print(f"{path} was edited: its {count} rows count from now on", file=sys.stderr)


def counts(line: bytes, last: int, readable: bool) -> bool:
    """Whether a row is of a round up to the last; `readable` where it can't be read."""
    try:
        return int(json.loads(line)["round"]) <= last
    except (ValueError, TypeError, KeyError):
        return readable


def lock(folder: Path) -> Any:
    """The folder, made if it is missing, for this process alone; keep what is returned.

    The lock goes with the process, however that ends (flock(2)).
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        pass
    except BlockingIOError:
        raise UserError(
            f"another run is at work in {folder}: wait for it, or choose another folder"
        ) from None
    except OSError as error:
        if error.errno not in UNABLE:
            raise
        warn_once(f"{folder} can't be locked: don't start a second run in it")
    return file
