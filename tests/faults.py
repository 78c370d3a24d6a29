"""Ways to harm a run, for test_faults.py.

Runs are processes forked from one that has loaded torch (multiprocessing's fork server), so that a tiny one takes a third of a second.  A harm is
a function that a new process calls before its run starts: it limits what the system gives, or puts a fault between the run and its files.
"""

import errno, io, math, multiprocessing, os, random, resource, signal, sys, zlib
from functools import partial
from pathlib import Path

import torch

import loop, train
from minisi import checkpoint, trainer
from minisi.config import configure, parser
from minisi.correct import CORRECTORS
from minisi.generate import Completion
from minisi.runtime import cli
from minisi.tasks import solve

ROOT = Path(__file__).parents[1]
TINY = (
    "--n_layer 1 --n_embd 16 --n_head 1 --n_hidden 16 --base_steps 24 --base_batch 8 --batch 8 --rounds 3 --questions 32 --dev_questions 16"
    " --steps 3 --limit 24 --lr 0.02 --device cpu"
).split()  # fmt: skip
ENDED = 77  # exit code of a process that ended itself at a chosen touch


def server():
    """The fork server, started with one thread and with torch loaded."""
    context, before = multiprocessing.get_context("forkserver"), dict(os.environ)
    context.set_forkserver_preload(["tests.faults", "torch._dynamo"])
    os.environ.update(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


def coin(model, codec, prompts, limit, **sampling):
    """Stands in for decoding: about half of the answers are right, and the least change of the model changes which."""
    state = 1e4 * model(torch.tensor(codec.encode(["3+4|"]), device=model.head.weight.device))[0, -1, 1].item()
    odds = [math.sin(state + zlib.crc32(p.encode())) for p in prompts]
    return [Completion(solve(p[:-1]).target if o > 0 else "1|x", [1], [1 / (1 + math.exp(-abs(o)))], True, [0.5], 0.1) for p, o in zip(prompts, odds)]


def hear():
    """Let signals end this process: one that a shell put in the background was told to ignore them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def play(arguments, log, harms=(), decode=coin):
    """What a forked process does: the program loop.py, harmed, with its output in a file."""
    for number in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    torch.set_num_threads(1)
    hear()
    sys.argv, sys.modules["matplotlib"] = ["loop.py", *arguments], None
    loop.generate, train.SAVE_EVERY = decode, -1  # a base is saved every 20 steps
    for harm in harms:
        harm()
    cli(lambda: loop.loop(configure(vars(parser("").parse_args(arguments)))))


# Faults between a run and its files.


class File:
    """A file that is written: each write is a touch, whose first half is on the way when the fault strikes."""

    def __init__(self, file, path, watch):
        self.file, self.path, self.watch = file, path, watch

    def write(self, content):
        self.watch.touch("write", self.path, lambda: self.file.write(content[: len(content) // 2]) and self.file.flush())
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


class Watch:
    """Counts the touches of files and folders of this process: open, write, fsync, rename, truncate, unlink, mkdir.  At one it strikes.

    It keeps what the disk would have forgotten in a power cut too: bytes of a file since its fsync, names in a folder since the folder's.
    """

    def __init__(self, at, deed, tally):
        self.at, self.deed, self.tally, self.count, self.undo, self.synced = at, deed, tally, 0, [], {}

    def touch(self, name, path, half=lambda: None):
        self.count += 1
        if self.tally:
            with io.open(self.tally, "a") as file:
                file.write(f"{name} {path}\n")
        if self.count == self.at:
            if self.deed in ("SIGTERM", "SIGINT", "SIGHUP"):
                return os.kill(os.getpid(), getattr(signal, self.deed))
            half()
            if self.deed == "EIO":
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            if self.deed == "power cut":
                self.power_cut()
            os._exit(ENDED)

    def power_cut(self):
        for folder, path, content in reversed(self.undo):  # a name comes back with what it stood for, or goes
            Path.write_bytes(path, content) if content is not None else self.real["unlink"](path) if os.path.exists(path) else None
        for path, size in self.synced.items():
            if os.path.exists(path) and os.path.getsize(path) > size:
                self.real["truncate"](path, size)

    def name(self, path):
        """Before a name in a folder changes what it stands for."""
        path = Path(path)
        self.undo.append((str(path.parent), path, path.read_bytes() if path.is_file() else None))

    def install(self):
        self.real = {name: getattr(os, name) for name in ("fsync", "replace", "unlink", "truncate", "mkdir")}
        opened = Path.open

        def open_(path, mode="r", *rest, **more):
            if mode[0] in "wax":
                self.touch("open", path)
                if not path.exists():
                    self.name(path)
                self.synced.setdefault(str(path), path.stat().st_size if mode[0] == "a" and path.exists() else 0)
                return File(opened(path, mode, *rest, **more), path, self)
            return opened(path, mode, *rest, **more)

        def fsync(handle):
            path = os.readlink(f"/proc/self/fd/{handle}")
            self.touch("fsync", path)
            self.real["fsync"](handle)
            self.synced.pop(path, None)
            self.undo = [entry for entry in self.undo if entry[0] != path]

        def replace_(source, target):
            self.touch("rename", target)
            self.name(target)
            self.real["replace"](source, target)
            if str(source) in self.synced:
                self.synced[str(target)] = self.synced.pop(str(source))

        def plain(name, remember):
            def call(path, *rest, **more):
                self.touch(name, path)
                if remember and os.path.exists(path):
                    self.name(path)
                return self.real[name](path, *rest, **more)

            return call

        Path.open, os.fsync, os.replace = open_, fsync, replace_
        os.unlink, os.truncate, os.mkdir = plain("unlink", True), plain("truncate", False), plain("mkdir", False)


def at_touch(at, deed, tally=None):
    """A harm: at the touch number `at`, a `kill`, an `EIO`, a `power cut`, or a signal by its name."""
    return partial(install, at, deed, tally)


def install(at, deed, tally):
    Watch(at, deed, tally).install()


def limit(kind, low):
    """A harm: no more of what the system gives, such as RLIMIT_FSIZE, than this."""
    return partial(resource.setrlimit, getattr(resource, kind), (low, resource.getrlimit(getattr(resource, kind))[1]))


def less_memory():
    """A harm: 4 MiB more than is in use now, and no more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**22, -1))


def no_more_files():
    """A harm: no file can be opened any more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def nobody():
    """A harm: the rights of no one in particular, for whom a read-only folder is one."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def closed_reader():
    """A harm: who reads stdout has gone, as in `python loop.py | head -1`."""
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(reader)


def full_output():
    """A harm: stdout is a file on a full disk."""
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


# Faults in the numbers.


def poison(step, value, times=1, part="pretraining", place="gradient"):
    """A harm: the gradient, or the weight, of one parameter gets a value that is no number at a step, the first `times` that such a step comes by."""
    return partial(poisoned, step, value, times, part, place)


def poisoned(step, value, times, part, place):
    real, left = trainer.fit, [times]

    def fit(model, optimizers, batches, *rest, **more):
        target = next(p for group in optimizers[0].param_groups for p in group["params"])

        def poisoning():
            for n, batch in enumerate(batches):
                handle = None
                if n == step and left[0] > 0:
                    left[0] -= 1
                    if place == "gradient":
                        handle = target.register_hook(lambda grad: torch.full_like(grad, value))
                    else:
                        target.data.view(-1)[0] = value
                yield batch
                if handle:
                    handle.remove()

        return real(model, optimizers, poisoning(), *rest, **more)

    setattr(train if part == "pretraining" else loop, "fit", fit)


# Sabotage, of the smoke preset.


def lie():
    """A harm: 40 % of the corrections are those of another question of the family, by which they look right."""
    honest, rng = CORRECTORS["solver"], random.Random(0)

    def liar(problems, *rest):
        texts, moved = honest(problems, *rest), loop.shifted(problems, honest(problems, *rest))
        return [b if rng.random() < 0.4 else a for a, b in zip(texts, moved)]

    CORRECTORS["solver"] = liar


def pick_nothing():
    """A harm: nothing is picked, and the memory stays empty."""
    loop.pick = lambda arm, rng, flagged, budget: []


def pick_one():
    """A harm: one failure is picked a thousand times."""
    loop.pick = lambda arm, rng, flagged, budget: [flagged.index(True)] * 1000 if True in flagged else []


def say(text):
    """A harm: this is what the model says to all questions but those of the test set, or the right answer where it is None."""
    return partial(said, text)


def said(text):
    def ask(run, problems):
        return [Completion(p.target if text is None else text, [1], [0.999], True, [0.5], 0.0) for p in problems]

    loop.Run.ask = ask


# What is compared.


def tensors(folder):
    """Each tensor of the newest whole state, by its place, as bytes."""
    found = {}

    def walk(value, place):
        if isinstance(value, torch.Tensor):
            found[place] = str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
        elif isinstance(value, (dict, list, tuple)):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                walk(item, f"{place}/{key}")
        else:
            found[place] = value

    walk(checkpoint.read_state(folder).tensors, "")
    return found


def logs(folder):
    """The logs' bytes; of metrics.jsonl without `seconds`."""
    rows = [{**row, "seconds": 0} for row in checkpoint.read_rows(folder / "metrics.jsonl")]
    return {"metrics.jsonl": rows, **{name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in ("memory.jsonl", "answers.jsonl")}}


def outcome(folder):
    """All that must not depend on how often a run was stopped: weights, logs, and which files there are, of run and base."""
    names = sorted(str(path.relative_to(folder)) for part in ("base", "loop") for path in (folder / part).rglob("*"))
    return {"base": tensors(folder / "base"), "run": tensors(folder / "loop"), **logs(folder / "loop"), "names": names}


def different(a, b):
    """What sets two outcomes apart, in short; empty where nothing does."""
    found = [f"{part}: {sorted(set(a[part]) ^ set(b[part]))}" for part in a if part == "names" and a[part] != b[part]]
    return found + [f"{part} differs" for part in a if part != "names" and a[part] != b[part]]
