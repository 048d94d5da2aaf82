"""One way to read a picture that somebody brings: for datasets, fractals, photographs, frost."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

VERSION = 1  # raised by hand when the pixels change that a picture gives
FORMATS = "AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP"
"""Pillow's others reach for other programs or are rare."""


class NoPictureError(ValueError):
    """What was to be read is no picture, or none of `FORMATS`."""


def read_picture(file: str | Path | BinaryIO) -> Image.Image:
    """The picture in a file, a path or open in binary, as `rgb` makes it; of frames the first.

    Raises ValueError as `opened_picture`.
    """
    with opened_picture(file) as picture:
        return rgb(picture)


@contextmanager
def opened_picture(file: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """The picture in a file, of which only the header has been read, for `with`.

    Raises NoPictureError for what is no picture, ValueError for one that is cut short, damaged, of
    more than 8 bits a channel, or of more than 89 million pixels, which are counted before any is
    read; ValueError, too, for a link that leads nowhere. What is met as pixels are read, inside of
    `with`, is a ValueError, too.
    """
    try:
        source = open_file(Path(file)) if isinstance(file, (str, Path)) else nullcontext(file)
        with source as opened, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(opened, formats=FORMATS) as picture:
                check_depth(picture)
                yield picture
    except UnidentifiedImageError:
        raise NoPictureError(f"not an image, or none of {', '.join(FORMATS)}") from None
    except Exception as error:  # a foreign file can break a decoder in any way
        raise ValueError(str(error) or type(error).__name__) from error


def check_depth(image: Image.Image) -> None:
    """Raise ValueError for grey of more than 8 bits (the modes I and F).

    Its range is not known: Pillow would clip it to white.
    """
    if image.mode[0] in "IF":
        problem = f"more than 8 bits a channel (mode {image.mode}), which would be clipped"
        raise ValueError(f"{problem}: save it with 8")


def rgb(image: Image.Image) -> Image.Image:
    """A PIL image upright, as its EXIF orientation says, in the mode RGB.

    An alpha channel is dropped, not composed; a palette gives its colours. Colours of 16 bits come
    from Pillow with their upper 8. Raises ValueError as `check_depth`.
    """
    check_depth(image)
    return ImageOps.exif_transpose(image).convert("RGB")


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, behind links too, by folder and then name: ImageFolder's order.

    What is no file, such as a link that leads nowhere, is among them: `open_file` refuses it.
    Raises OSError for a folder that cannot be listed, ValueError for a link back to a folder above
    it.
    """

    def fail(error: OSError) -> None:
        raise error

    files = []
    for name, _, file_names in os.walk(folder, followlinks=True, onerror=fail):
        parent = Path(name)
        if parent.is_symlink() and parent.resolve() in [one.resolve() for one in parent.parents]:
            raise ValueError(f"{parent} leads back to a folder above it: take the link away")
        files += [parent / file_name for file_name in file_names]
    return sorted(files, key=lambda file: (str(file.parent), file.name))


def open_file(path: Path) -> BinaryIO:
    """Open a regular file in binary. Raises ValueError for what is none: a pipe would never end."""
    if path.is_symlink() and not path.exists():
        raise ValueError(f"a link to '{path.readlink()}', which is not there")
    if path.exists() and not path.is_file():
        raise ValueError("no regular file")
    return path.open("rb")


def describe_skipped(source: str | Path, skipped: Mapping[str, str]) -> str:
    """How many files of a source were skipped, and the first five; skipped: name -> reason."""
    first = [f"{name!r} ({reason})" for name, reason in list(skipped.items())[:5]]
    others = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    return f"skipped {len(skipped)} files of {source}: {'; '.join(first)}{others}"
