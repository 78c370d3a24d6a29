"""What is on disk: the base folder and the run folder.  Files are written whole or not at all, but for the logs, which grow by a row."""

import hashlib
import io
import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .config import BASE, Config
from .model import GPT
from .runtime import UserError, torch_dice
from .tokenizer import VOCABULARY

FORMAT = 1  # of a base folder; raised when its meaning changes

def write(path: Path, content: bytes | str) -> None:
    """Write a file through a temporary one beside it, so that `path` never holds half of it."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

def write_json(path: Path, content: Any) -> None:
    """Write JSON that a person can read."""
    write(path, json.dumps(content, indent=2) + "\n")

def read_json(path: Path) -> Any:
    """What `write_json` wrote."""
    return json.loads(path.read_text())

def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors by name."""
    buffer = io.BytesIO()
    torch.save({name: tensor.detach().cpu() for name, tensor in tensors.items()}, buffer)
    write(path, buffer.getvalue())

def new_model(config: Config, device: str) -> GPT:
    """An untrained model; the same weights for the same seed on every device."""
    generator = torch_dice("cpu", config.seed, "weights")
    return GPT(len(VOCABULARY), config.n_layer, config.n_embd, config.n_head, config.n_hidden, generator).to(device)

def save_base(folder: Path, config: Config, model: GPT) -> None:
    """Write a base; its manifest, with the checksum of the weights, comes last and makes it valid."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / "model.pt", model.state_dict())
    settings = {f.name: getattr(config, f.name) for f in fields(config) if f.metadata["group"] in BASE}
    write_json(folder / "config.json", {**settings, "seed": config.seed})
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("model.pt", "config.json")}
    write_json(folder / "manifest.json", {"format": FORMAT, "vocabulary": VOCABULARY, "sha256": files})

def read_base(folder: Path, name: str) -> bytes:
    """A file of a base or run folder; ValueError where it is not what the folder's manifest says."""
    content = (folder / name).read_bytes()
    if (folder / "manifest.json").exists():
        manifest = read_json(folder / "manifest.json")
        if manifest["format"] != FORMAT or manifest["vocabulary"] != VOCABULARY:
            raise ValueError("another version of minisi made it")
        if manifest["sha256"][name] != hashlib.sha256(content).hexdigest():
            raise ValueError(f"{name} is not what the manifest says")
    return content

def read_settings(folder: Path, given: dict[str, Any] | None = None) -> dict[str, Any]:
    """The settings that a folder's model was made with; raises UserError where they can't be read or clash with what was given."""
    try:
        made = json.loads(read_base(folder, "config.json"))
        settings = {f.name: type(f.default)(made[f.name]) for f in fields(Config) if f.metadata["group"] in BASE}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"cannot read {folder / 'config.json'} ({error}): delete {folder} and run again") from None
    clash = [f"{name} {value}, not {given[name]}" for name, value in settings.items() if given and given.get(name, value) != value]
    if clash:
        raise UserError(f"the base in {folder} was made with {'; '.join(clash)}: leave that option out, or name another folder with --base")
    return settings

def load_weights(folder: Path, config: Config, device: str) -> GPT:
    """The model of a base or run folder; raises UserError where it is missing, damaged, or of another shape."""
    model = new_model(config, device)
    try:
        content = read_base(folder, "model.pt")
        model.load_state_dict(torch.load(io.BytesIO(content), map_location=device, weights_only=True))
    except Exception as error:  # torch.load raises nearly anything on a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot load the model in {folder} ({reason}): delete {folder} and run again") from None
    return model

def has_base(folder: Path) -> bool:
    """Whether a finished base is there; raises UserError where a run is."""
    if (folder / "metrics.jsonl").exists():
        raise UserError(f"{folder} holds a run, not a base: name another folder")
    return (folder / "manifest.json").exists()

def new_run(folder: Path, config: Config, environment: dict[str, Any]) -> None:
    """Make a run folder; raises UserError where it already holds a run."""
    if any((folder / name).exists() for name in ("metrics.jsonl", "memory.jsonl", "manifest.json")):
        raise UserError(f"{folder} already holds a run or a base: choose another --out, or delete it")
    (folder / "adapters").mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", asdict(config))
    write_json(folder / "env.json", environment)

def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL log; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add one row to a JSONL log."""
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
