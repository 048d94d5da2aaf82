"""The photographs that the corruption `frost` lays over an image.

They belong to hendrycks/robustness (Apache-2.0) and also ship in PyPI's `imagecorruptions` 1.1.2,
byte for byte. That package is not installed: its wheel is fetched alone, through pip, and only its
pictures are taken. There is no substitute for them: without them the corruption cannot be made, and
a mean over the others says so.
"""

import logging
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import paths
from ..files import as_cache, digest, fetch_wheel, read_arrays, verify, write_arrays
from ..pictures import read_picture
from .recipe import SIZES

WHEEL = "imagecorruptions==1.1.2"
WHEEL_SHA256 = "d0e4bf529ba6fbb27d8aba1bde7c5db43bf2b969b2c767c11419e939e3e365b8"
PICTURES = "frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"
"""The reference never uses frost6.jpg."""

log = logging.getLogger(__name__)
SMALL = SIZES["cifar"]
_textures: dict[tuple[Path, int], tuple[np.ndarray, ...]] = {}  # what this process has read


def textures(size: int = SMALL) -> tuple[np.ndarray, ...]:
    """The five photographs: those in data/raw/frost if it is there, else the cached ones.

    size: of the images that they are for; they are reduced for 32 pixels, and whole for others.
    Returns five uint8 arrays (3, height, width), each side over `size`. Raises FileNotFoundError
    where there are none, ValueError where they cannot be read, are too small, or the cache is
    damaged.
    """
    path = own() if own().is_dir() else _cache()
    if (path, size) not in _textures:
        _textures[path, size] = _read(path, size)
    return _textures[path, size]


def own() -> Path:
    """Where a user's own photographs lie."""
    return paths.RAW / "frost"


def fingerprint() -> str:
    """A checksum of the photographs: the name of what was made with them."""
    return digest(None, dict(zip(PICTURES, textures(), strict=True)))


def fetch() -> None:
    """Download the wheel (2 MB, pip, pinned sha256) and keep its five photographs in data/cache.

    Raises OSError in one sentence when pip cannot get the wheel; ValueError when it is not the
    published one.
    """
    with tempfile.TemporaryDirectory() as folder:
        log.info("The frost photographs are fetched: %s, 2 MB, by pip", WHEEL)
        try:
            wheel = fetch_wheel(WHEEL, Path(folder))
        except OSError as error:
            raise OSError(f"{error} for the frost photographs; {_advice()}") from error
        unpack(wheel)


def unpack(wheel: Path) -> None:
    """Take the photographs out of a wheel of `imagecorruptions` 1.1.2 and keep them.

    Raises ValueError if its sha256 is another.
    """
    verify(wheel, "sha256", WHEEL_SHA256)
    with zipfile.ZipFile(wheel) as archive:
        contents = [archive.read(f"imagecorruptions/frost/{name}") for name in PICTURES]
    arrays: dict[str, np.ndarray] = {}
    for size in SIZES.values():
        _textures[_cache(), size] = tuple(reduce(BytesIO(content), size) for content in contents)
        arrays |= dict(zip(_names(size), _textures[_cache(), size], strict=True))
    with as_cache(_cache()):
        write_arrays(_cache(), arrays, {"wheel": WHEEL})


def reduce(file: Path | BinaryIO, size: int = SMALL) -> np.ndarray:
    """A photograph for images of `size` pixels: uint8 (3, height, width).

    For 32 pixels, every fifth row and column from the third, which is OpenCV's linear resize by
    0.2.
    """
    picture = np.asarray(read_picture(file))
    if size == SMALL:
        height, width = (round(side * 0.2) for side in picture.shape[:2])
        picture = picture[2::5, 2::5][:height, :width]
    return np.ascontiguousarray(picture.transpose(2, 0, 1))


def _cache() -> Path:
    return paths.CACHE / "frost" / "textures.safetensors"


def _names(size: int) -> list[str]:
    return [name if size == SMALL else f"whole {name}" for name in PICTURES]


def _advice() -> str:
    return f"put frost1 to frost5 (png or jpg) into {own()}, or leave the corruption `frost` out"


def _read(path: Path, size: int) -> tuple[np.ndarray, ...]:
    if path.is_dir():
        return tuple(_read_photograph(path, i, size) for i in range(1, 6))
    arrays = read_arrays(path)[0] if path.exists() else {}
    if missing := set(_names(size)) - arrays.keys():  # all, or the whole ones in an older file
        problem = f"no frost photographs for {size} pixels ({len(missing)} are missing)"
        remedy = "call lmlib.corruptions.frost.fetch()"
        raise FileNotFoundError(f"{problem}: {remedy}, or {_advice()}")
    return tuple(arrays[name] for name in _names(size))


def _read_photograph(folder: Path, i: int, size: int) -> np.ndarray:
    endings = ".png", ".jpg", ".jpeg"
    files = [path for path in sorted(folder.glob(f"frost{i}.*")) if path.suffix in endings]
    if not files:
        problem = "frost1 to frost5 are all needed"
        raise FileNotFoundError(f"{folder} has no frost{i}.png or frost{i}.jpg: {problem}")
    try:
        picture = reduce(files[-1], size)
        if min(picture.shape[1:]) <= size:
            least = 164 if size == SMALL else size
            raise ValueError(f"too small, each side must be over {least} pixels")
    except ValueError as error:
        raise ValueError(f"{files[-1]} cannot be used: {error}") from error
    return picture
