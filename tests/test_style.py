"""What the linters, the type checker and the formatter say of code, notebooks and workflows."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import lmlib
from lmlib import paths

PACKAGE = Path(lmlib.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def check(*command):
    """Run a tool in the repository's root; its output is the message of a failure."""
    if importlib.util.find_spec(command[0]) is None:  # the library alone is installed
        pytest.skip(f"{command[0]} is not installed")
    options = {"cwd": paths.NOTEBOOKS.parent, "capture_output": True, "text": True, "check": False}
    result = subprocess.run([sys.executable, "-m", *command], **options)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("command", [("check", "--quiet"), ("format", "--check", "--quiet")])
def test_ruff_has_nothing_to_say(command):
    check("ruff", *command, ".")


def test_the_type_checker_finds_no_error():
    check("mypy")


def test_the_workflows_are_what_a_host_of_actions_expects():
    files = map(str, (paths.NOTEBOOKS.parent / ".github" / "workflows").glob("*.yml"))
    check("check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def untyped(path):
    """Public functions, methods and fields of a file that lack a type."""
    for parent in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(parent, ast.Module | ast.ClassDef):
            continue
        for node in parent.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                every = node.args
                arguments = [*every.posonlyargs, *every.args, *every.kwonlyargs]
                arguments += [one for one in (every.vararg, every.kwarg) if one]
                typed = [one.annotation for one in arguments if one.arg not in ("self", "cls")]
                public = not node.name.startswith("_") or node.name == "__init__"
                if public and not (node.returns and all(typed)):
                    yield node.name
            elif isinstance(node, ast.Assign) and is_record(parent):
                yield ast.unparse(node.targets[0])


def is_record(node):
    """Whether a class is a dataclass or a named tuple."""
    if not isinstance(node, ast.ClassDef):
        return False
    names = [ast.unparse(one) for one in (*node.bases, *node.decorator_list)]
    return any(name.partition("(")[0] in ("NamedTuple", "dataclass") for name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_public_functions_and_fields_have_types(path):
    assert not list(untyped(path))
