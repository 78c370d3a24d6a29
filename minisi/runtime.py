"""The machine and the dice: which device and why, seeds that don't depend on each other, and what the run ran on."""
import hashlib, os, platform, random, shlex, signal, sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loading it takes seconds, which --help should not
    import torch

class UserError(Exception):
    """Something the user can mend: one sentence with the remedy, shown without a traceback."""

def seed_for(seed: int, purpose: str, round: int = 0) -> int:
    """A seed in [0, 2**63) for one use of randomness, so that neither rounds nor neighbouring seeds share a stream."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}/{round}".encode(), digest_size=8).digest(), "big") >> 1

def dice(seed: int, purpose: str, round: int = 0) -> random.Random:
    """Python's generator for one use of randomness."""
    return random.Random(seed_for(seed, purpose, round))

def torch_dice(device: "str | torch.device", seed: int, purpose: str, round: int = 0) -> "torch.Generator":
    """Torch's generator for one use of randomness, on `device`."""
    import torch
    return torch.Generator(device).manual_seed(seed_for(seed, purpose, round))

def pick_device(asked: str) -> tuple[str, str]:
    """(device, why) for `auto`, `cpu` or `cuda`; raises UserError where cuda is asked for and missing."""
    import torch
    torch.set_flush_denormal(True)  # numbers below 1e-38, which small gradients reach, take a processor a hundred times as long
    if asked == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda was asked for but torch sees no GPU: use --device cpu")
    if asked != "cpu" and torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    return "cpu", f"{torch.get_num_threads()} threads" + (", torch sees no GPU" if asked == "auto" else "")

def environment(device: str, why: str) -> dict:
    """What a reader needs to judge a time: versions, processor, threads, device."""
    import torch
    versions = dict(python=platform.python_version(), torch=torch.__version__, system=platform.system(), machine=platform.machine())
    return versions | dict(cpu_capability=torch.backends.cpu.get_cpu_capability(), cores=os.cpu_count(), threads=torch.get_num_threads(), device=device, why=why)

def peak_memory() -> int:
    """The most memory that this process has held so far, in MiB; 0 where the system doesn't tell."""
    if sys.platform == "win32":
        return 0
    from resource import RUSAGE_SELF, getrusage
    return getrusage(RUSAGE_SELF).ru_maxrss // (2**20 if sys.platform == "darwin" else 2**10)

def cli(main: Callable[[], None]) -> None:
    """Run a program's `main` with the exit codes of the README: 0 finished, 1 failed, 130 interrupted, 143 terminated (argparse: 2 usage)."""
    def stop(number: int, frame: Any) -> None:
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, lambda number, frame: None)  # the first one counts
        raise KeyboardInterrupt(128 + number)
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        sys.exit(f"error: cannot use{where}: {error.strerror or error}; check the path, its rights and the free space")
    except KeyboardInterrupt as signalled:
        code = next(iter(signalled.args), 130)
        print(f"{'terminated' if code == 143 else 'interrupted'}: what is finished is saved, and the same command goes on from there: {shlex.join(['python', *sys.argv])}", file=sys.stderr)
        sys.exit(code)
