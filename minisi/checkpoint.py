"""What is on disk.  A folder, of a base or of a run, holds commits: each a file of tensors and a manifest, whose rename makes it count.

    runs/loop/  model-5.pt manifest-5.json    after round 5; those of two rounds before are kept too
                metrics.jsonl answers.jsonl memory.jsonl    logs, which grow by whole rows; a manifest says how long they were
                config.json env.json report.md curve.png    for people: no program depends on them

Nothing that is read is executed: manifests and logs are JSON, tensors are loaded with `weights_only`."""
import hashlib, io, json, os, sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple
import torch
from .config import BASE, Config
from .model import GPT
from .runtime import UserError, torch_dice
from .tokenizer import VOCABULARY

FORMAT = 2  # of a folder; raised when its meaning changes
KEPT = 3  # states of a folder: the newest, and two should that be damaged
LOGS = ("answers.jsonl", "memory.jsonl", "metrics.jsonl")
BASE_SETTINGS = [f.name for f in fields(Config) if f.metadata["group"] in BASE]
RUN_SETTINGS = [f.name for f in fields(Config) if f.name not in ("base", "out", "device", "rounds", "compare", "seeds", "preset")]

def write(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary one beside it, so that `path` never holds half of it, not even after a power cut."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        sync(part)
        part.replace(path)
        sync(path.parent)
    finally:
        part.unlink(missing_ok=True)

def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)

def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    write(path, json.dumps(content, indent=2) + "\n")

def write_tensors(path: Path, tensors: dict[str, Any]) -> None:
    """Write tensors by name, or nested as in an optimiser's state."""
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    write(path, buffer.getvalue())

def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL log; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

def append_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a JSONL log, each as it comes."""
    with path.open("a", buffering=1) as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

def sha256(content: bytes | str) -> str:
    """A checksum that no flipped bit survives."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()

class State(NamedTuple):
    """A commit: its number (a round, or a step of pretraining), what its manifest says beside, and its tensors, on the CPU."""
    number: int
    facts: dict[str, Any]
    tensors: dict[str, Any]

def commit(folder: Path, number: int, tensors: dict[str, Any], facts: dict[str, Any]) -> None:
    """Make this the newest state of the folder, with the logs as they are now; FloatingPointError, and nothing written, where a weight is not finite."""
    if not all(weight.isfinite().all() for weight in tensors["model"].values()):
        raise FloatingPointError("a weight is not finite")
    write_tensors(folder / f"model-{number}.pt", tensors)
    for log in (logs := [folder / name for name in LOGS if (folder / name).exists()]):
        sync(log)
    files = {path.name: [path.stat().st_size, sha256(path.read_bytes())] for path in (folder / f"model-{number}.pt", *logs)}
    text = json.dumps({"format": FORMAT, "vocabulary": sha256(" ".join(VOCABULARY)), "number": number, "files": files, **facts})
    newest = folder / f"manifest-{number}.json"
    for old in [path for path in manifests(folder) if path != newest][KEPT - 1 :]:  # before the rename that counts: a crash then leaves nothing to clear away
        old.with_name(old.name.replace("manifest", "model").replace("json", "pt")).unlink(missing_ok=True)
        old.unlink()
    write(newest, f"{text}\n{sha256(text)}\n")

def manifests(folder: Path) -> list[Path]:
    """The manifests in a folder, newest first."""
    found = {path: path.stem.removeprefix("manifest-") for path in folder.glob("manifest-*.json")}
    return sorted((path for path, number in found.items() if number.isdecimal()), key=lambda path: -int(found[path]))

def read_state(folder: Path) -> State | None:
    """The newest state that is whole, None where there was never one; UserError where all are damaged.  A warning names what is passed over."""
    for path in (found := manifests(folder)):
        try:
            text, checksum = path.read_text().removesuffix("\n").split("\n")
            facts = json.loads(text)
            if sha256(text) != checksum or path.name != f"manifest-{(number := facts.pop('number'))}.json":
                raise ValueError(f"{path.name} is damaged")
            if facts.pop("format") != FORMAT or facts.pop("vocabulary") != sha256(" ".join(VOCABULARY)):
                raise ValueError("another version of minisi made it")
            for name, (size, checksum) in facts["files"].items():
                if sha256((folder / name).read_bytes()[: size if name in LOGS else None]) != checksum:
                    raise ValueError(f"{name} is damaged or cut")
            return State(number, facts, torch.load(folder / f"model-{number}.pt", map_location="cpu", weights_only=True))
        except Exception as error:  # torch.load and json raise nearly anything
            print(f"warning: {path} does not count: {error}", file=sys.stderr)
    if found:
        raise UserError(f"no state in {folder} can be read, for the reasons above: restore its files, or delete {folder} if they are lost")
    return None

def cut_logs(folder: Path, state: State | None) -> None:
    """Take back what was logged after a state; without one, all."""
    for name in LOGS:
        size = state.facts["files"].get(name, [0])[0] if state else 0
        if (folder / name).exists() and (folder / name).stat().st_size > size:
            os.truncate(folder / name, size)

def lock(folder: Path) -> Any:
    """The folder, made if it is missing, for this process alone; the lock goes with the process, however it ends (flock(2)).  Keep what is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        import fcntl
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        pass
    except BlockingIOError:
        raise UserError(f"another run is at work in {folder}: wait for it, or choose another folder") from None
    return file

def new_model(config: Config, device: str, state: State | None = None) -> GPT:
    """The model of a state that was made with these settings, or an untrained one: the same weights for the same seed on every device."""
    model = GPT(len(VOCABULARY), config.n_layer, config.n_embd, config.n_head, config.n_hidden, torch_dice("cpu", config.seed, "weights"))
    if state:
        model.load_state_dict(state.tensors["model"])
    return model.to(device)

def settings(folder: Path, wanted: dict[str, Any], names: Sequence[str] = BASE_SETTINGS, run: bool = False) -> dict[str, Any]:
    """The settings `names` that the state in a folder was made with, none where there is no state.
    Raises UserError where they are not what is wanted, or where a run is found for a base, or a base for a run."""
    state, rows = read_state(folder), folder / "metrics.jsonl"
    lost = state is None and ((folder / "model.pt").exists() or rows.exists() and rows.read_bytes().count(b"\n") > 1)
    if lost or state and ("corrections" in state.facts) != run:
        raise UserError(f"{folder} holds {'files of another version, or without manifest' if lost else 'a base' if run else 'a run'}: name another folder")
    made = {name: state.facts["config"].get(name) for name in names} if state else {}
    clash = [f"{name} {value}, not {wanted[name]}" for name, value in made.items() if wanted.get(name, value) != value]
    if clash:
        raise UserError(f"{folder} was made with {'; '.join(clash)}: leave that option out, or name another folder")
    return made
