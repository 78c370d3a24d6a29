"""The machine and the dice: which device and why, seeds that don't depend on each other."""

import ctypes
import hashlib
import os
import platform
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # loading it takes seconds, which --help should not
    import torch


Row = dict[str, Any]  # values by name: settings, figures, what a line of a log holds
STOPPING = (signal.SIGINT, signal.SIGTERM)
PACKAGES = ("torch", "numpy", "tqdm", "tokenizers")
ROOT = Path(__file__).resolve().parents[2]  # of the project
TORCHRUN = "TORCHELASTIC_RUN_ID" in os.environ  # which started several processes as one run
RANK = int(os.environ["RANK"]) if TORCHRUN else 0  # of this process
WORLD = int(os.environ["WORLD_SIZE"]) if TORCHRUN else 1  # how many they are


class UserError(Exception):
    """Something the user can mend: one sentence with the remedy, shown without a traceback."""


def seed_for(seed: int, purpose: str, round: int = 0) -> int:
    """A seed in [0, 2**63) for one use of randomness.

    Neither rounds nor neighbouring seeds share a stream.
    """
    key = f"{seed}/{purpose}/{round}".encode()
    digest = hashlib.blake2b(key, digest_size=8).hexdigest()
    return int(digest, 16) >> 1


def dice(seed: int, purpose: str, round: int = 0) -> Random:
    """Python's generator for one use of randomness."""
    return Random(seed_for(seed, purpose, round))


def torch_dice(
    device: "str | torch.device", seed: int, purpose: str, round: int = 0
) -> "torch.Generator":
    """Torch's generator for one use of randomness, on `device`."""
    import torch

    return torch.Generator(device).manual_seed(seed_for(seed, purpose, round))


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """The items in order, `size` at a time."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def pick_device(asked: str) -> tuple[str, str]:
    """(device, why) for `auto`, `cpu` or `cuda`; UserError where cuda is asked for and missing."""
    import torch

    # Small gradients reach numbers below 1e-38, which take a processor a hundred times as long.
    torch.set_flush_denormal(True)
    multiply_fast()
    if asked != "cpu" and torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name()
    if asked == "cuda":
        raise UserError("--device cuda was asked for but torch sees no GPU: use --device cpu")
    threads = f"{torch.get_num_threads()} threads"
    return "cpu", threads if asked == "cpu" else f"{threads}, torch sees no GPU"


def multiply_fast() -> None:
    """Take oneDNN's float32 products, on some processors twice as fast as torch's choice.

    Torch takes them where it may round to bfloat16.  Where the processor would, as one with AMX
    does with stacks of matrices and with large ones, it may not: answers are read and written in
    float32.
    """
    import torch

    settings = torch.backends.mkldnn.matmul
    settings.fp32_precision = "bf16"
    precise = torch.full((2, 1024, 256), 1 + 2**-12)
    one = torch.eye(256)
    stack = precise @ one.expand(2, 256, 256)
    large = precise[0] @ one
    if (stack != precise).any() or (large != precise[0]).any():
        settings.fp32_precision = "ieee"


@contextmanager
def torchs_products() -> Iterator[None]:
    """Take torch's own float32 products for a while.

    Where one query meets many keys, more than 128 of width 32, oneDNN's take five times as long.
    """
    import torch

    settings = torch.backends.mkldnn.matmul
    taken = settings.fp32_precision
    settings.fp32_precision = "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = taken


@cache
def has_bfloat16(device: str) -> bool:
    """Whether a GPU multiplies bfloat16, or a processor of x86 has instructions for it."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported()


def environment(device: str, why: str) -> Row:
    """What a reader needs to judge a time: versions, processor, threads, device."""
    import torch

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "bfloat16": has_bfloat16(device),
        "device": device,
        "why": why,
    }


def peak_memory() -> int:
    """The most memory this process has held so far, in MiB; 0 where the system doesn't tell."""
    if sys.platform == "win32":
        return 0
    from resource import RUSAGE_SELF, getrusage

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return getrusage(RUSAGE_SELF).ru_maxrss // unit


def give_back() -> None:
    """Return memory that was freed to the system: glibc keeps it, and its pieces fit ever less."""
    with suppress(OSError, TypeError, AttributeError):  # where the C library is another one
        ctypes.CDLL(None).malloc_trim(0)


@cache
def warn_once(text: str) -> None:
    """Tell the user what is not as it should be, and go on."""
    print(f"warning: {text}", file=sys.stderr)


def belonging(path: str) -> Path:
    """A file of the user's, or else of the project, from wherever the program was started."""
    shipped = ROOT / path
    return shipped if shipped.exists() and not Path(path).exists() else Path(path)


def typed() -> str:
    """The command that started this program, as a person would give it again."""
    threads = os.environ.get("OMP_NUM_THREADS")
    program = ["python"]
    if WORLD > 1:
        program = ["torchrun", "--nproc-per-node", os.environ["LOCAL_WORLD_SIZE"]]
    command = shlex.join([*program, *sys.argv])
    return f"OMP_NUM_THREADS={threads} {command}" if threads else command


def stop(number: int, frame: Any) -> None:
    """What the first SIGINT or SIGTERM does; later ones are ignored."""
    for other in STOPPING:
        signal.signal(other, lambda number, frame: None)
    raise KeyboardInterrupt(128 + number)


def early(number: int, frame: Any) -> None:
    """What a signal does while libraries are loaded, which an exception would leave half loaded."""
    os.write(2, b"interrupted before anything began\n")
    os._exit(128 + number)


def missing(kind: type, error: BaseException, trace: Any) -> None:
    """What an exception leaves: one line where it is that a package is not installed."""
    if isinstance(error, ModuleNotFoundError) and error.name in PACKAGES:
        print(f"error: no {error.name} here: pip install -r requirements.txt", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def loading() -> None:
    """Until `cli` takes over, a signal or a missing package ends the program in one line."""
    sys.excepthook = missing
    for number in STOPPING:
        signal.signal(number, early)


def open_streams() -> None:
    """Have a stdout and a stderr, and what they can't show escaped.

    Where several processes are one run, the first one speaks for all.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None or RANK > 0:  # None: it was closed by who started us
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        getattr(sys, name).reconfigure(errors="backslashreplace")


def of_memory(error: Exception) -> str:
    """What to say where it is memory that was missing; empty where it is something else."""
    text = str(error)
    needed = re.search(r"memory.*?(tried to allocate [\d.]+ \w+)", text, re.IGNORECASE)
    too_large = "size calculation overflowed" in text
    if not (needed or too_large or isinstance(error, MemoryError)):
        return ""
    what = f": it {needed[1]}" if needed else ""
    return (
        f"error: the memory is too small{what}; smaller --n_embd, --n_hidden, --n_layer, --r,"
        " --limit or --batch, or --micro_batch 8, need less"
    )


def of_others(error: Exception) -> str:
    """What to say where it is another process of the run that has ended; else empty."""
    if WORLD == 1 or not re.search("gloo|nccl|closed by peer", str(error), re.IGNORECASE):
        return ""
    return f"error: another process of this run has ended; the same command goes on: {typed()}"


def cli(main: Callable[[], None], goes_on: bool = True) -> None:
    """Run a program's `main` and exit: 0 finished, 1 failed, 130 interrupted, 143 terminated.

    141 where nobody reads the output any more.  argparse has exited with 2 before, where the
    command line made no sense.  `goes_on` says whether the same command would go on.
    """
    for number in STOPPING:
        signal.signal(number, stop)
    open_streams()
    try:
        ended(main, goes_on)
    except (Exception, SystemExit) as error:
        if RANK > 0 and not isinstance(getattr(error, "code", ""), int):
            time.sleep(3)  # if the first process fails as well, it says so, and all are ended
            sys.stderr = sys.__stderr__
        raise


def ended(main: Callable[[], None], goes_on: bool) -> None:
    """Run `main`; what ends it early becomes a sentence and an exit code."""
    try:
        main()
        sys.stdout.flush()
    except UserError as error:
        sys.exit(f"error: {error}")
    except (MemoryError, RuntimeError) as error:
        told = of_memory(error) or of_others(error)
        if not told:
            raise
        sys.exit(told)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        again = ". What was finished is safe: then the same command goes on" if goes_on else ""
        sys.exit(
            f"error: cannot use{where}: {error.strerror or error};"
            f" check the path, its rights and the free space{again}"
        )
    except KeyboardInterrupt as signalled:
        code = next(iter(signalled.args), 130)
        ended = "terminated" if code == 143 else "interrupted"
        saved = ": what is finished is saved, and the same command goes on from there: "
        with suppress(OSError):  # where nobody reads it any more
            print(f"{ended}{saved}{typed()}" if goes_on else ended, file=sys.stderr)
        sys.exit(code)
