"""Faults between a run and its files: it ends, or is told of an error, at any touch of the disk."""

import errno
import os
import pathlib
import signal
from functools import partial
from pathlib import Path

ENDED = 77  # exit code of a process that ended itself at a chosen touch
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")


def at_touch(at, deed, tally=None):
    """A harm: at the touch number `at`, a `kill`, an `EIO`, a `power cut`, or a signal by name.

    The file `tally` gets a line for each touch.
    """
    return partial(watch, at, deed, tally)


def watch(at, deed, tally):
    """Put a Watch between this process and its files."""
    Watch(at, deed, tally).install()


class File:
    """A file that is written: each write is a touch, and half done when the fault strikes."""

    def __init__(self, file, path, watch):
        self.file = file
        self.path = path
        self.watch = watch

    def write(self, content):
        self.watch.touch("write", self.path, partial(self.write_half, content))
        return self.file.write(content)

    def write_half(self, content):
        self.file.write(content[: len(content) // 2])
        self.file.flush()

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


class Watch:
    """Counts the touches of files and folders by this process, and strikes at one of them.

    A touch is an open, write, fsync, rename, truncate, unlink or mkdir.  What a power cut would
    take is remembered: the bytes of a file since its fsync, the names in a folder since its own.
    """

    def __init__(self, at, deed, tally):
        self.at = at
        self.deed = deed
        self.tally = tally
        self.count = 0
        self.undo = []  # (folder, path, what it stood for) since the folder was synced, if anything
        self.synced = {}  # path -> how many of its bytes are safe, while not all are
        self.open_path = Path.open
        names = ("fsync", "replace", "unlink", "truncate", "mkdir")
        self.real = {name: getattr(os, name) for name in names}

    def install(self):
        def open_watched(path, mode="r", *rest, **more):
            return self.open(path, mode, *rest, **more)

        Path.open = open_watched
        os.fsync = self.fsync
        os.replace = self.rename
        os.unlink = self.unlink
        os.truncate = partial(self.plain, "truncate")
        os.mkdir = partial(self.plain, "mkdir")
        accessor = getattr(pathlib, "_NormalAccessor", None)
        if accessor:  # Python 3.10 has taken these functions before
            for name in ("replace", "unlink", "mkdir"):
                setattr(accessor, name, staticmethod(getattr(os, name)))

    def touch(self, name, path, write_half=None):
        self.count += 1
        if self.tally:
            with open(self.tally, "a") as file:
                file.write(f"{name} {path}\n")
        if self.count == self.at:
            self.strike(path, write_half)

    def strike(self, path, write_half):
        if self.deed in SIGNALS:
            os.kill(os.getpid(), getattr(signal, self.deed))
            return
        if write_half:
            write_half()
        if self.deed == "EIO":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        if self.deed == "power cut":
            self.cut_power()
        os._exit(ENDED)

    def cut_power(self):
        """Leave what the disk would have kept."""
        for _, path, content in reversed(self.undo):
            self.put_back(path, content)
        for path, size in self.synced.items():
            if os.path.exists(path) and os.path.getsize(path) > size:
                self.real["truncate"](path, size)

    def put_back(self, path, content):
        """A name stands again for what it stood for, or for nothing."""
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)
        elif os.path.exists(path):
            self.real["unlink"](path)

    def remember(self, path):
        """Called before a name in a folder changes what it stands for."""
        path = Path(path)
        content = None
        if path.is_file():
            with open(path, "rb") as file:
                content = file.read()
        self.undo.append((str(path.parent), path, content))

    # What takes the place of functions of the system.

    def open(self, path, mode, *rest, **more):
        if mode[0] not in "wax":
            return self.open_path(path, mode, *rest, **more)
        self.touch("open", path)
        there = path.exists()
        if not there:
            self.remember(path)
        kept = path.stat().st_size if there and mode[0] == "a" else 0
        self.synced.setdefault(str(path), kept)
        return File(self.open_path(path, mode, *rest, **more), path, self)

    def fsync(self, handle):
        path = os.readlink(f"/proc/self/fd/{handle}")
        self.touch("fsync", path)
        self.real["fsync"](handle)
        self.synced.pop(path, None)
        self.undo = [entry for entry in self.undo if entry[0] != path]

    def rename(self, source, target):
        self.touch("rename", target)
        self.remember(target)
        self.real["replace"](source, target)
        if str(source) in self.synced:
            self.synced[str(target)] = self.synced.pop(str(source))

    def unlink(self, path):
        self.touch("unlink", path)
        if os.path.exists(path):
            self.remember(path)
        self.real["unlink"](path)

    def plain(self, name, path, *rest, **more):
        self.touch(name, path)
        return self.real[name](path, *rest, **more)
