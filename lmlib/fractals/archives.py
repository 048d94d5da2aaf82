"""The files of a folder, zip or tar, read one by one in memory: nothing is unpacked to disk."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ..pictures import files_below, open_file

ENDINGS = ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"  # as an archive is named


def members(path: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Yield (name, open) for each file of the folder (nested too), zip or tar at `path`.

    `open()` gives a binary file; it may be called until the next pair is asked for, and raises for
    a file that is encrypted or no regular one. Names are not unique in an archive. Raises
    ValueError for what is no folder, zip or tar, and for an archive that is cut short or damaged.
    """
    if path.is_dir():
        for file in files_below(path):
            yield file.relative_to(path).as_posix(), partial(open_file, file)
        return
    if not path.is_file():
        problem = f"got '{path}', which is not there"
        raise ValueError(f"expected the path of a folder, zip or tar of images, {problem}")
    try:
        yield from _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as error:
        problem = f"got '{path}', which is none or damaged ({error})"
        raise ValueError(f"expected a whole zip or tar of images, {problem}") from error


def _zip_members(path: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, partial(_open_in_zip, archive, info)


def _open_in_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return io.BytesIO(archive.read(info))  # compares the checksum, whatever a decoder reads


def _tar_members(path: Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    with tarfile.open(path) as archive:
        for info in archive:
            if not info.isdir():
                yield info.name, partial(_open_in_tar, archive, info)


def _open_in_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> BinaryIO:
    content = archive.extractfile(info) if info.isreg() else None
    if content is None:
        raise ValueError("a link or a device, not a file")
    return io.BytesIO(content.read())
