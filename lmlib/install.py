"""The environment: does this Python satisfy requirements.txt (`check`), and making `.venv` (`make`). Standard library only."""

import fcntl
import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOWNLOAD = {"Linux": (3.3, 6.8), "Darwin": (0.6, 2)}
"""System -> GB to download and GB on disk: measured on Linux x86-64 in November 2026 (it carries CUDA), estimated for macOS."""
CHECKOUT = ("-q", "--no-deps", "--no-build-isolation", "-e", ROOT)
"""What pip takes to install this checkout alone."""


def pip(python, *words, **how):
    """`python -m pip install` with these words: what `subprocess.run` returns."""
    return subprocess.run([python, "-m", "pip", "install", *words], check=False, **how)


def missing():
    """The first thing that requirements.txt asks for and this Python does not have, in pip's words; empty where it has all."""
    words = [
        "--isolated",
        "--dry-run",
        "--no-index",
        "--no-deps",
        "-q",
        "-r",
        ROOT / "requirements.txt",
    ]
    result = pip(sys.executable, *words, capture_output=True, text=True)
    return result.stderr.strip().rpartition("\n")[2] if result.returncode else ""


def installed_here():
    """Whether `import lmlib` means this checkout, from any folder."""
    code = "import lmlib; print(lmlib.__file__)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False
    )
    return result.stdout.strip() == str(ROOT / "lmlib" / "__init__.py")


def check():
    """Raise SystemExit if this Python cannot run the study; the checkout itself is installed into it if only that was missing."""
    if lacks := missing():
        sys.exit(f"{sys.prefix} does not satisfy requirements.txt ({lacks}): not used")
    if not installed_here():
        print(f"Installing this checkout into {sys.prefix} ...", flush=True)
        pip(sys.executable, *CHECKOUT).check_returncode()


def make():
    """Make `.venv` and install requirements.txt and this checkout into it; a second caller waits for the first.

    Raises SystemExit with a sentence where the disk is too full, or a step fails.
    """
    target = ROOT / ".venv"
    python = target / "bin" / "python"
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        check_it = [python, "-m", "lmlib.install", "check"]
        if python.exists() and subprocess.run(check_it, cwd=ROOT, check=False).returncode == 0:
            return
        download, disk = DOWNLOAD.get(platform.system(), DOWNLOAD["Linux"])
        free = shutil.disk_usage(ROOT).free / 1e9
        room = (
            f"about {download} GB to download, {disk} GB on disk; {free:.0f} GB are free at {ROOT}"
        )
        print(f"Making .venv: {room}.", flush=True)
        if free < disk + 1:
            sys.exit(
                "error: that is too little: free some space, or activate an environment that has the packages"
            )
        bar = "on" if sys.stdout.isatty() else "off"
        made = (
            subprocess.run([sys.executable, "-m", "venv", target], check=False).returncode == 0
            and pip(python, "--progress-bar", bar, "-r", ROOT / "requirements.txt").returncode == 0
            and pip(python, *CHECKOUT).returncode == 0
        )
        if not made:
            sys.exit(
                "error: the environment could not be made (see above); ./run_all.sh goes on where it stopped"
            )


def words():
    """Check the words of a command before anything is installed: exit code 10 if they are right, 2 if not, 0 after --help."""
    from .__main__ import parse

    try:
        parse(sys.argv[2:])
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 10


if __name__ == "__main__":
    sys.exit({"check": check, "make": make, "words": words}[sys.argv[1]]())
