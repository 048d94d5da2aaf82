"""The official archives: what they should be, and how one is unpacked.

CIFAR-10-C and CIFAR-100-C: size and MD5 of Zenodo's records 2535967 and 3555552. CIFAR-10-P: the MD5 that public loaders of
record 2535967 agree on (four seen; the record itself was not, and no size was found). CIFAR-10-C-Bar was never published as an
archive, only as the program that makes it, so there is no checksum to hold one against: its arrays are checked by shape, type
and labels, as all are.
"""

import hashlib
import re
import shutil
import tarfile
from pathlib import Path

from tqdm.auto import tqdm

from lmlib import paths

ARCHIVES = {  # name: bytes, MD5
    "CIFAR-10-C.tar": (2_918_471_680, "56bf5dcef84df0e2308c6dcbcbbd8499"),
    "CIFAR-100-C.tar": (2_918_473_216, "11f0ed0f1191edbf9fa23466ae6021d3"),
    "CIFAR-10-P.tar": (None, "125d6775afc5846ea84584d7524dedff"),
}
N_BYTES_MAX = 2**30  # of one array: the largest, 31 frames of 10,000 images, has 952,320,128


def unpack(archive):
    """Verify a tar and put its arrays into the folder beside it that has its name; returns that folder.

    Only `<folder>/<name>.npy` is taken, each file whole or not at all. Raises ValueError, before anything is written, for an
    archive of another size or MD5, one that is broken, and one with links or paths that lead elsewhere.
    """
    archive = Path(archive)
    verify(archive)
    folder = archive.name.split(".")[0]
    try:
        with tarfile.open(archive) as tar:
            arrays = {Path(member.name).name: member for member in tar if _is_array(archive, member, folder)}
            for name, member in tqdm(arrays.items(), desc=f"unpacking {archive.name}"):
                with paths.atomic_write(archive.parent / folder / name) as temporary, temporary.open("wb") as file:
                    shutil.copyfileobj(tar.extractfile(member), file, 1 << 20)
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is not a whole tar ({error}): fetch it again") from error
    if not arrays:
        raise ValueError(f"{archive} holds no array {folder}/<name>.npy: it is not one of the benchmarks")
    return archive.parent / folder


def verify(archive):
    """Hold an archive against its published size and MD5. Raises ValueError; one without published numbers passes with a word."""
    if archive.name not in ARCHIVES:
        print(f"{archive.name}: no checksum was published; its arrays are checked by shape, type and labels alone")
        return
    n_bytes, md5 = ARCHIVES[archive.name]
    size = archive.stat().st_size
    if n_bytes is not None and size != n_bytes:
        raise ValueError(f"{archive} has {size:,} bytes, expected {n_bytes:,}: fetch it again")
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != md5:
        raise ValueError(f"{archive} has MD5 {digest}, expected {md5}: fetch it again")


def _is_array(archive, member, folder):
    """Whether to take a member. Raises ValueError for one that no honest archive has."""
    parts = [part for part in member.name.split("/") if part not in ("", ".")]
    if not (member.isreg() or member.isdir()) or member.name.startswith("/") or ".." in parts or "\\" in member.name:
        raise ValueError(f"{archive} holds '{member.name}', a link or a path that leads elsewhere: it is not unpacked")
    if not member.isreg() or len(parts) != 2 or parts[0] != folder or not re.fullmatch(r"[a-z0-9_]+\.npy", parts[1]):
        return False
    if member.size > N_BYTES_MAX:
        raise ValueError(f"{archive}: '{member.name}' has {member.size:,} bytes, more than any array of a benchmark")
    return True
