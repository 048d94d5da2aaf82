"""The command line: `python -m lmlib [PROFILE] [--jobs N]`, `test`, `bench`, `clean`, `readme`.

Words are checked before anything heavy is imported; a wrong one is one sentence and exit code 2.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import product

from . import paths
from .checks import check_name
from .study.profiles import PROFILES, STUDY, run_settings, study_settings

COMMANDS = ("test", "bench", "clean", "readme")
NOTEBOOKS = tuple(sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9][0-9]-*.ipynb")))
"""What a study executes, in this order."""


class Parser(argparse.ArgumentParser):
    """One sentence instead of a usage text."""

    def error(self, message):
        raise ValueError(f"{message}; see --help")


def parse(words):
    """The command, the number of jobs (None: the profile decides) and what else was given; ValueError for a wrong word."""
    profiles = "\n".join(f"  {profile.name:10} {profile.summary}" for profile in PROFILES.values())
    parser = Parser(
        prog="run_all.sh",
        description="Run the LayerMix study, or one of: test, bench, clean, readme.",
        epilog=f"profiles:\n{profiles}\n\nothers:\n"
        "  test       the tests (further words go to pytest)\n"
        "  bench      speed, side by side\n"
        "  clean      remove caches and what `quick` wrote, never anything else\n"
        "  readme     make the results section of README.md from the committed rows",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", default="quick", metavar="PROFILE")
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="runs trained side by side (default: cores / threads of a run)",
    )
    options, further = parser.parse_known_args(words)
    check_name("profile or command", options.command, [*PROFILES, *COMMANDS])
    if further and options.command != "test":
        parser.error(f"unknown word '{further[0]}'")
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    return options.command, options.jobs, further


def check_room():
    """Raise ValueError where the folders that a study writes to cannot be written to, or the disk is nearly full."""
    for folder in (paths.DATA, paths.FIGURES):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise ValueError(
                f"{folder} cannot be written to: give this user the permission, or set LMLIB_ROOT to another folder"
            )
    free = shutil.disk_usage(paths.DATA).free / 1e9
    if free < 1:
        raise ValueError(
            f"only {free:.1f} GB are free at {paths.DATA}: a study needs at least 1 GB"
        )


def check_notebooks():
    """Raise ValueError unless the study's notebooks are there, one a number: a copy would draw over the figures."""
    numbers = [name[:2] for name in NOTEBOOKS]
    if doubled := [name for name in NOTEBOOKS if numbers.count(name[:2]) > 1]:
        raise ValueError(
            f"{paths.NOTEBOOKS} holds {' and '.join(doubled)}: one notebook a number, move copies away"
        )
    if absent := [name for name in STUDY if not (paths.NOTEBOOKS / f"{name}.ipynb").exists()]:
        raise ValueError(
            f"{paths.NOTEBOOKS} lacks {', '.join(absent)}: `git checkout notebooks` brings them back"
        )


def study(profile, jobs):
    """Run a profile: the runs it needs, then every notebook that changed; ends with what was made and how long it took."""
    check_room()
    check_notebooks()
    from .corruptions import NAMES
    from .corruptions.official import official_source
    from .study import grid, notebooks, raw, runs  # heavy: after the words were checked
    from .study import rows as results

    start, times = time.time(), {}
    print(f"Profile {profile}: {PROFILES[profile].summary}.", flush=True)
    raw.report()
    for dataset, benchmark in product(PROFILES[profile].datasets, NAMES):
        official_source(dataset, benchmark)  # says before any training what cannot be used
    settings = study_settings(profile)
    foreseen = grid.foresee(settings, jobs=jobs)
    sizes, shown = PROFILES[profile], run_settings(profile)
    own = {
        "01-covariance": {"dataset": sizes.datasets[0]},
        "02-fractals": {"source": runs.fractal_source(), "n_fractals": sizes.n_fractals},
        "04-train": shown,
        "15-ablations": {} if sizes.subset else {"n_images": 10_000},  # what a verdict on C11 takes
    }
    for name in NOTEBOOKS:
        if name == "04-train":
            tick = time.time()
            names = grid.ensure(settings, jobs=jobs, foreseen=foreseen)
            own["05-evaluate"] = {"run": runs.resolve(**shown, images=False)[0].name}
            times[f"{len(names)} runs"] = time.time() - tick, time.time() - tick > 1
        inputs = results.row_files(profile) if name in STUDY or name == "05-evaluate" else []
        finish = None
        if name == "16-report":  # it shows what the others made, and cannot export itself
            from .report import page as report  # 35 MB that would lie beside the trainings

            finish = partial(report.export, path=paths.FIGURES / profile / "16-report.html")
            inputs += [
                file
                for other in NOTEBOOKS
                if other < name
                for file in notebooks.made_by(other, profile)
            ]
            inputs += paths.PUBLISHED.iterdir()
        print(f"{name} ...", end=" ", flush=True)
        times[name] = notebooks.refresh(
            name, {"profile": profile} | own.get(name, {}), inputs, finish
        )
        print(f"{times[name][0]:.0f} s" if times[name][1] else "unchanged", flush=True)
    print_summary(profile, times, time.time() - start)


def print_summary(profile, times, total):
    """What was made, and how long each notebook took."""
    from .study import notebooks

    print(
        f"\nFigures and tables of {profile}, the paper's in one page in figures/{profile}/16-report.html:"
    )
    for name in NOTEBOOKS:
        for file in notebooks.made_by(name, profile):
            print(f"  {file.relative_to(paths.ROOT)}")
    print("\nTime:")
    for name, (seconds, now) in times.items():
        print(f"  {name:16} {seconds:6.0f} s{'' if now else '  (unchanged: not run again)'}")
    print(f"  {'in all, now':16} {total:6.0f} s")


def clean():
    """Remove the caches and what `quick` wrote: its results, its figures, its runs. Nothing that took long, nothing of a user."""
    from .study import rows

    kept = {file.stem for name in PROFILES if name != "quick" for file in rows.row_files(name)}
    folders = [paths.CACHE, paths.RESULTS / "quick", paths.FIGURES / "quick", paths.RUNS / ".grid"]
    runs = [folder for folder in sorted(paths.RUNS.glob("*/")) if ".set-aside-" not in folder.name]
    folders += [folder for folder in runs if trained_by_quick(folder) and folder.name not in kept]
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            print(f"removed {folder.relative_to(paths.ROOT)}")


def trained_by_quick(folder):
    """Whether a run's folder, finished or not, is of the grid of `quick`: its rows or its executed notebook say so."""
    from .study import rows

    if rows.rows_file("quick", folder.name).exists():
        return True
    for notebook in folder.glob("train*.ipynb"):  # whole, failed or in part
        try:
            metadata = json.loads(notebook.read_text())["metadata"]
            if metadata["papermill"]["parameters"]["profile"] == "quick":
                return True
        except (ValueError, KeyError):
            continue
    return False


def main(words=None):
    """Run the command line; returns the exit code: 0, 1 after a failure, 2 for a wrong word, 130 after Ctrl-C."""
    try:
        command, jobs, further = parse(sys.argv[1:] if words is None else words)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        if command == "test":
            return subprocess.call([sys.executable, "-m", "pytest", *further], cwd=paths.SOURCE)
        if command == "bench":
            from .report import bench

            bench.main()
        elif command == "clean":
            clean()
        elif command == "readme":
            from .report import readme

            readme.update()
        else:
            study(command, jobs)
    except KeyboardInterrupt:
        print(
            "\ninterrupted: what was finished stays; the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
