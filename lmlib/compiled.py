"""Compiled functions: numba in strict IEEE arithmetic, kept on disk, shared among threads of our
own.

A function marked `compiled` is called by other compiled functions; one marked `entry` is called
from Python: it is compiled at its first call, by one process of all that start together, and kept
in `FOLDER` for the others. With NUMBA_DISABLE_JIT=1 both are plain Python, and give the same bytes:
a float32 is made of float32 values alone, and an integer of 32 bits is cut back each step.
"""

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
from filelock import FileLock

# No fast-math, so that no multiplication and addition are fused and no sum is reordered: the same
# bytes on every processor.
njit: Any = numba.njit
config: Any = numba.config
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False, "no_cfunc_wrapper": True}
PACKAGE = Path(__file__).parent


def version():
    """A word for all that a compiled function depends on: this package's sources, Python, numba,
    the processor.
    """
    digest = hashlib.sha256(
        f"{sys.version} {numba.__version__} {llvmlite.binding.get_host_cpu_name()}".encode()
    )
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        if b"compiled import" in text or path.name == "compiled.py":
            digest.update(f"{path} {path.stat().st_mtime_ns}".encode() + text)
    return digest.hexdigest()[:12]


def cache_folder():
    """The first folder that can be written: numba's setting, the package's, the user's cache, the
    system's temporary one.
    """
    own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    temporary = (
        Path(tempfile.gettempdir()) / f"lmlib-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    )
    for base in (config.CACHE_DIR, PACKAGE / "__pycache__", Path(own) / "lmlib", temporary):
        folder = Path(base) / f"compiled-{version()}"
        try:
            if base:
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
                return folder
        except OSError:
            continue
    raise OSError(
        f"compiled functions cannot be kept: {temporary} is not writable; set NUMBA_CACHE_DIR to a "
        "folder that is"
    )


FOLDER = cache_folder()


def compiled(function):
    """Compile a function that compiled functions call."""
    return njit(no_cpython_wrapper=True, **OPTIONS)(function)


def inlined(function):
    """Compile a function as a part of each function that calls it.

    So a method is compiled once, and not again at each level of its functions.
    """
    return njit(inline="always", **OPTIONS)(function)


class entry:
    """Compile a function that Python calls, and keep what was compiled on the disk.

    It is always called with arguments of the same types.
    """

    def __init__(self, function: Callable) -> None:
        # numba asks for the age of the function's own file alone; the folder stands for all files
        # that it is made of.
        before, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)
        try:
            self.function = njit(cache=True, **OPTIONS)(function)
        finally:
            config.CACHE_DIR = before
        self.name = f"{function.__module__}.{function.__name__}"
        self.ready, self.typed = bool(config.DISABLE_JIT), None

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments) if self.ready else self.first(*arguments)

    def direct(self, *arguments: Any) -> Any:
        """A call with arguments of the types of the first one, which are not looked at again.

        For a kernel with its nested tuples this takes 1 us instead of 6.
        """
        return self.typed(*arguments) if self.typed else self(*arguments)

    def first(self, *arguments: Any) -> Any:
        """The first call in this process: from the disk, or compiled while other processes wait."""
        marker = FOLDER / f"{self.name}.compiled"
        if marker.exists():
            result = self.function(*arguments)
        else:
            with FileLock(FOLDER / "lock"):
                if not marker.exists():
                    announce()
                result = self.function(*arguments)
                marker.touch()
        self.typed = next(iter(self.function.overloads.values())).entry_point
        self.ready = True
        return result


@functools.cache
def announce() -> None:
    """One line a process, so that somebody who waits knows what for."""
    print(
        f"lmlib compiles its augmentations for this processor, once, in some seconds: {FOLDER}",
        file=sys.stderr,
    )


pool = None  # of threads, made when it is first needed


def forget_threads():
    """A forked process has no threads of its parent's."""
    global pool
    pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_threads)


def share(n_threads, n_items, work):
    """Call `work(start, stop)` for pieces of 0 .. n_items, each item once, among threads; it has to
    release the interpreter.
    """
    global pool
    if n_threads < 2 or n_items < 2:
        work(0, n_items)
        return
    if pool is None or pool._max_workers < n_threads - 1:
        pool = ThreadPoolExecutor(n_threads - 1, thread_name_prefix="lmlib")
    size = -(-n_items // (4 * n_threads))
    starts = iter(
        range(0, n_items, size)
    )  # a list's iterator hands out each start once, whoever asks

    def run():
        for start in starts:
            work(start, min(start + size, n_items))

    others = [pool.submit(run) for _ in range(n_threads - 1)]
    run()
    for other in others:
        other.result()
