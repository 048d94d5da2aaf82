"""The mixing set: fractals to mix images with, generated (`flames`) or imported from a user's folder, zip or tar, kept in a cache.

The paper mixes with 14,230 pictures of fractal art that have no licence and no public source; a generated set stands in for them
and says so. Crops and flips are drawn at each use, by LayerMix.
"""

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .. import paths, pictures
from ..archives import ENDINGS, files_below, members
from ..pictures import FORMATS, read_picture, rgb, skipped_words
from . import flames
from .flames import generate

VERSION = 1  # of the preparation; raise it when its pixels change
PREPARATION = (
    "short side resized, centre square kept; the release's crop also moves along the long side"
)


@dataclass(frozen=True)
class MixingSet:
    """A mixing set and where it came from: `images`, uint8 (F, 1 or 3, size, size), and `manifest`, a plain dict."""

    images: np.ndarray
    manifest: dict

    @property
    def is_substitute(self):
        """Whether the set is generated and stands in for the paper's."""
        return self.manifest["substitute"]

    @property
    def label(self):
        """A few words for a table, e.g. "500 generated fractals (a substitute), grey"."""
        source = self.manifest["source"]
        origin = (
            "generated fractals (a substitute)"
            if self.is_substitute
            else f"images imported from {source}"
        )
        return f"{self.manifest['n_fractals']:,} {origin}, {'colour' if self.manifest['colour'] else 'grey'}"


def prepare(image: Image.Image, *, size: int = 36, colour: bool = False) -> np.ndarray:
    """The paper's preparation of a PIL `image`: uint8 (1 or 3, size, size).

    Upright (`rgb`), short side to `size` pixels (antialiased bilinear), centre square, grey unless
    `colour`; as torchvision's Resize, CenterCrop and Grayscale on a PIL image. The release crops 32
    from 36 anywhere, along the long side too; here the square is fixed first, and the crop of each
    use moves within it. Raises ValueError for grey of more than 8 bits.
    """
    from torchvision.transforms.functional import (  # heavy, and a generated set does without
        center_crop,
        resize,
    )

    image = center_crop(resize(rgb(image), size), size)
    return (
        np.array(image).transpose(2, 0, 1).copy() if colour else np.array(image.convert("L"))[None]
    )


def import_images(
    path: str | Path,
    *,
    size: int = 36,
    colour: bool = False,
) -> tuple[np.ndarray, dict[str, str]]:
    """Read and prepare every image in a folder (nested too), zip or tar: uint8 (n, 1 or 3, size, size), and what was skipped.

    Sorted by name, so that a folder and its archive give the same array. Nothing is unpacked to disk. The second result is a dict
    from a file's name to the reason it was skipped: no image, broken, too large. Raises ValueError for what is no folder, zip
    or tar, and if no image could be read.
    """
    path = Path(path)
    if size < 8:
        raise ValueError(f"expected size of at least 8 pixels, got {size}")
    images, skipped = {}, {}
    for name, opened in tqdm(members(path), desc=f"images of {path.name}", unit=" files"):
        try:
            with opened() as file:
                picture = read_picture(file)
            if max(picture.size) > 20 * min(picture.size):
                width, height = picture.size
                raise ValueError(f"{width} x {height} pixels, a strip and not a picture")
            images[name] = prepare(picture, size=size, colour=colour)
        except (
            Exception
        ) as error:  # a foreign file can break a decoder in any way; each is named in the report
            skipped[name] = str(error) or type(error).__name__
    if not images:
        reasons = "".join(f"; {name!r}: {reason}" for name, reason in list(skipped.items())[:3])
        raise ValueError(
            f"expected images ({', '.join(FORMATS)}) in {path}, found none that can be read{reasons}"
        )
    return np.stack([images[name] for name in sorted(images)]), dict(sorted(skipped.items()))


def mixing_set(source="generated", *, n_fractals=500, size=36, seed=0, colour=False):
    """The `MixingSet` of `source`, from data/cache/fractals/ or made and put there.

    source: "generated", or the path of a folder, zip or tar with images. n_fractals and seed name a generated set; an imported
    one holds every image that could be read. size: side in pixels, 36 for images of 32, 256 for 224. A cached array that does
    not have the hash of its manifest is named in a warning and made again; so is one that cannot be
    written. Raises ValueError for a source that is not there.
    """
    wanted = {"size": int(size), "colour": bool(colour)}
    if source == "generated":
        name, wanted["version"] = f"generated-{n_fractals}-seed{seed}", flames.VERSION
        wanted |= {"source": source, "substitute": True, "n_fractals": n_fractals, "seed": seed}
    else:
        name = Path(source).resolve().name
        wanted |= {"source": name, "substitute": False, "listing": listing(source)}
        wanted |= {"version": VERSION, "reader": pictures.VERSION}
    kind = f"{size}px-{'colour' if colour else 'grey'}"
    file = paths.CACHE / "fractals" / f"{name}-{kind}-{paths.digest_of(wanted)[:8]}.npy"
    cached = _read(file, wanted)
    if cached is not None:
        return cached
    if source == "generated":
        images, skipped = generate(n_fractals, size=size, seed=seed, colour=colour), {}
    else:
        images, skipped = import_images(source, size=size, colour=colour)
        if skipped:
            report = file.with_suffix(".json")
            warnings.warn(f"{skipped_words(source, skipped)}; all in {report}", stacklevel=2)
    manifest = (
        wanted
        | {"n_fractals": len(images), "skipped": skipped, "preparation": PREPARATION}
        | _described(images)
    )
    with paths.as_cache(file):
        with paths.atomic_write(file) as temporary, temporary.open("wb") as opened:
            np.save(opened, images)
        paths.write_record(file.with_suffix(".json"), manifest)
    return MixingSet(images, manifest)


def own_source() -> Path | None:
    """The user's own pictures to mix with: the folder data/raw/fractals, else an archive."""
    if (paths.RAW / "fractals").is_dir():
        return paths.RAW / "fractals"
    archives = [paths.RAW / f"fractals{ending}" for ending in ("", *ENDINGS)]
    return next((path for path in archives if path.is_file()), None)


def listing(source: str | Path) -> str:
    """A hash of the names, sizes and times of a source's files: what was made of them is made anew when it changes."""
    path = Path(source)
    if not path.exists():
        raise ValueError(
            f"expected 'generated' or the path of a folder, zip or tar of images, got '{source}', which is not there"
        )
    files = files_below(path) if path.is_dir() else [path]
    names = [file.relative_to(path).as_posix() for file in files]
    stats = [file.stat() if file.exists() else file.lstat() for file in files]
    rows = [(name, one.st_size, one.st_mtime_ns) for name, one in zip(names, stats, strict=True)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _described(images):
    """What a manifest says of the array itself: shape, dtype, and the SHA-256 of its bytes."""
    return {
        "shape": list(images.shape),
        "dtype": str(images.dtype),
        "sha256": hashlib.sha256(images).hexdigest(),
    }


def _read(file, wanted):
    """The cached set in `file` if it is whole and is what is `wanted`; else None, with a warning if there was something."""
    if not file.exists():
        return None
    try:
        manifest = paths.read_record(file.with_suffix(".json"))
        with file.open("rb") as opened:
            images = np.lib.format.read_array(opened, allow_pickle=False)
        whole = wanted | _described(images)
        reason = "; ".join(
            f"{key} is not the manifest's"
            for key, value in whole.items()
            if manifest.get(key) != value
        )
    except Exception as error:  # np.load may raise anything for what is truncated or foreign
        reason = str(error) or type(error).__name__
    if not reason:
        return MixingSet(images, manifest)
    warnings.warn(
        f"the cached mixing set {file} is half-written or was altered ({reason}): making it again",
        stacklevel=3,
    )
