"""Imports run one way: command line > report > study > science > ground."""

import ast
from pathlib import Path

import pytest

import lmlib

ROOT = Path(lmlib.__file__).parent
LEVELS = (
    {
        "checks",
        "compiled",
        "draws",
        "elementary",
        "files",
        "graphs",
        "images",
        "names",
        "paths",
        "pictures",
    },
    {"fractals"},
    {"augment", "corruptions", "datasets", "metrics"},
    {"analysis", "models"},
    {"study"},
    {"report"},
    {"__main__"},
)
"""From the ground up: a module imports from its own folder and from lower levels only; files of the
ground, and those of the command line, also from each other."""

LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}
FILES = sorted(ROOT.rglob("*.py"))


def place(path):
    """The folder or file at the top of `lmlib` that a file is in; "" for `lmlib/__init__.py`."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def imported(path):
    """The folders and files at the top of `lmlib` that a file imports from, anywhere in it."""
    package = ("lmlib", *path.relative_to(ROOT).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*start, *([node.module] if node.module else [])))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("lmlib.")}


def test_every_file_has_its_level():
    assert {place(path) for path in FILES} - {""} <= set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_from_its_own_folder_and_from_below(path):
    own = place(path)
    for other in imported(path) - {own}:
        if own:
            allowed = LEVEL[other] < LEVEL[own] or LEVEL[other] == LEVEL[own] in (
                0,
                len(LEVELS) - 1,
            )
            assert allowed, f"{path.relative_to(ROOT)} imports {other}"
