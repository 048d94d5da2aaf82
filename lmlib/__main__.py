"""The command line: `python -m lmlib [PROFILE] [--jobs N] [--scheduler ADDRESS]`, `test`, ...

Arguments are checked before heavy imports; a wrong one is one sentence and exit code 2.
"""

import argparse
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import NoReturn

from . import paths
from .checks import check_name
from .study.profiles import PROFILES, get_profile

COMMANDS = {
    "test": "the tests (further arguments go to pytest)",
    "bench": "speed, side by side",
    "clean": "remove caches and what `quick` wrote, never anything else",
    "readme": "make the results section of README.md from the committed rows",
}


class Parser(argparse.ArgumentParser):
    """One sentence instead of a usage text."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see --help")


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The command with its options, and pytest's arguments. Raises ValueError for a wrong one."""
    profiles = [f"  {profile.name:10} {profile.summary}" for profile in PROFILES.values()]
    others = [f"  {name:10} {summary}" for name, summary in COMMANDS.items()]
    parser = Parser("run_all.sh", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.description = "Run the LayerMix study, or one of: test, bench, clean, readme."
    parser.epilog = "\n".join(["profiles:", *profiles, "", "others:", *others])
    parser.add_argument("command", nargs="?", default="quick", metavar="PROFILE")
    jobs = "runs trained side by side (default: one a GPU, else cores / threads of a run)"
    parser.add_argument("--jobs", type=int, metavar="N", help=jobs)
    where = "train on the workers of a Dask scheduler; local: start one here, with its dashboard"
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help=where)
    parser.add_argument("--check", action="store_true", help="check the arguments alone")
    options, further = parser.parse_known_args(arguments)
    check_name("profile or command", options.command, [*PROFILES, *COMMANDS])
    if further and options.command != "test":
        parser.error(f"unknown argument '{further[0]}'")
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    if options.scheduler:
        check_scheduler(parser, options)
    return options, further


def check_scheduler(parser: Parser, options: argparse.Namespace) -> None:
    """Raise ValueError where runs cannot be given to a scheduler as the options say."""
    if options.command not in PROFILES or options.command == "gpu":
        parser.error(f"--scheduler is for the runs of a profile, not for {options.command}")
    local = options.scheduler == "local"
    if not local and not re.fullmatch(r"\w+://[^/]+:\d+", options.scheduler):
        parser.error(f"--scheduler must be local or tcp://host:port, got '{options.scheduler}'")
    if options.jobs and not local:
        parser.error("--jobs is for this machine: a worker's own --resources say how many it takes")
    if find_spec("distributed") is None:
        parser.error("--scheduler needs the package distributed: pip install '.[cluster]'")


def check_room() -> None:
    """Raise ValueError where a study's folders cannot be written to, or the disk is nearly full."""
    for folder in (paths.DATA, paths.FIGURES):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            remedy = "give this user the permission, or set LMLIB_ROOT to another folder"
            raise ValueError(f"{folder} cannot be written to: {remedy}")
    free = shutil.disk_usage(paths.DATA).free / 1e9
    if free < 1:
        raise ValueError(f"only {free:.1f} GB are free at {paths.DATA}: a study needs at least 1")


def study(profile: str, jobs: int | None, scheduler: str | None = None) -> None:
    """Run a profile: the runs that it needs, then every notebook that changed."""
    check_room()
    from .corruptions.official import SUFFIXES, official_source
    from .study import grid, notebooks, plans, raw, rows  # heavy: after the arguments were checked

    start, seconds = time.time(), dict[str, float | None]()
    made, results = list[Path](), list[Path]()
    names = notebooks.of_profile(profile)
    about = {name: notebooks.metadata(name) for name in names}
    print(f"Profile {profile}: {PROFILES[profile].summary}.", flush=True)
    raw.report()
    for dataset, benchmark in product(get_profile(profile).datasets, SUFFIXES):
        official_source(dataset, benchmark)  # says before any training what cannot be used
    settings = plans.whole_study(profile)
    for name in names:
        inputs, finish = [], {}
        if "needs" in about[name]:
            if not results:
                tick = time.time()
                grid.ensure(settings, jobs=jobs, scheduler=scheduler)
                seconds["the runs"] = time.time() - tick
                results = rows.row_files(profile)
            inputs += results
        if "shows_the_others" in about[name]:
            from .report import page  # 35 MB that would lie beside the trainings

            inputs += [*made, *paths.PUBLISHED.iterdir()]
            target = paths.FIGURES / profile / f"{name}.html"
            finish = {"finish": partial(page.export, path=target)}
        print(f"{name} ...", flush=True)
        seconds[name] = notebooks.refresh(name, {"profile": profile}, inputs, **finish)
        made += notebooks.made_by(name, profile)
    print(f"\nFigures and tables of {profile}, the paper's in one page, 20-report.html:")
    print(*(f"  {file.relative_to(paths.ROOT)}" for file in made), "\nTime:", sep="\n")
    for name, took in seconds.items():
        print(f"  {name:16} {'unchanged: not run again' if took is None else f'{took:6.0f} s'}")
    print(f"  {'in all':16} {time.time() - start:6.0f} s")
    if profile == "quick":
        print(
            "\nThis tried the machine, on small digits. What the study found on CIFAR is in "
            "README.md; `./run_all.sh cifar-cpu` draws its tables and figures."
        )


def clean() -> None:
    """Remove the caches and what `quick` wrote: its results, its figures, its runs.

    Nothing that took long goes, and nothing of a user.
    """
    from .study.rows import row_files

    others = {file.stem for name in PROFILES if name != "quick" for file in row_files(name)}
    own = {file.stem for file in row_files("quick")}
    folders = [paths.CACHE, paths.RESULTS / "quick", paths.FIGURES / "quick", paths.RUNS / ".grid"]
    for folder in sorted(paths.RUNS.glob("*/")):
        if ".set-aside-" not in folder.name and folder.name not in others:
            folders += [folder] if folder.name in own or trained_by_quick(folder) else []
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)
            print(f"removed {folder.relative_to(paths.ROOT)}")


def trained_by_quick(folder: Path) -> bool:
    """Whether a run's notebook, whole, failed or in part, was executed for `quick`."""
    for notebook in folder.glob("train*.ipynb"):
        with suppress(ValueError, KeyError):
            parameters = json.loads(notebook.read_text())["metadata"]["papermill"]["parameters"]
            if parameters["profile"] == "quick":
                return True
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code.

    It is 0, or 1 after a failure, 2 for a wrong argument, 130 after Ctrl-C.
    """
    try:
        options, further = parse(sys.argv[1:] if arguments is None else arguments)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("lmlib").setLevel(logging.INFO)
    try:
        if options.check:
            return 0
        if options.command == "test":
            return subprocess.call([sys.executable, "-m", "pytest", *further], cwd=paths.SOURCE)
        if options.command == "clean":
            clean()
        elif options.command == "bench":
            import_module("lmlib.report.bench").main()
        elif options.command == "readme":
            import_module("lmlib.report.page").update_readme()
        elif options.command == "gpu":
            import_module("lmlib.study.gpu").run(options.jobs)
        else:
            study(options.command, options.jobs, options.scheduler)
    except KeyboardInterrupt:
        remedy = "what was finished stays; the same command goes on from there"
        print(f"\ninterrupted: {remedy}", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
