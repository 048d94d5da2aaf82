"""Compiled functions: numba in strict IEEE arithmetic, cached on disk, run by threads of our own.

A function marked `compiled` or `inlined` is called by other compiled functions; one marked `entry`
is called from Python. It is compiled at its first call, by one process of all that start together,
and the others read it from `FOLDER`. With NUMBA_DISABLE_JIT=1 all are plain Python, and give the
same bytes: a float32 is made of float32 values alone, and an integer of 32 bits is cut back each
step.
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


def version() -> str:
    """A hash of what compiled functions depend on: our sources, Python, numba, the processor."""
    processor = llvmlite.binding.get_host_cpu_name()
    digest = hashlib.sha256(f"{sys.version} {numba.__version__} {processor}".encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_bytes()
        if b"compiled import" in text or path.name == "compiled.py":
            digest.update(f"{path} {path.stat().st_mtime_ns}".encode() + text)
    return digest.hexdigest()[:12]


def cache_folder() -> Path:
    """The first folder that can be written to.

    They are numba's setting, the package's, the user's cache, the system's temporary one. Raises
    OSError if none can.
    """
    own = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    user = os.getuid() if hasattr(os, "getuid") else "user"
    temporary = Path(tempfile.gettempdir()) / f"lmlib-{user}"
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
        f"compiled functions cannot be cached: {temporary} is not writable; set NUMBA_CACHE_DIR to "
        "a folder that is"
    )


FOLDER = cache_folder()


def compiled(function: Callable) -> Any:
    """Compile a function that compiled functions call."""
    return njit(**OPTIONS)(function)


def inlined(function: Callable) -> Any:
    """Compile a function as a part of each function that calls it.

    So a method is compiled once, and not again at each level of its functions.
    """
    return njit(inline="always", **OPTIONS)(function)


class entry:
    """Compile a function that Python calls, and cache what was compiled on the disk.

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
        marker, lock = FOLDER / f"{self.name}.compiled", FileLock(FOLDER / "lock")
        try:
            if not marker.exists():
                lock.acquire()
                if marker.exists():  # compiled by another one while this one waited
                    lock.release()
                else:
                    announce()
            result = self.function(*arguments)
            marker.touch()
        finally:
            lock.release()
        self.typed = next(iter(self.function.overloads.values())).entry_point
        self.ready = True
        return result


@functools.cache
def announce() -> None:
    """One line a process, so that somebody who waits knows what for."""
    print(
        f"lmlib compiles its functions for this processor, once, in some seconds: {FOLDER}",
        file=sys.stderr,
    )


pool: ThreadPoolExecutor | None = None  # made when it is first needed


def forget_threads() -> None:
    """A forked process has no threads of its parent's."""
    global pool
    pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_threads)


def share(n_threads: int, n_items: int, work: Callable[[int, int], None]) -> None:
    """Call `work(start, stop)` for pieces of 0 .. n_items, each item once, in several threads.

    It has to release the interpreter.
    """
    global pool
    if n_threads < 2 or n_items < 2:
        work(0, n_items)
        return
    if pool is None or pool._max_workers < n_threads - 1:
        pool = ThreadPoolExecutor(n_threads - 1, thread_name_prefix="lmlib")
    size = -(-n_items // (4 * n_threads))
    # An iterator of a range hands out each start once, whichever thread asks.
    starts = iter(range(0, n_items, size))

    def run() -> None:
        for start in starts:
            work(start, min(start + size, n_items))

    others = [pool.submit(run) for _ in range(n_threads - 1)]
    run()
    for other in others:
        other.result()
