"""The command line: `python -m lmlib [PROFILE [NOTEBOOK [-p NAME VALUE]]]`, `report`, `test`, ...

Arguments are checked before heavy imports; a wrong one is one sentence and exit code 2.
"""

import argparse
import json
import logging
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NoReturn

from . import paths
from .checks import check_name
from .study.profiles import PROFILES, get_profile

COMMANDS = {
    "explore": "open the explorer in JupyterLab, on this machine alone",
    "test": "the tests (further arguments go to pytest)",
    "bench": "speed, side by side",
    "clean": "remove caches and what `quick` wrote, never anything else",
    "readme": "make the results section of README.md from the committed rows",
    "report": "tables, figures and pages of the rows there are, of cifar-cpu or another profile",
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
    parser.description = f"Run the LayerMix study, or one of: {', '.join(COMMANDS)}."
    parser.epilog = "\n".join(["profiles:", *profiles, "", "others:", *others])
    parser.add_argument("command", nargs="?", default="quick", metavar="PROFILE")
    what = "one notebook of the profile, by its name or number, which trains nothing by itself"
    parser.add_argument("what", nargs="?", metavar="NOTEBOOK", help=what)
    given = "a parameter of that notebook; figures and tables go to changed/ and say so"
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help=given
    )
    jobs = "runs trained side by side (default: one a GPU, else cores / threads of a run)"
    parser.add_argument("--jobs", type=int, metavar="N", help=jobs)
    where = "train on the workers of a Dask scheduler; local: start one here, with its dashboard"
    parser.add_argument("--scheduler", metavar="tcp://HOST:PORT", help=where)
    parser.add_argument("--check", action="store_true", help="check the arguments alone")
    words = list(arguments)
    at = words.index("test") + 1 if "test" in words[:2] else len(words)  # the rest is for pytest
    options, further = parser.parse_known_args(words[:at])
    # What deletes is never suggested: it must be written as it is.
    known = [*PROFILES, *(name for name in COMMANDS if name != "clean")]
    check_name(
        "profile or command", options.command, known + ["clean"] * (options.command == "clean")
    )
    if further:
        parser.error(f"unknown argument '{further[0]}'")
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs must be at least 1, got {options.jobs}")
    check_what(parser, options)
    if options.scheduler:
        check_scheduler(parser, options)
    return options, words[at:]


def check_what(parser: Parser, options: argparse.Namespace) -> None:
    """Raise ValueError where the second word, or a parameter, does not go with the first.

    A notebook's number becomes its name; the profile of a report is cifar-cpu by default.
    """
    what = options.what
    if options.command == "report":
        options.what = check_name("profile", what or "cifar-cpu", PROFILES)
    elif what and options.command not in PROFILES:
        parser.error(f"unknown argument '{what}'")
    elif what:
        names = sorted(path.stem for path in paths.NOTEBOOKS.glob("[0-9][0-9]-*.ipynb"))
        by_number = {name[:2]: name for name in names}
        options.what = check_name("notebook", by_number.get(what, what), names)
        if options.scheduler or options.jobs:
            parser.error("--jobs and --scheduler are for a whole profile, not for one notebook")
    if options.p and not (what and options.command in PROFILES):
        parser.error("-p is for one notebook: ./run_all.sh PROFILE NOTEBOOK -p NAME VALUE")


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
    from .study import grid, imagenet, notebooks, plans, raw  # heavy: arguments come first

    start, names, settings = time.time(), notebooks.of_profile(profile), plans.whole_study(profile)
    print(f"Profile {profile}: {PROFILES[profile].summary}.", flush=True)
    raw.report()
    for dataset, benchmark in product(get_profile(profile).datasets, SUFFIXES):
        official_source(dataset, benchmark)  # says before any training what cannot be used
    imagenet.check_official(get_profile(profile).datasets)
    needing = [k for k, name in enumerate(names) if "needs" in notebooks.metadata(name)]
    before = names[: needing[0]] if needing else names
    refresh_all(before, {"profile": profile})
    if needing:
        grid.ensure(settings, jobs=jobs, scheduler=scheduler)
    refresh_all(names[len(before) :], {"profile": profile})
    if profile == "quick":
        print(
            "This tried the machine, on small digits. What the study found on CIFAR: "
            "./run_all.sh report"
        )
    end(profile, start)


def report(profile: str) -> None:
    """Make the tables, figures and pages of the rows that a profile has; train nothing."""
    check_room()
    from .study import notebooks
    from .study.rows import row_files

    if not row_files(profile):
        raise ValueError(f"profile {profile} has no rows yet: `./run_all.sh {profile}` makes them")
    start, names = time.time(), notebooks.of_profile(profile)
    drawn = [name for name in names if notebooks.metadata(name).get("rows_alone")]
    refresh_all(drawn, {"profile": profile, "jobs": -1})
    end(profile, start)


def refresh_all(names: Sequence[str], parameters: dict[str, Any]) -> None:
    """Execute notebooks two at a time; then those that show what the others made.

    Two kernels and their data take 3 GB.
    """
    from .study import notebooks

    last = [name for name in names if "shows_the_others" in notebooks.metadata(name)]
    notebooks.interrupted.clear()
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(refresh, name, parameters) for name in names if name not in last]
        try:
            for future in as_completed(futures):
                future.result()
        except KeyboardInterrupt:
            notebooks.interrupted.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
    for name in last:
        refresh(name, parameters)


def refresh(name: str, parameters: dict[str, Any]) -> None:
    """Execute a notebook if something it reads changed, and print how long it took."""
    from .study import notebooks
    from .study.rows import row_files

    about, profile = notebooks.metadata(name), parameters["profile"]
    inputs = row_files(profile) if "needs" in about else []
    if "shows_the_others" in about:
        others = [one for one in notebooks.names() if one != name]
        inputs += [file for one in others for file in notebooks.made_by(one, profile)]
        inputs += paths.PUBLISHED.iterdir()
    print(f"{name} ...", flush=True)
    seconds = notebooks.refresh(name, parameters, inputs)
    print(f"{name}: {'unchanged' if seconds is None else f'{seconds:.0f} s'}", flush=True)


def end(profile: str, start: float) -> None:
    """Write the pages of a profile, and say in three lines what there is now."""
    from .report.site import write_site
    from .study import notebooks

    index = write_site(profile)
    print(f"\nReport:   {(index.parent / f'{notebooks.of_profile(profile)[-1]}.html').as_uri()}")
    print("Explorer: ./run_all.sh explore")
    print(f"Time:     {time.time() - start:.0f} s")


def one_notebook(profile: str, name: str, given: Sequence[Sequence[str]]) -> None:
    """Execute one notebook on the rows there are, with the parameters that were given.

    With parameters other than its own it leaves alone what the study made: what it draws goes to
    folders `changed/`, and says what was changed.
    """
    check_room()
    from .study import notebooks

    values = notebooks.check_parameters(name, {key: value_of(text) for key, text in given})
    if "profile" in values:
        raise ValueError(f"the profile is the first word: ./run_all.sh {values['profile']} {name}")
    parameters = {"profile": profile} | notebooks.without_training(name) | values
    if not (changed := notebooks.changed_text(name, values)):
        refresh(name, parameters)
        copy, made = notebooks.executed_copy(name, profile), notebooks.made_by(name, profile)
    else:
        canonical = notebooks.executed_copy(name, profile)
        copy, before = canonical.with_name(f"{name}.changed.ipynb"), time.time()
        environment = {"LMLIB_CHANGED": changed}
        notebooks.execute(name, copy, parameters, copy.with_suffix(".log"), environment=environment)
        folders = (paths.FIGURES / profile, paths.RESULTS / profile / "tables")
        written = [file for folder in folders for file in folder.glob(f"changed/{name[:3]}*")]
        made = sorted(file for file in written if file.stat().st_mtime >= before)
    print(*(file.relative_to(paths.ROOT) for file in [*made, copy]), sep="\n")


def value_of(text: str) -> Any:
    """A parameter's value as JSON or Python writes it; any other text stands for itself."""
    try:
        return json.loads({"True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text


def explore() -> NoReturn:
    """Become a JupyterLab on a copy of the explorer's notebook, so that the tracked one stays.

    It listens on 127.0.0.1 alone, and its token goes by the environment, which others cannot read.
    """
    name, folder = "00-explore.ipynb", paths.CACHE / "explore"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(paths.NOTEBOOKS / name, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(24)
    address = f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}"
    print(f"{address}\nChoose Run, Run All Cells there; Ctrl-C here ends it.", flush=True)
    options = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": folder}
    command = [sys.executable, "-m", "jupyterlab", str(folder / name), "--allow-root"]
    command += [f"--ServerApp.{key}={value}" for key, value in options.items()]
    command += ["--ServerApp.log_level=WARN", "--LabApp.news_url="]
    os.execve(sys.executable, command, {**os.environ, "JUPYTER_TOKEN": token})


def clean() -> None:
    """Remove the caches and what `quick` wrote: its results, its figures, its runs.

    Nothing that took long goes, and nothing of a user.
    """
    from .study.rows import row_files

    others = {file.stem for name in PROFILES if name != "quick" for file in row_files(name)}
    own = {file.stem for file in row_files("quick")}
    folders = [paths.CACHE, paths.RUNS / ".grid"]
    folders += [parent / "quick" for parent in (paths.RESULTS, paths.FIGURES, paths.SITE)]
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
        elif options.command == "explore":
            explore()
        elif options.command == "bench":
            import_module("lmlib.report.bench").main()
        elif options.command == "readme":
            import_module("lmlib.report.page").update_readme()
        elif options.command == "report":
            report(options.what)
        elif options.what:
            one_notebook(options.command, options.what, options.p)
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
