"""The mixing set: fractals to mix images with, generated or imported, and kept in a cache.

The paper mixes with 14,230 pictures of fractal art that have no licence and no public source. A
generated set (`flames`) stands in for them and says so; a user's own folder, zip or tar of pictures
replaces it. Crops and flips are drawn at each use, by LayerMix.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .. import files, paths, pictures
from ..pictures import FORMATS, describe_skipped, files_below, read_picture, rgb
from . import flames
from .archives import ENDINGS, members

VERSION = 1  # of the preparation; raise it when its pixels change
PREPARATION = (
    "short side resized, centre square kept; the release's crop also moves along the long side"
)


KNOWN_HASHES = {
    (2, 2000, 36, False): "ca64d9d45b728a4e3effa7208fc7052037a25b865c54cc2bcd9f9516c04eb90f",
    (2, 2000, 36, True): "56ee6a724b47b7be43e5aa955646e03d160cd0ba6ba40e87e52d63652c57758a",
}
"""The sha256 of the generated sets of the committed rows, which are named without drawing them.

By (`flames.VERSION`, number, size, colour), all with seed 0."""


@dataclass(frozen=True)
class MixingSet:
    """A mixing set: `images`, uint8 (F, 1 or 3, size, size); `manifest` says from where."""

    images: np.ndarray
    manifest: dict[str, Any]

    @property
    def is_substitute(self) -> bool:
        """Whether the set is generated and stands in for the paper's."""
        return self.manifest["substitute"]

    @property
    def label(self) -> str:
        """A few words for a table, e.g. "500 generated fractals (a substitute), grey"."""
        origin = "generated fractals (a substitute)"
        if not self.is_substitute:
            origin = f"images imported from {self.manifest['source']}"
        colour = "colour" if self.manifest["colour"] else "grey"
        return f"{self.manifest['n_fractals']:,} {origin}, {colour}"


def prepare(image: Image.Image, *, size: int = 36, colour: bool = False) -> np.ndarray:
    """The paper's preparation of a PIL `image`: uint8 (1 or 3, size, size).

    Upright (`rgb`), short side to `size` pixels (antialiased bilinear), centre square, grey unless
    `colour`; as torchvision's Resize, CenterCrop and Grayscale on a PIL image. The release crops 32
    from 36 anywhere, along the long side too; here the square is fixed first, and the crop of each
    use moves within it. Raises ValueError for grey of more than 8 bits.
    """
    # torchvision is heavy, and a generated set does without.
    from torchvision.transforms.functional import center_crop, resize

    image = center_crop(resize(rgb(image), size), size)
    return np.array(image).transpose(2, 0, 1) if colour else np.array(image.convert("L"))[None]


def import_images(
    path: str | Path, *, size: int = 36, colour: bool = False
) -> tuple[np.ndarray, dict[str, str]]:
    """Read and prepare every image in a folder (nested too), zip or tar.

    Returns uint8 (n, 1 or 3, size, size), sorted by name, so that a folder and its archive give the
    same array; and for each file that was skipped its name and the reason: no image, broken, too
    large. Raises ValueError for what is no folder, zip or tar, and if no image could be read.
    """
    path = Path(path)
    if size < 8:
        raise ValueError(f"expected size of at least 8 pixels, got {size}")
    images: list[tuple[str, np.ndarray]] = []
    skipped: dict[str, str] = {}
    for name, opened in tqdm(members(path), desc=f"images of {path.name}", unit=" files"):
        try:
            with opened() as file:
                picture = read_picture(file)
            if max(picture.size) > 20 * min(picture.size):
                width, height = picture.size
                raise ValueError(f"{width} x {height} pixels, a strip and not a picture")
            images.append((name, prepare(picture, size=size, colour=colour)))
        except Exception as error:  # a foreign file can break a decoder in any way
            while name in skipped:
                name += " (2)"
            skipped[name] = str(error) or type(error).__name__
    skipped = dict(sorted(skipped.items()))
    if not images:
        reasons = f"; {describe_skipped(path, skipped)}" if skipped else ""
        formats = ", ".join(FORMATS)
        raise ValueError(f"expected images ({formats}) in {path}, none can be read{reasons}")
    images.sort(key=lambda pair: pair[0])
    return np.stack([image for _, image in images]), skipped


def mixing_set(
    source: str | Path = "generated",
    *,
    n_fractals: int = 500,
    size: int = 36,
    seed: int = 0,
    colour: bool = False,
) -> MixingSet:
    """The `MixingSet` of `source`, from data/cache/fractals/ or made and put there.

    source: "generated", or the path of a folder, zip or tar with images. n_fractals and seed name a
    generated set; an imported one holds every image that could be read. size: side in pixels, 36
    for images of 32, 256 for 224. A cached file that is damaged is named in the log and made again;
    a set that cannot be cached is returned, and the log says so. Raises ValueError for a source
    that is not there.
    """
    generated = source == "generated"
    name = f"generated-{n_fractals}-seed{seed}" if generated else Path(source).resolve().name
    key: dict[str, Any] = {"size": int(size), "colour": bool(colour), "substitute": generated}
    if generated:
        key |= {"source": source, "version": flames.VERSION}
        key |= {"n_fractals": int(n_fractals), "seed": int(seed)}
    else:
        key |= {"source": name, "version": VERSION, "reader": pictures.VERSION}
        key["listing"] = listing(source)
    kind = f"{size}px-{'colour' if colour else 'grey'}"
    cache = paths.CACHE / "fractals" / f"{name}-{kind}-{files.digest(key)[:8]}.safetensors"

    def make() -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        skipped: dict[str, str] = {}
        if generated:
            images = flames.generate(n_fractals, size=size, seed=seed, colour=colour)
        else:
            images, skipped = import_images(source, size=size, colour=colour)
        if skipped:
            warnings.warn(describe_skipped(source, skipped), stacklevel=4)
        digest = hashlib.sha256(images.tobytes()).hexdigest()
        manifest = key | {"n_fractals": len(images), "sha256": digest, "skipped": skipped}
        return {"images": images}, manifest | {"preparation": PREPARATION}

    arrays, manifest = files.cached_arrays(cache, make)
    return MixingSet(arrays["images"], dict(manifest))


def own_source() -> Path | None:
    """The user's own pictures to mix with: the folder data/raw/fractals, else an archive."""
    folder = paths.RAW / "fractals"
    if folder.is_dir():
        return folder
    archives = [paths.RAW / f"fractals{ending}" for ending in ENDINGS]
    return next((path for path in archives if path.is_file()), None)


def listing(source: str | Path) -> str:
    """A hash of the names, sizes and times of a source's files, which tells when it has changed.

    Raises ValueError for a source that is not there.
    """
    path = Path(source)
    if not path.exists():
        expected = "expected 'generated' or the path of a folder, zip or tar of images"
        raise ValueError(f"{expected}, got '{source}', which is not there")
    rows = []
    for file in files_below(path) if path.is_dir() else [path]:
        status = file.stat() if file.exists() else file.lstat()
        rows.append((file.relative_to(path).as_posix(), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
