"""The files of a folder, zip or tar, read one by one in memory: nothing is extracted, and no bomb goes off."""

import bz2
import functools
import gzip
import io
import itertools
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

N_BYTES_MAX = 64 * 2**20  # of one file, unpacked
RATIO_MAX = (
    100  # unpacked to packed size of one file in a zip, and of a whole tar; pictures hardly shrink
)

ENDINGS = ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"  # as an archive is named
TAR_OPENERS = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}  # by the first two bytes
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, behind links too, by folder and then name: ImageFolder's order.

    What is no file, a link that leads nowhere say, is among them: `open_file` says so. Raises
    OSError for a folder that cannot be listed, ValueError for a link back to a folder above it.
    """

    def fail(error: OSError) -> None:
        raise error

    found = []
    for name, _, files in os.walk(folder, followlinks=True, onerror=fail):
        here = Path(name)
        if here.is_symlink() and here.resolve() in [parent.resolve() for parent in here.parents]:
            raise ValueError(f"{here} leads back to a folder above it: take the link away")
        found += [here / file for file in files]
    return sorted(found, key=lambda file: (str(file.parent), file.name))


def open_file(path: str | Path) -> BinaryIO:
    """Open a regular file in binary. Raises ValueError for what is none: a pipe would never end."""
    path = Path(path)
    if path.is_symlink() and not path.exists():
        raise ValueError(f"a link to '{path.readlink()}', which is not there")
    if path.exists() and not path.is_file():
        raise ValueError("no regular file")
    return path.open("rb")


def members(path: str | Path) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
    """Yield (name, open) for each file of the folder (nested too), zip or tar at `path`.

    `open()` gives a binary file. Names are for reports and order only: no file is made under them,
    and a second file of one name is called `name (2)`. `open()` raises for a file that is too large,
    packed too well (a decompression bomb), encrypted or no regular file; it may be called until the
    next pair is asked for. A broken archive gives what comes before the damage and then one last
    name that stands for the rest. Raises ValueError for anything else.
    """
    names = set()
    for name, opened in _members(Path(path)):
        copies = (f"{name} ({n})" for n in itertools.count(2))
        unique = next(one for one in itertools.chain([name], copies) if one not in names)
        names.add(unique)
        yield unique, opened


def _members(path):
    if path.is_dir():
        for file in files_below(path):
            yield file.relative_to(path).as_posix(), functools.partial(open_file, file)
    elif path.is_file():
        with path.open("rb") as packed:
            magic = packed.read(2)
        yield from (
            _zip_members(path)
            if magic == b"PK"
            else _tar_members(path, TAR_OPENERS.get(magic, open))
        )
    else:
        raise ValueError(
            f"expected the path of a folder, zip or tar of images, got '{path}', which is not there"
        )


def _zip_members(path):
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise ValueError(
            f"expected a whole zip, got '{path}', which is cut short or broken ({error})"
        ) from error
    with archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, functools.partial(_from_zip, archive, info)


def _from_zip(archive, info):
    _check_size(info.file_size)
    if info.file_size > RATIO_MAX * max(info.compress_size, 1):
        raise ValueError(
            f"{info.compress_size:,} bytes unpack to {info.file_size:,}, more than {RATIO_MAX} times"
        )
    return io.BytesIO(archive.read(info))  # reads no more than `file_size`, and checks the CRC


def _tar_members(path, opener):
    with opener(path, "rb") as stream:
        limited = _Limited(stream, max(N_BYTES_MAX, RATIO_MAX * path.stat().st_size))
        try:
            archive = tarfile.open(fileobj=limited, mode="r|")  # noqa: SIM115  (closed with `stream`)
        except BROKEN as error:
            raise ValueError(
                f"expected a folder, zip or tar of images, got '{path}' ({error})"
            ) from error
        try:
            for info in archive:
                if not info.isdir():
                    yield info.name, functools.partial(_from_tar, archive, info)
        except BROKEN as error:
            yield f"the rest of {path.name}", functools.partial(_fail, error)


def _from_tar(archive, info):
    if not info.isreg():
        raise ValueError("a link or a device, not a file")
    _check_size(info.size)
    return io.BytesIO(archive.extractfile(info).read())


def _check_size(n_bytes):
    if n_bytes > N_BYTES_MAX:
        raise ValueError(f"{n_bytes:,} bytes unpacked, more than {N_BYTES_MAX:,}")


def _fail(error):
    raise error


class _Limited:
    """A stream that ends with an error once more than `limit` bytes were read from it; tarfile itself sets no bound."""

    def __init__(self, stream, limit):
        self.stream, self.left = stream, limit

    def read(self, n_bytes):
        data = self.stream.read(n_bytes)
        self.left -= len(data)
        if self.left < 0:
            raise tarfile.ReadError(f"unpacks to more than {RATIO_MAX} times its size")
        return data
