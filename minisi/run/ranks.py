"""Several processes as one run, each with its share of the rows: torchrun starts them.

    torchrun --nproc-per-node 2 loop.py

All ranks go through the same program with the same dice.  The first writes and speaks; the others
work in copies of its folders, which need not be on the same machine.
"""

import io
import os
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from .config import Config
from .files import sha256
from .runtime import RANK, WORLD, UserError, pick_device


def mine(items: Sequence[Any]) -> Sequence[Any]:
    """This rank's share: every so many-th."""
    return items[RANK::WORLD]


def gathered(found: dict[Any, Any]) -> dict[Any, Any]:
    """What all ranks found, put together."""
    if WORLD == 1:
        return found
    parts = [None] * WORLD
    distributed.all_gather_object(parts, found)
    return {name: value for part in parts for name, value in part.items()}


def add_up(tensors: list[Tensor]) -> None:
    """Replace tensors by their sums over all ranks, in one message."""
    if WORLD == 1:
        return
    line = torch.cat([tensor.flatten() for tensor in tensors])
    distributed.all_reduce(line)
    sizes = [tensor.numel() for tensor in tensors]
    for tensor, total in zip(tensors, line.split(sizes), strict=True):
        tensor.copy_(total.view_as(tensor))


def check_same(weights: dict[str, Tensor]) -> None:
    """Raise RuntimeError where the ranks' weights differ in a bit."""
    text = "".join(sha256(weight.cpu().numpy().tobytes()) for weight in weights.values())
    if len(set(gathered({RANK: text}).values())) > 1:
        raise RuntimeError("the ranks have different weights")


@contextmanager
def joined(config: Config) -> Iterator[Config]:
    """The settings of this rank, which has met the others, until all have come to the end."""
    if WORLD == 1:
        yield config
        return
    if min(config.batch, config.base_batch) < WORLD:
        raise UserError(f"--batch and --base_batch must be {WORLD} or more: a row for each process")
    device, _ = pick_device(config.device)
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    folders = {"base": config.base, "out": config.out}
    packed = [pack(folders) if RANK == 0 else b""]
    distributed.broadcast_object_list(packed)
    try:
        if RANK == 0:
            yield config
        else:
            with tempfile.TemporaryDirectory() as scratch:
                with tarfile.open(fileobj=io.BytesIO(packed[0])) as tar:
                    tar.extractall(scratch, filter="data")
                yield replace(config, **{name: f"{scratch}/{name}" for name in folders})
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def pack(folders: dict[str, str]) -> bytes:
    """The folders in a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, folder in folders.items():
            if Path(folder).exists():
                tar.add(folder, name)
    return buffer.getvalue()
