"""What a run leaves, to be compared with what another left."""

import torch

from minisi.run.checkpoint import LOGS, read_state
from minisi.run.files import read_rows


def leaves(value, place=""):
    """(place, value) of all that is nested in a value; tensors as their bytes."""
    if isinstance(value, torch.Tensor):
        content = value.contiguous().numpy().tobytes()
        yield place, (str(value.dtype), tuple(value.shape), content)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{place}/{key}")
    elif isinstance(value, (list, tuple)):
        yield from leaves(dict(enumerate(value)), place)
    else:
        yield place, value


def tensors(folder):
    """Each tensor of the newest whole state, the optimisers' included, by its place."""
    return dict(leaves(read_state(folder).tensors))


def logs(folder):
    """The logs' bytes; of metrics.jsonl the rows, without `seconds`."""
    paths = [folder / name for name in LOGS]
    found = {path.name: path.read_bytes() if path.exists() else b"" for path in paths}
    rows = read_rows(folder / "metrics.jsonl")
    return found | {"metrics.jsonl": [{**row, "seconds": 0} for row in rows]}


def outcome(folder):
    """All that must not depend on how often a run was stopped.

    Weights, logs, and which files there are, of run and base.
    """
    paths = [path for part in ("base", "loop") for path in (folder / part).rglob("*")]
    names = sorted(str(path.relative_to(folder)) for path in paths)
    found = {"base": tensors(folder / "base"), "run": tensors(folder / "loop")}
    return {**found, **logs(folder / "loop"), "names": names}


def different(a, b):
    """What sets two outcomes apart, in short; empty where nothing does."""
    found = [f"{part} differs" for part in a if a[part] != b[part]]
    alone = sorted(set(a["names"]) ^ set(b["names"]))
    return found + [f"{name} is of one alone" for name in alone]


def finite(folder):
    """Whether all weights of all states of a run or base are finite."""
    models = [torch.load(path, weights_only=True)["model"] for path in folder.glob("model-*.pt")]
    return all(weight.isfinite().all() for model in models for weight in model.values())
