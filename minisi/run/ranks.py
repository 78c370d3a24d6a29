"""Several processes as one run, each with its share of the rows: torchrun starts them.

    torchrun --nproc-per-node 2 loop.py

All ranks go through the same program with the same dice.  The first writes and speaks; the others
work in copies of its folders, which need not be on the same machine.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from .config import Config
from .files import sha256
from .runtime import RANK, WORLD, UserError, pick_device


def are_joined() -> bool:
    """Whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized()


def mine(items: Any) -> Any:
    """This rank's share of a list or of rows: every so many-th."""
    return items[RANK::WORLD] if are_joined() else items


def gathered(found: dict[Any, Any]) -> dict[Any, Any]:
    """What all ranks found, put together."""
    if not are_joined():
        return found
    parts = [None] * WORLD
    distributed.all_gather_object(parts, found)
    return {name: value for part in parts for name, value in part.items()}


def add_up(tensors: list[Tensor]) -> None:
    """Replace tensors by their sums over all ranks, in one message."""
    if not are_joined():
        return
    line = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(line)
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, total in zip(tensors, line.split(sizes), strict=True):
        tensor.copy_(total.view_as(tensor))


def divided(work: Callable[[Tensor], Tensor], stack: Tensor) -> Tensor:
    """What the work makes of a stack of matrices (N, m, n), of which each rank does its share."""
    if not are_joined():
        return work(stack)
    done = torch.zeros_like(stack)
    if len(mine(stack)) > 0:
        done[RANK::WORLD] = work(mine(stack))
    distributed.all_reduce(done)
    return done


def check_same(weights: dict[str, Tensor]) -> None:
    """Raise RuntimeError where the ranks' weights differ in a bit."""
    if not are_joined():
        return
    text = "".join(sha256(weight.cpu().numpy().tobytes()) for weight in weights.values())
    if len(set(gathered({RANK: text}).values())) > 1:
        raise RuntimeError("the ranks have different weights")


def take_gpu() -> None:
    """Give this process a GPU of its own; UserError where there are too few."""
    needed = int(os.environ["LOCAL_WORLD_SIZE"])
    found = torch.cuda.device_count()
    if needed > found:
        raise UserError(f"{needed} processes need {needed} GPUs, here are {found}: or --device cpu")
    torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))


@contextmanager
def joined(config: Config, names: tuple[str, ...] = ("base", "out")) -> Iterator[Config]:
    """The settings of this rank, which has met the others, until all have come to the end.

    `names` are the settings that are folders.
    """
    if WORLD == 1:
        yield config
        return
    if min(config.batch, config.base_batch) < WORLD:
        raise UserError(f"--batch and --base_batch must be {WORLD} or more: a row for each process")
    device, _ = pick_device(config.device)
    if device == "cuda":
        take_gpu()
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    packed = [contents(config, names) if RANK == 0 else {}]
    distributed.broadcast_object_list(packed)
    try:
        if RANK == 0:
            yield config
        else:
            with tempfile.TemporaryDirectory() as scratch:
                for name, content in packed[0].items():
                    path = Path(scratch, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                yield replace(config, **{name: f"{scratch}/{name}" for name in names})
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def contents(config: Config, names: tuple[str, ...]) -> dict[str, bytes]:
    """All files of the folders, by the folder's setting and their place in it."""
    found = {}
    for name in names:
        folder = Path(getattr(config, name))
        for path in filter(Path.is_file, folder.rglob("*")):
            found[f"{name}/{path.relative_to(folder)}"] = path.read_bytes()
    return found
