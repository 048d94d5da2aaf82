"""Folders of its own for whatever writes, and one small trained run that many tests read."""

import importlib.util
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny import TINY, move

from lmlib import paths
from lmlib.corruptions import frost

STUDY = re.compile(
    r"LMLIB_ROOT|lmlib\.(analysis|study|report)|models\.(gradcam|pretrained)"
    r"|^(import|from) (golden|reliability|tiny_study)\b",
    re.M,
)
if importlib.util.find_spec("papermill") is None:  # the library alone is installed: its own tests
    files = Path(__file__).parent.glob("test_*.py")
    collect_ignore = [file.name for file in files if STUDY.search(file.read_text("utf-8"))]


@pytest.fixture
def logs(caplog):
    """A context whose body has to log a line that matches a pattern."""

    @contextmanager
    def logs(match):
        caplog.clear()
        yield
        assert re.search(match, caplog.text), caplog.text

    return logs


def no_network():
    raise OSError("no network in the tests")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty study folder: nothing of the real one is read or written. The number of threads is given back."""
    threads = torch.get_num_threads()
    move(monkeypatch, tmp_path)
    monkeypatch.setattr(frost, "fetch", no_network)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """One run of `TINY`, trained once for all tests: its root, config, data, method and model. Not to be changed."""
    from lmlib.study import runs  # which the library's own tests do without

    threads, folder = torch.get_num_threads(), tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        move(patch, folder)
        config, data, method = runs.resolve(**TINY)
        model = runs.train(config, data, method)
    torch.set_num_threads(threads)
    return SimpleNamespace(root=folder, config=config, data=data, method=method, model=model)


@pytest.fixture
def own_run(root, trained):
    """The trained run, copied into the test's own folders."""
    shutil.copytree(trained.root / "data" / "runs", paths.RUNS)
    return trained


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Class folders of pictures. Not to be changed."""
    from small_imagenet import make  # scikit-learn's photograph, which the bare library is without

    return make(tmp_path_factory.mktemp("photos"))


@pytest.fixture
def own_photos(photos, tmp_path):
    """The same pictures, to be changed."""
    return shutil.copytree(photos, tmp_path / "photos")
