"""What a run made, for other tools: a model of `transformers`, adapters of PEFT, a data set.

exported/                 config.json, model.safetensors, tokenizer.json and what goes with them
exported/base/            the same of the base, if its folder is still there
exported/adapters/        a folder for each round whose adapter was kept, to be merged one after the
                          other; of an arm that restarts the last alone
exported/data/            sft.jsonl and preferences.jsonl, with a card
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders
from torch import Tensor

from ..model.tokenizer import Codec
from ..run.checkpoint import read_state
from ..run.config import Config, is_for_results
from ..run.files import read_rows, write, write_json
from ..run.runtime import Row, UserError
from ..tasks.problems import BAR
from .ask import load
from .peers import NAMES, PARTS, olmo

CARD = """---
configs:
- config_name: sft
  data_files: sft.jsonl
- config_name: preferences
  data_files: preferences.jsonl
---
# What a small language model got wrong or was unsure of, and the corrections

`sft.jsonl` has `prompt` and `completion`. `preferences.jsonl` has `prompt`, `chosen`, and
`rejected`, which is what the model had said. A completion is `steps{bar}answer`. The run's arm was
`{arm}`, and its corrector `{corrector}`: with `vote` nobody looked whether a correction is right.
"""


def export(run: str, to: str) -> None:
    """Write all of a run in a folder; UserError where the packages for it are missing."""
    try:
        import safetensors  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise UserError("export needs transformers: pip install transformers") from None
    folder = Path(to)
    if not is_for_results(to) or (folder.exists() and any(folder.iterdir())):
        raise UserError(f"{to} is no new or empty folder: name another one with --to")
    config = write_model(run, folder)
    if Path(config.base).is_dir():
        write_model(config.base, folder / "base")
    rows = read_rows(Path(run, "metrics.jsonl"))
    kept = [row for row in rows if row["scale"] and row["round"]]
    if read_state(Path(run)).tensors.get("base"):  # each round's adapter is on the base
        kept = kept[-1:]
    for row in kept:
        name = f"round_{row['round']:02d}"
        path = Path(run, "adapters", f"{name}.pt")
        if path.exists():  # other arms train other weights
            write_adapter(path, config, row["scale"], folder / "adapters" / name)
    write_memory(read_rows(Path(run, "memory.jsonl")), config, folder / "data")


def write_model(run: str, folder: Path) -> Config:
    """Weights and tokenizer of a run or a base; returns its settings."""
    from transformers import PreTrainedTokenizerFast

    model, config, codec, _ = load(run, "cpu")
    olmo(model).save_pretrained(folder)
    words = PreTrainedTokenizerFast(tokenizer_object=joined(codec), eos_token=codec.vocabulary[0])
    words.save_pretrained(folder)
    return config


def joined(codec: Codec) -> Tokenizer:
    """Our tokenizer with a decoder that puts the pieces together as they are."""
    made = Tokenizer.from_str(codec.tokenizer.to_str())
    made.decoder = decoders.Fuse()
    return made


def write_adapter(path: Path, config: Config, scale: float, folder: Path) -> None:
    """A round's adapter in PEFT's format; how strong the gate left it is part of its alpha."""
    from safetensors.torch import save_file

    weights = torch.load(path, map_location="cpu", weights_only=True)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(split(weights), folder / "adapter_model.safetensors")
    settings: dict[str, Any] = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none"}
    settings |= {"r": config.r, "lora_alpha": config.lora_alpha * scale, "lora_dropout": 0.0}
    write_json(folder / "adapter_config.json", settings | {"target_modules": NAMES})


def split(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adapters of fused matrices as one for each part: all have the same A, and their rows of B."""
    found = {}
    for name, weight in weights.items():
        _, layer, matrix, kind = name.split(".")
        parts = PARTS[matrix]
        pieces = weight.chunk(len(parts)) if kind == "lora_B" else [weight] * len(parts)
        for part, piece in zip(parts, pieces, strict=True):
            key = f"base_model.model.model.layers.{layer}.{part}.{kind}.weight"
            found[key] = piece.clone().contiguous()
    return found


def write_memory(rows: list[Row], config: Config, folder: Path) -> None:
    """The corrected failures as a data set for supervised and for preference training."""
    corrected = [row for row in rows if row["completion"] and row["source"] != "own"]
    if not corrected:
        return
    folder.mkdir(parents=True, exist_ok=True)
    sft = [{"prompt": row["prompt"], "completion": row["completion"]} for row in corrected]
    preferences = []
    for row in corrected:
        rejected = f"{row['wrong_steps']}{BAR}{row['said']}"
        if rejected != row["completion"]:
            pair = {"chosen": row["completion"], "rejected": rejected}
            preferences.append({"prompt": row["prompt"], **pair})
    for name, made in (("sft", sft), ("preferences", preferences)):
        write(folder / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in made))
    write(folder / "README.md", CARD.format(bar=BAR, arm=config.arm, corrector=config.corrector))
