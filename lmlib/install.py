"""The environment: does this Python satisfy requirements.txt (`check`), and making `.venv` (`make`). Standard library only."""

import fcntl
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOWNLOAD = {"Linux": (3.3, 6.8), "Darwin": (0.6, 2)}
"""System -> GB to download and GB on disk: measured on Linux x86-64 in November 2026 (it carries CUDA), estimated for macOS."""


def pins():
    """The pinned packages that hold on this machine: a list of (name, version)."""
    from pip._vendor.packaging.requirements import Requirement

    lines = (line.strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [(r.name, next(iter(r.specifier)).version) for r in wanted if r.marker is None or r.marker.evaluate()]


def missing():
    """What requirements.txt asks for and this Python does not have, in words: a list."""
    found = []
    for name, wanted in pins():
        try:
            # A local build such as 2.15.0+cpu satisfies the pin.
            if version(name).split("+")[0] == wanted:
                continue
            found.append(f"{name} {version(name)} instead of {wanted}")
        except PackageNotFoundError:
            found.append(f"{name} {wanted} is not there")
    return found


def installed_here():
    """Whether `import lmlib` means this checkout, from any folder."""
    code = "import lmlib; print(lmlib.__file__)"
    result = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=False)
    return result.stdout.strip() == str(ROOT / "lmlib" / "__init__.py")


def check():
    """Exit code 0 if this Python can run the study; the checkout itself is installed into it if only that was missing."""
    try:
        if lacks := missing():
            more = f" and {len(lacks) - 1} more" if lacks[1:] else ""
            print(f"{sys.prefix} does not satisfy requirements.txt ({lacks[0]}{more}): not used", file=sys.stderr)
            return 1
    except ImportError:  # an environment without pip is not one we can complete
        return 1
    if not installed_here():
        print(f"Installing this checkout into {sys.prefix} ...", flush=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT], check=True
        )
    return 0


def make():
    """Make `.venv` and install requirements.txt and this checkout into it; a second caller waits for the first."""
    target = ROOT / ".venv"
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = target / "bin" / "python"
        if (
            python.exists()
            and subprocess.run([python, "-m", "lmlib.install", "check"], cwd=ROOT, check=False).returncode == 0
        ):
            return 0
        download, disk = DOWNLOAD.get(platform.system(), DOWNLOAD["Linux"])
        free = shutil.disk_usage(ROOT).free / 1e9
        print(
            f"Making .venv: about {download} GB to download, {disk} GB on disk; {free:.0f} GB are free at {ROOT}.",
            flush=True,
        )
        if free < disk + 1:
            print(
                "error: that is too little: free some space, or activate an environment that has the packages",
                file=sys.stderr,
            )
            return 1
        steps = [
            [sys.executable, "-m", "venv", target],
            [
                python,
                "-m",
                "pip",
                "install",
                "--progress-bar",
                "on" if sys.stdout.isatty() else "off",
                "-r",
                ROOT / "requirements.txt",
            ],
            [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "-e", ROOT],
        ]
        for step in steps:
            if subprocess.run(step, check=False).returncode:
                print(
                    "error: the environment could not be made (see above); ./run_all.sh goes on where it stopped",
                    file=sys.stderr,
                )
                return 1
    return 0


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
