"""A copy of ImageNet, or of other photographs, with small training pictures: quick to decode.

    python -m lmlib.datasets.shrink /path/of/imagenet /path/of/copy

The short side becomes 256 px, saved as a JPEG of quality 90 in the same tree: 40 GB for all of
ImageNet, where arrays of the same pictures would take 340, and any program reads it. Test pictures
are linked, since another resize would change them. It is another dataset with another identity:
a crop of 8 % of a picture is blurrier than of the original.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..files import atomic_write
from ..pictures import opened_picture
from .photographs import list_files

SIDE, QUALITY = 256, 90
N_TRIED = 64  # pictures that the size of all is estimated from
ROOM = 10**9  # bytes that are to stay free on the disk


def shrink(source: Path, target: Path) -> dict[str, str]:
    """Write the small copy of a folder with `train` and `val` or `test`; go on where it stopped.

    All processors work on it. Returns what cannot be decoded, which the copy lacks: name -> reason.
    Raises ValueError, before much is written, where the disk has too little room.
    """
    if not (source / "train").is_dir():
        raise ValueError(f"{source} has no folder train: expected ImageNet, or pictures like it")
    names = [name for name, _ in list_files(source / "train")[0]]
    one = partial(write_small, source / "train", target / "train")
    some = [names[k] for k in np.linspace(0, len(names) - 1, min(N_TRIED, len(names))).astype(int)]
    skipped = {name: reason for name in some if (reason := one(name))}
    sizes = [(target / "train" / name).stat().st_size for name in some if name not in skipped]
    needed = sum(sizes) / max(1, len(sizes)) * len(names)
    done = sum(size for _, size in list_files(target / "train")[0])
    if (free := shutil.disk_usage(target).free) < needed - done + ROOM:
        raise ValueError(
            f"{target} needs about {(needed - done + ROOM) / 1e9:.1f} GB for {len(names):,} "
            f"pictures, and {free / 1e9:.1f} GB are free: choose another disk"
        )
    for part in ("val", "test"):
        if (source / part).is_dir() and not (target / part).exists():
            (target / part).symlink_to((source / part).absolute())
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(pool.map(one, names, chunksize=64), total=len(names), unit=" pictures")
        skipped |= {name: reason for name, reason in zip(names, found, strict=True) if reason}
    return skipped


def write_small(source: Path, target: Path, name: str) -> str:
    """Write one picture unless it is there; returns why it cannot be decoded, or "".

    One that is small already is copied as it is.
    """
    if (target / name).exists():
        return ""
    from torchvision.transforms.functional import resize  # heavy

    try:
        with opened_picture(source / name) as picture:
            exif = picture.info.get("exif", b"")  # who turns pictures by it does so later, too
            colour = picture.convert("RGB")
    except ValueError as error:
        return str(error)
    with atomic_write(target / name) as temporary:
        if min(colour.size) > SIDE:
            resize(colour, SIDE).save(temporary, "JPEG", quality=QUALITY, exif=exif)
        else:
            shutil.copyfile(source / name, temporary)
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Shrink the folder of the first argument into that of the second; returns the exit code."""
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if len(given) != 2:
            raise ValueError(
                f"expected two folders, the pictures' and the copy's, got {len(given)}"
            )
        source, target = map(Path, given)
        skipped = shrink(source, target)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, reason in skipped.items():
        print(f"left out: {name} ({reason})")
    print(f"{target} is whole: set LMLIB_IMAGENET to it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
