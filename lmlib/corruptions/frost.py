"""The frost photographs that the corruption `frost` lays over an image: where they come from and how they are kept.

They belong to hendrycks/robustness (Apache-2.0) and also ship in PyPI's `imagecorruptions` 1.1.2, byte for byte. That package
is not installed: its wheel is fetched alone and only its pictures are taken. There is no substitute for them: without them the
corruption cannot be made, and a mean over the others says so.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import paths
from ..checksums import verify
from ..pictures import read_picture

WHEEL = "imagecorruptions==1.1.2"
WHEEL_SHA256 = "d0e4bf529ba6fbb27d8aba1bde7c5db43bf2b969b2c767c11419e939e3e365b8"
PICTURES = (
    "frost1.png",
    "frost2.png",
    "frost3.png",
    "frost4.jpg",
    "frost5.jpg",
)  # the reference never uses frost6.jpg
SHA256 = "282708261ab39a0b767f7ce8856841b4be3d19abe0d42f98d9102da9319b8934"  # `fingerprint` of the five, reduced

_UNKEPT = {}  # what this process unpacked and could not write, by the path where it would lie


def textures():
    """The five reduced photographs: a user's own in data/raw/frost/ if there, else the checked copy in data/cache/frost/.

    Returns five uint8 arrays (3, height, width), each side over 32. Raises FileNotFoundError where there are none, ValueError
    where they cannot be read, are too small, or the copy is damaged.
    """
    return _read(own(), _cached())


def own() -> Path:
    """Where a user's own photographs lie."""
    return paths.RAW / "frost"


def fingerprint(pictures):
    """sha256 over the bytes of textures, one after another: the name of what was made with them."""
    return hashlib.sha256(b"".join(picture.tobytes() for picture in pictures)).hexdigest()


def fetch():
    """Download the wheel (2 MB, pip, pinned sha256), reduce its five photographs, keep them in data/cache/frost/.

    Raises OSError in one sentence when pip cannot get the wheel; ValueError when it is not the published one.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
        ]
        command += [
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--timeout",
            "20",
            "--dest",
            folder,
            WHEEL,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise OSError(
                f"pip could not download {WHEEL} for the frost photographs ({reason}); {_advice()}"
            )
        unpack(wheels[0])


def unpack(wheel):
    """Take the photographs out of a wheel of `imagecorruptions` 1.1.2. Raises ValueError if its sha256 is another."""
    verify(wheel, "sha256", WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        pictures = [
            reduce(BytesIO(archive.read(f"imagecorruptions/frost/{name}"))) for name in PICTURES
        ]
    with paths.as_cache(_cached()), paths.atomic_write(_cached()) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, *pictures)
        return
    _UNKEPT[_cached()] = tuple(pictures)


def reduce(file: Path | BinaryIO) -> np.ndarray:
    """Every fifth row and column from the third, which is OpenCV's linear resize by 0.2: uint8 (3, height // 5, width // 5)."""
    picture = np.asarray(read_picture(file))
    height, width = (round(side * 0.2) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[2::5, 2::5][:height, :width].transpose(2, 0, 1))


def _cached():
    return paths.CACHE / "frost" / "textures.npz"


def _advice():
    return f"put frost1 to frost5 (png or jpg) into {own()}, or leave the corruption `frost` out"


@lru_cache(maxsize=2)
def _read(own, cached):
    if own.is_dir():
        return tuple(_read_own(own, i) for i in range(1, 6))
    if not (cached.exists() or cached in _UNKEPT):
        raise FileNotFoundError(
            f"no frost photographs: call lmlib.corruptions.frost.fetch(), or {_advice()}"
        )
    try:
        with np.load(cached, allow_pickle=False) as archive:
            pictures = tuple(archive[f"arr_{i}"] for i in range(5))
    except Exception:  # np.load may raise anything for what is truncated or foreign
        pictures = _UNKEPT.get(cached, ())
    if fingerprint(pictures) != SHA256:
        raise ValueError(
            f"{cached} does not hold the five frost photographs: delete it and fetch them again"
        )
    return pictures


def _read_own(folder, i):
    found = [
        path
        for suffix in ("png", "jpg", "jpeg")
        if (path := folder / f"frost{i}.{suffix}").exists()
    ]
    if not found:
        raise FileNotFoundError(
            f"{folder} has no frost{i}.png or frost{i}.jpg: frost1 to frost5 are all needed"
        )
    try:
        picture = reduce(found[0])
    except ValueError as error:
        raise ValueError(f"{found[0]} cannot be used: {error}") from error
    if min(picture.shape[1:]) <= 32:
        raise ValueError(f"{found[0]} is too small: each side must be over 164 pixels")
    return picture
