import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmlib import paths
from lmlib.files import atomic_write, read_json, write_json, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_written_file_appears_under_its_name(tmp_path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_bytes(b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt"]


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "one" / "two" / "a.txt", "new")
    assert (tmp_path / "one" / "two" / "a.txt").read_text() == "new"


def test_readers_see_the_old_file_until_the_end(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_write(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(failure), atomic_write(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_failure_of_a_first_write_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []


def test_failed_rename_leaves_nothing(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OSError), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["a.txt"] and names(tmp_path / "a.txt") == []


def test_value_that_json_does_not_know_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"n": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"n": object()})
    assert read_json(tmp_path / "a.json") == {"n": 1}
    assert names(tmp_path) == ["a.json"]


def test_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from lmlib.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, target]).returncode == -9
    assert target.read_text() == "old"


def test_temporary_file_is_hidden_and_in_the_same_folder(tmp_path):
    with atomic_write(tmp_path / "a.txt") as temporary:
        assert temporary.parent == tmp_path and temporary.name.startswith(".a.txt.")


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    with atomic_write(tmp_path / "a.txt") as first, atomic_write(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"  # the outer writer ends last
    assert names(tmp_path) == ["a.txt"]


def test_others_may_read_what_was_written(tmp_path):
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o644


def test_text_is_utf_8(tmp_path):
    write_text(tmp_path / "a.txt", "β = 3")
    assert (tmp_path / "a.txt").read_bytes() == "β = 3".encode()


def test_equal_values_are_equal_json_files(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.1, None]})
    write_json(tmp_path / "b.json", {"a": [0.1, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [0.1, None], "b": 1}


def test_environment_variable_moves_the_study_but_not_the_notebooks(tmp_path):
    program = (
        "from lmlib import paths; print(paths.RUNS, paths.FIGURES, paths.NOTEBOOKS, sep='\\n')"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LMLIB_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.stdout.splitlines() == [
        str(tmp_path / "data" / "runs"),
        str(tmp_path / "figures"),
        str(paths.NOTEBOOKS),
    ]


CHILD = """
import os, subprocess, sys
from lmlib import paths
print(paths.ROOT, flush=True)
if len(sys.argv) > 1:
    subprocess.run([sys.executable, "-c", sys.argv[1]], cwd=paths.ROOT)
"""


@pytest.mark.parametrize("given", ["big", "./big", "../{here}/big", "~/big"])
def test_a_relative_root_is_one_folder_for_a_process_and_its_children(tmp_path, given):
    (tmp_path / "big").mkdir()
    variables = {"LMLIB_ROOT": given.format(here=tmp_path.name), "HOME": str(tmp_path)}
    variables["PYTHONPATH"] = str(paths.SOURCE)
    command = [sys.executable, "-c", CHILD, CHILD]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == 2 * [str(tmp_path / "big")], done.stderr


def test_relative_folders_of_pictures_are_the_same_for_children(tmp_path):
    given = {"LMLIB_IMAGENET": "net", "LMLIB_PHOTOGRAPHS": "~/own"}
    home = {"HOME": str(tmp_path), "PYTHONPATH": str(paths.SOURCE)}
    code = f"import os, lmlib.paths; print(*(os.environ[name] for name in {tuple(given)}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | given | home, cwd=tmp_path,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "net"), str(tmp_path / "own")], done.stderr


def test_an_empty_root_is_none(tmp_path):
    variables = {"LMLIB_ROOT": "", "PYTHONPATH": str(paths.SOURCE)}
    command = [sys.executable, "-c", CHILD]
    done = subprocess.run(
        command, env=os.environ | variables, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == [str(paths.SOURCE)], done.stderr


def test_the_bare_package_writes_to_the_users_cache_and_not_beside_itself(tmp_path):
    installed = tmp_path / "site-packages"
    shutil.copytree(
        Path(paths.__file__).parent,
        installed / "lmlib",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    environment = {key: value for key, value in os.environ.items() if key != "LMLIB_ROOT"}
    environment |= {"PYTHONPATH": str(installed), "HOME": str(tmp_path)}
    program = "from lmlib import paths; print(paths.__file__); print(paths.CACHE)"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    file, cache = answer.stdout.splitlines()
    assert file.startswith(str(installed)) and cache == str(
        tmp_path / ".cache" / "lmlib" / "data" / "cache"
    )
