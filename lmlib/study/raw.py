"""What lies in data/raw: what a study takes, and what looks like it and is not."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from .. import paths
from ..corruptions import frost
from ..corruptions.imagenet_files import FOLDERS, official_pictures
from ..corruptions.official import SUFFIXES, folder_name, official_source
from ..datasets import cifar, imagenet
from ..datasets.load import NAMES as DATASETS
from ..fractals.archives import ENDINGS
from ..fractals.mixing_sets import own_source
from ..models import imagenet_weights
from ..pictures import files_below

SUFFIX = re.compile(r"([ _-]?\(?copy\)?|[ _-]?\(\d+\)|\.[a-z][a-z0-9]{0,9})+$")  # endings, copies
OF_IMAGENET = {
    "imagenet/": "ImageNet",
    "imagenet-r/": "ImageNet-R",
    imagenet.WHEEL_FILE: "classes of a flat val/ of ImageNet",
} | {file: f"ImageNet weights of {network}" for network, file in imagenet_weights.FILES.items()}
"""What a study of ImageNet takes by one name alone; folders end in a slash."""


@dataclass(frozen=True)
class Entry:
    """Something in data/raw: its name, whether a study takes it, and as what or why not."""

    name: str
    taken: bool
    description: str


def forms() -> dict[str, tuple[str, ...]]:
    """What a study can take from data/raw -> the names it may have; folders end in a slash."""
    names: dict[str, tuple[str, ...]] = {}
    for name, known in cifar.CIFAR.items():
        arrays = [f"{name}_{split}.npz" for split in cifar.SHAPES]
        names[f"images of {name}"] = (f"{known.folder}/", known.archive, *arrays)
    names["images of cifar10"] += (cifar.NPM_FILE,)
    for name, benchmark in product(DATASETS, SUFFIXES):
        folder = folder_name(name, benchmark)
        names[f"official {benchmark} of {name}"] = (f"{folder}/", f"{folder}.tar")
    for benchmark, folder in FOLDERS.items():
        names[f"official {benchmark}"] = (f"{folder}/",)
    names["images to mix with"] = ("fractals/", *(f"fractals{ending}" for ending in ENDINGS))
    names |= {kind: (entry,) for entry, kind in OF_IMAGENET.items()}
    return names | {"photographs for frost": ("frost/",)}


def _recognised() -> Iterator[tuple[str, str, str]]:
    """What a study would take: an entry's name, what it is, and what is wrong with it or ""."""
    for name in cifar.CIFAR:
        files = cifar.find(name, paths.RAW)[1]
        absent = [file.name for file in files if not file.is_file()]
        problem = f"{absent[0]} is missing, which belongs to the images of {name}" if absent else ""
        for entry in {file.relative_to(paths.RAW).parts[0] for file in files}:
            yield entry, f"images of {name}", problem
    own = [re.match(r"(folder-.+)-(C|C-Bar|P)$", path.name) for path in paths.RAW.glob("*")]
    for name, benchmark in product((*DATASETS, *(match[1] for match in own if match)), SUFFIXES):
        problem = ""
        try:
            path = official_source(name, benchmark)
        except ValueError as error:
            path, problem = paths.RAW / folder_name(name, benchmark), str(error)
        if path:
            yield path.name, f"official {benchmark} of {name}", problem
    if source := own_source():
        is_empty = source.is_dir() and not files_below(source)
        remedy = "it is empty: put images to mix with there, or take it away"
        yield source.name, "images to mix with", remedy if is_empty else ""
    for benchmark in FOLDERS:
        if path := official_pictures(benchmark):
            yield path.name, f"official {benchmark}", ""
    for entry, kind in OF_IMAGENET.items():
        path = paths.RAW / entry
        if path.is_dir() if entry.endswith("/") else path.is_file():
            yield path.name, kind, ""
    if frost.own().is_dir():
        problem = ""
        try:
            frost.textures()
        except (FileNotFoundError, ValueError) as error:
            problem = f"{error}; the corruption frost is left out"
        yield "frost", "photographs for frost", problem


def survey() -> list[Entry]:
    """Every entry of data/raw that is not hidden, in the order of names."""
    recognised = {name: (kind, problem) for name, kind, problem in _recognised()}
    taken = {name: kind for name, (kind, problem) in recognised.items() if not problem}
    entries = []
    for path in sorted(paths.RAW.glob("[!.]*")):
        if not path.exists():
            problem = f"a link to '{path.readlink()}', which is not there"
        elif path.name in recognised:
            problem = recognised[path.name][1]
        else:
            problem = why_not(path.name, path.is_dir(), taken)
        entries.append(Entry(path.name, not problem, problem or taken[path.name]))
    return entries


def why_not(name: str, is_folder: bool, taken: Mapping[str, str]) -> str:
    """Why an entry is not taken, and how what it looks like would have to be named."""
    known = {form: kind for kind, names in forms().items() for form in names}
    if kind := known.get(f"{name}/" if is_folder else name):
        others = " and ".join(other for other, its in taken.items() if its == kind)
        return f"{others or 'another entry'} comes first"
    stems = {plain(form): form for form in reversed(known)}
    stems |= {name: f"{images.folder}/" for name, images in cifar.CIFAR.items()}
    nearest = difflib.get_close_matches(plain(name), stems, n=1, cutoff=0.85)
    nearest = nearest or [stem for stem in stems if plain(name).startswith(stem)]
    if not nearest:
        return "its name is none that the study knows"
    kind = known[stems[nearest[0]]]
    return f"it looks like {kind}, but its name is none of {', '.join(forms()[kind])}"


def plain(name: str) -> str:
    """A name without endings, marks of a copy, case and separators: what spellings share."""
    return re.sub(r"[^a-z0-9]", "", SUFFIX.sub("", name.lower().rstrip("/")))


def report() -> None:
    """Print what lies in data/raw, a line an entry: what is taken for what, and what is not."""
    for entry in survey():
        prefix = "" if entry.taken else "not used, "
        print(f"data/raw/{entry.name}: {prefix}{entry.description}", flush=True)
