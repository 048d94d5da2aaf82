"""A study of four runs and two notebooks, in a folder and in processes of its own: `python tiny_study.py` is its main program.

It stands where `quick` stands: two methods, two seeds, 150 digits, 4 epochs. Every Python of the study, kernels too, is given the
small profile by a `sitecustomize` on its path. Processes are found in /proc: Linux only.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

TESTS = Path(__file__).resolve().parent
NOTEBOOKS = ("04-train", "06-comparison", "16-report")


def shrink():
    """Make `quick` the small study in this process, and note the process in the study's folder."""
    from lmlib.study import profiles

    settings = profiles.run_settings
    profiles.run_settings = lambda profile, **changes: settings(profile, n_train=150, **changes)
    sizes = {
        "epochs": 4,
        "seeds": (0, 1),
        "methods": ("baseline", "layermix"),
        "replicated": ("baseline", "layermix"),
    }
    sizes |= {"n_fractals": 10, "subset": 10, "sequences": 2, "attacked": 5}
    profiles.PROFILES["quick"] = replace(profiles.PROFILES["quick"], **sizes)
    for name in set(profiles.STUDY) - {"06-comparison", "07-benchmarks", "16-report"}:
        del profiles.STUDY[name]
    with (Path(os.environ["LMLIB_ROOT"]) / "processes").open("a") as file:
        file.write(" ".join(sys.orig_argv) + "\n")


def prepare(root):
    """Make the study's folder, with photographs for frost in the place of a user's own, so that nothing is fetched."""
    import numpy as np
    from PIL import Image

    (root / "site").mkdir(parents=True)
    (root / "site" / "sitecustomize.py").write_text("import tiny_study\n\ntiny_study.shrink()\n")
    frost = root / "data" / "raw" / "frost"
    frost.mkdir(parents=True)
    for i in range(1, 6):
        picture = np.random.default_rng(i).integers(0, 256, (200, 220, 3), dtype=np.uint8)
        Image.fromarray(picture).save(frost / f"frost{i}.png")


def start(root):
    """Start the study in its folder, in a process group of its own; what it prints goes to `log` there."""
    path = os.pathsep.join(map(str, (root / "site", TESTS, TESTS.parent)))
    with (root / "log").open("a") as log:
        return subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | {"LMLIB_ROOT": str(root), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def processes(root):
    """{pid: command line} of every process of the study: papermill, kernels and those whose parent is dead, too."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"LMLIB_ROOT={root}\0".encode() in (entry / "environ").read_bytes() + b"\0":
                found[int(entry.name)] = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                )
    return found


def kill(root):
    """SIGKILL every process of the study, until there is none."""
    while found := processes(root):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def wait(process, root):
    """Wait for the study and for what an earlier, killed one left behind; returns the exit code."""
    code = process.wait()
    while processes(root):
        time.sleep(0.2)
    return code


def without_times(file):
    """The rows of a run without the columns `finished` and `checksum` (which is over `finished`, too): text."""
    import csv

    with file.open(newline="", encoding="utf-8") as opened:
        rows = [
            {k: v for k, v in row.items() if k not in ("finished", "checksum")}
            for row in csv.DictReader(opened)
        ]
    return rows


def trained(file):
    """The tensors and history of a checkpoint, without the seconds of its epochs, as a checksum."""
    from lmlib.models.checkpoints import digest_of, load_checkpoint

    tensors, values = load_checkpoint(file)
    values["history"] = [
        {k: v for k, v in epoch.items() if k != "seconds"} for epoch in values["history"]
    ]
    return digest_of(tensors, values)


def contents(root):
    """What a study ended with: {kind: {file: content}}, times and dates left out."""
    kinds = {
        "rows": ("data/results/quick/rows/*.csv", without_times),
        "tables": ("data/results/quick/tables/*.csv", Path.read_bytes),
        "figures": ("figures/quick/*.png", Path.read_bytes),
        "checkpoints": ("data/runs/*/checkpoint.safetensors", trained),
        "outcomes": ("data/runs/*/evaluations/*.npz", Path.read_bytes),
        "mixing set": ("data/cache/fractals/*", Path.read_bytes),
        "corrupted images": ("data/cache/*/subsets/*.safetensors", Path.read_bytes),
    }
    return {
        kind: {
            str(file.relative_to(root)): read(file)
            for file in sorted(root.glob(pattern))
            if usual(file)
        }
        for kind, (pattern, read) in kinds.items()
    }


def usual(file):
    """Whether a file is no temporary one and of no run that was set aside."""
    return file.suffix != ".part" and "set-aside" not in file.parts[-2] + file.parts[-3]


if __name__ == "__main__":
    from lmlib import __main__ as cli

    cli.NOTEBOOKS = NOTEBOOKS
    sys.exit(cli.main(["quick"]))
