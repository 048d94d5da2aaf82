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

WHEEL = "imagecorruptions==1.1.2"
WHEEL_SHA256 = "d0e4bf529ba6fbb27d8aba1bde7c5db43bf2b969b2c767c11419e939e3e365b8"
PICTURES = "frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg"
"""The reference never uses frost6.jpg."""

log = logging.getLogger(__name__)
_textures: dict[Path, tuple[np.ndarray, ...]] = {}  # what this process has read, by its path


def textures() -> tuple[np.ndarray, ...]:
    """The five reduced photographs: those in data/raw/frost if it is there, else the cached ones.

    Returns five uint8 arrays (3, height, width), each side over 32. Raises FileNotFoundError where
    there are none, ValueError where they cannot be read, are too small, or the cache is damaged.
    """
    path = own() if own().is_dir() else _cache()
    if path not in _textures:
        _textures[path] = _read(path)
    return _textures[path]


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
    pictures = tuple(reduce(BytesIO(content)) for content in contents)
    _textures[_cache()] = pictures
    with as_cache(_cache()):
        write_arrays(_cache(), dict(zip(PICTURES, pictures, strict=True)), {"wheel": WHEEL})


def reduce(file: Path | BinaryIO) -> np.ndarray:
    """Every fifth row and column from the third, which is OpenCV's linear resize by 0.2.

    Returns uint8 (3, height // 5, width // 5).
    """
    picture = np.asarray(read_picture(file))
    height, width = (round(side * 0.2) for side in picture.shape[:2])
    return np.ascontiguousarray(picture[2::5, 2::5][:height, :width].transpose(2, 0, 1))


def _cache() -> Path:
    return paths.CACHE / "frost" / "textures.safetensors"


def _advice() -> str:
    return f"put frost1 to frost5 (png or jpg) into {own()}, or leave the corruption `frost` out"


def _read(path: Path) -> tuple[np.ndarray, ...]:
    if path.is_dir():
        return tuple(_read_photograph(path, i) for i in range(1, 6))
    if not path.exists():
        problem = "no frost photographs: call lmlib.corruptions.frost.fetch()"
        raise FileNotFoundError(f"{problem}, or {_advice()}")
    arrays, _ = read_arrays(path)
    return tuple(arrays[name] for name in PICTURES)


def _read_photograph(folder: Path, i: int) -> np.ndarray:
    endings = ".png", ".jpg", ".jpeg"
    files = [path for path in sorted(folder.glob(f"frost{i}.*")) if path.suffix in endings]
    if not files:
        problem = "frost1 to frost5 are all needed"
        raise FileNotFoundError(f"{folder} has no frost{i}.png or frost{i}.jpg: {problem}")
    try:
        picture = reduce(files[-1])
        if min(picture.shape[1:]) <= 32:
            raise ValueError("too small, each side must be over 164 pixels")
    except ValueError as error:
        raise ValueError(f"{files[-1]} cannot be used: {error}") from error
    return picture
