"""What is tried of reliability, and the page that says what was found: `python tests/reliability.py [TRIAL ...]`.

Trials: kills, together, damage, random; without words all four, in about half an hour on two cores. A trial writes its own section
of tests/reliability.md, once it has ended. Linux only. Exit code 1 where something that should hold did not.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import damage
import numpy as np
from tiny_study import contents, kill, prepare, processes, start, wait

from lmlib import paths
from lmlib.augment import METHODS
from lmlib.checks import check_name

PAGE = Path(__file__).with_suffix(".md")
N_KILLS, SEED = 20, 20261122
TITLES = {
    "kills": f"SIGKILL at {N_KILLS} random moments",
    "together": "Two studies at once in one folder",
    "damage": "Damaged files",
    "random": "Random parameters",
}
ABOUT = """# Reliability, tried

Made by `python tests/reliability.py`; a trial's word after it makes that section alone. The study is the profile `quick` made
small: baseline and LayerMix with two seeds, 150 digits, WRN-10-1, 4 epochs, 10 test images for C and C-bar, 2 sequences, 5 images
for PGD; the four runs through notebook 04, then the notebooks 06 and 16. What must be the same is compared byte for byte, but for
two columns of the rows: `finished`, the time, and `checksum`, which is over it.
"""

KILLS = """n = {n} moments, uniform in 0 to {third:.0f} s after a start or restart (seed {seed}).
An undisturbed study took {seconds:.0f} s. By a coin either every process of the study was killed, papermill and kernels too,
or its main process alone, whose papermill and kernel then went on beside the restarted study. Notebooks being executed when it
struck: {where}. A study that came to its end before its next moment was compared, and another one begun:

"""
TOGETHER = """n = 1 pair. Exit codes {codes[0]} and {codes[1]}. Notebook 04 was executed {trained} times for the 4 runs,
all notebooks together {started} times; one study alone executes 7. Same as undisturbed: {line}.
"""
RANDOM = """`tests/test_reliability.py`, n = 1,000 parameter sets each (hypothesis, seed {seed}), exit code {code}:

- augmentations: all {methods} methods with any of their parameters, 1 to 5 images of 8 x 8 to 64 x 64, square or not, uint8,
  float16, float32 or float64; black, white, flat, noise, one pixel, a ramp, values of 1e-30 among them: no error, no NaN; shape,
  type and range kept, the input left alone
- corruptions: all 43 names of C, C-bar and P, every severity, 1 to 3 images of the same kinds: no error, no NaN on the way to
  bytes; shape and type kept, the input left alone
"""


def new_root(folder, name):
    """An empty folder for a study."""
    prepare(folder / name)
    return folder / name


@cache
def undisturbed(folder):
    """What an undisturbed study ends with, and how many seconds it took."""
    root, begin = new_root(folder, "undisturbed"), time.time()
    if wait(start(root), root):
        sys.exit((root / "log").read_text())
    return contents(root), time.time() - begin


def compared(found, expected):
    """A line in words for each kind of file: how many are the same, and which are not; and whether all are."""
    lines, same = [], True
    for kind, files in expected.items():
        others = [
            name for name in {**files, **found[kind]} if files.get(name) != found[kind].get(name)
        ]
        same = same and not others
        lines.append(
            f"{kind} {len(files) - len(others)} of {len(files)}"
            + "".join(f" (not {one})" for one in others[:1])
        )
    return ", ".join(lines), same


def notebooks_running(root):
    """The notebooks that are being executed, in words, in the order of the study."""
    found = {
        word
        for line in processes(root).values()
        for word in re.findall(r"notebooks/(\d\d-\w+)", line)
    }
    return " and ".join(sorted(found)) or "none"


def kills(folder):
    """A study killed again and again; where it ends before all moments came, another one begins."""
    expected, seconds = undisturbed(folder)
    draws = np.random.default_rng(SEED)
    moments = [(draws.uniform(0, seconds / 3), bool(draws.integers(2))) for _ in range(N_KILLS)]
    struck, ends = {}, []
    while moments or not ends:
        root, n_here = new_root(folder, f"killed-{len(ends)}"), 0
        while True:
            process = start(root)
            with suppress(subprocess.TimeoutExpired):
                process.wait(moments[0][0] if moments else None)
                break  # it came to its end before
            _, alone = moments.pop(0)
            key = notebooks_running(root)
            struck[key] = struck.get(key, 0) + 1
            process.kill() if alone else kill(root)
            process.wait()
            n_here += 1
        code = wait(process, root)
        line, same = compared(contents(root), expected)
        left = sum(file.suffix == ".part" or ".part-" in file.name for file in root.rglob("*"))
        words = f"exit code {code}; same as undisturbed: {line}; {left} temporary files left behind"
        ends.append((code == 0 and same, f"- killed {n_here} times: {words}"))
    where = "; ".join(f"{name}: {n}" for name, n in sorted(struck.items()))
    text = KILLS.format(n=N_KILLS, third=seconds / 3, seconds=seconds, seed=SEED, where=where)
    return text + "\n".join(line for _, line in ends), all(good for good, _ in ends)


def together(folder):
    """Two main programs in one folder, started at the same time."""
    expected, _ = undisturbed(folder)
    root = new_root(folder, "together")
    both = [start(root), start(root)]
    codes = [wait(process, root) for process in both]
    started = [
        line for line in (root / "processes").read_text().splitlines() if " papermill " in line
    ]
    trained = sum("/data/runs/" in line for line in started)
    line, same = compared(contents(root), expected)
    good = codes == [0, 0] and same and trained == 4 and len(started) == 7
    return TOGETHER.format(codes=codes, trained=trained, started=len(started), line=line), good


def random(folder):
    """The tests on random parameters, which are a thousand each."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "tests/test_reliability.py",
        "--hypothesis-seed",
        str(SEED),
    ]
    done = subprocess.run(command, cwd=paths.SOURCE, capture_output=True, text=True)
    return RANDOM.format(
        seed=SEED, code=done.returncode, methods=len(METHODS)
    ), done.returncode == 0


def write(trial, text, good, seconds):
    """Put a trial's section into the page, the others left as they are."""
    commit = subprocess.run(
        ["git", "-C", paths.SOURCE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    when = f"{time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip() or 'unknown'}, {machine}, {seconds:.0f} s"
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", old, re.M | re.S))
    sections[TITLES[trial]] = f"{'Held' if good else '**Did not hold**'} ({when}).\n\n{text}"
    page = [
        f"## {title}\n\n{sections[title].strip()}\n"
        for title in TITLES.values()
        if title in sections
    ]
    paths.write_text(PAGE, "\n".join([ABOUT, *page]))


def main(words):
    trials = {"kills": kills, "together": together, "damage": damage.trial, "random": random}
    held = True
    with tempfile.TemporaryDirectory() as folder:
        for trial in [check_name("trial", word, trials) for word in words or trials]:
            begin = time.time()
            text, good = trials[trial](Path(folder))
            write(trial, text, good, time.time() - begin)
            print(f"{trial}: {'held' if good else 'DID NOT HOLD'}")
            held = held and good
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
