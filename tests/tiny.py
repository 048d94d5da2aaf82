"""Small settings that train in a second or two, and a study's folders moved elsewhere."""

from pathlib import Path

from lmlib import paths

TINY = {
    "profile": "quick",
    "dataset": "digits",
    "method": "layermix",
    "network": "wrn-10-1",
    "epochs": 2,
    "seed": 0,
    "n_train": 200,
    "n_fractals": 20,
}


def move(monkeypatch, folder):
    """Point every folder of `lmlib.paths` below `folder`, here and in processes started from here; no package index either."""
    root = paths.ROOT
    for name, value in list(vars(paths).items()):
        if isinstance(value, Path) and name not in ("NOTEBOOKS", "PUBLISHED"):
            monkeypatch.setattr(paths, name, folder / value.relative_to(root))
    monkeypatch.setenv("LMLIB_ROOT", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # the photographs for frost are not fetched


def files_below(folder):
    """{relative path: bytes} of every file but the locks, which are empty."""
    found = (path for path in Path(folder).rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
