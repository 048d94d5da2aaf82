"""The official archives: what they should be, and how one is unpacked.

CIFAR-10-C and CIFAR-100-C: size and MD5 of Zenodo's records 2535967 and 3555552. CIFAR-10-P: the MD5 that public loaders of
record 2535967 agree on (four seen; the record itself was not, and no size was found). CIFAR-10-C-Bar was never published as an
archive, only as the program that makes it, so there is no checksum to hold one against: its arrays are checked by shape, type
and labels, as all are.
"""

import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

from tqdm.auto import tqdm

from .. import paths
from ..checksums import verify

ARCHIVES = {  # name: bytes, MD5
    "CIFAR-10-C.tar": (2_918_471_680, "56bf5dcef84df0e2308c6dcbcbbd8499"),
    "CIFAR-100-C.tar": (2_918_473_216, "11f0ed0f1191edbf9fa23466ae6021d3"),
    "CIFAR-10-P.tar": (None, "125d6775afc5846ea84584d7524dedff"),
}


def unpack(archive):
    """Verify a tar and put its arrays into the folder beside it that has its name; returns that folder.

    Only `<folder>/<name>.npy` is taken, all of them or none. Raises ValueError, before anything is
    written, for an archive of another MD5, one that is broken, one with links, with paths that lead
    elsewhere or with two arrays of a name, and where nothing can be written; one without a
    published MD5 passes with a word.
    """
    archive = Path(archive)
    if archive.name in ARCHIVES:
        n_bytes, md5 = ARCHIVES[archive.name]
        verify(archive, "md5", md5, n_bytes)
    else:
        print(
            f"{archive.name}: no checksum was published; its arrays are checked by shape, type and labels alone"
        )
    folder = archive.parent / archive.name.split(".")[0]
    try:
        with paths.locked(paths.CACHE / folder.name):  # two runs may want it at once
            if not folder.is_dir():
                _unpack(archive, folder)
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is not a whole tar ({error}): fetch it again") from error
    except OSError as error:
        problem = f"{archive} cannot be unpacked beside itself ({error})"
        raise ValueError(f"{problem}: make room, or unpack it by hand") from error
    return folder


def _unpack(archive, folder):
    """Put the arrays into a folder that gets its name when all are there: a killed call leaves none that looks unpacked."""
    with tarfile.open(archive, "r:") as tar:  # not compressed: nothing unpacks to more than it is
        arrays = [member for member in tar if _is_array(archive, member, folder.name)]
        names = [Path(member.name).name for member in arrays]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{archive} holds {doubled[0]} more than once: it is not unpacked")
        if not arrays:
            raise ValueError(
                f"{archive} holds no array {folder.name}/<name>.npy: it is not one of the benchmarks"
            )
        for left in archive.parent.glob(
            f".{folder.name}.*/"
        ):  # by a call that was killed: nobody else writes here
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(
            dir=archive.parent, prefix=f".{folder.name}."
        ) as temporary:
            part = Path(temporary) / folder.name
            part.mkdir()
            for member in tqdm(arrays, desc=f"unpacking {archive.name}"):
                with (part / Path(member.name).name).open("wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
                    file.flush()
                    os.fsync(file.fileno())
            part.rename(folder)


def _is_array(archive, member, folder):
    """Whether to take a member. Raises ValueError for one that no honest archive has."""
    if (
        not (member.isreg() or member.isdir())
        or member.name.startswith("/")
        or ".." in member.name.split("/")
    ):
        raise ValueError(
            f"{archive} holds '{member.name}', a link or a path that leads elsewhere: it is not unpacked"
        )
    return member.isreg() and re.fullmatch(
        rf"(\./)?{re.escape(folder)}/[a-z0-9_]+\.npy", member.name
    )
