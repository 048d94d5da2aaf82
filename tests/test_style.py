"""What the linter and the formatter say of the code and the notebooks."""

import subprocess
import sys

import pytest

from lmlib import paths


@pytest.mark.parametrize("command", [("check", "--quiet"), ("format", "--check", "--quiet")])
def test_ruff_has_nothing_to_say(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."],
        cwd=paths.NOTEBOOKS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
