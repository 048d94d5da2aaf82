"""What lies in data/raw: what a study takes, and what looks like it and is not."""

import difflib
import re
from dataclasses import dataclass
from itertools import product

from .. import paths
from ..corruptions import NAMES, frost
from ..corruptions.official import folder_name, official_source
from ..datasets import cifar as sources
from ..datasets.load import NAMES as DATASETS
from ..fractals import mixing_sets as fractals
from ..fractals.archives import ENDINGS
from ..pictures import files_below

PACKED = re.compile(r"([ _-]?\(?copy\)?|[ _-]?\(\d+\)|\.[a-z][a-z0-9]{0,9})+$")  # endings, copies


@dataclass(frozen=True)
class Entry:
    """Something in data/raw: its name, whether a study takes it, and for what or why not."""

    name: str
    taken: bool
    words: str


def forms() -> dict[str, tuple[str, ...]]:
    """What a study can take from data/raw -> the names it may have; folders end in a slash."""
    found = {}
    for name, known in sources.CIFAR.items():
        arrays = [f"{name}_{split}.npz" for split in sources.SHAPES]
        found[f"images of {name}"] = (f"{known.folder}/", known.archive, *arrays)
    found["images of cifar10"] += (sources.NPM_FILE,)
    for name, benchmark in product(DATASETS, NAMES):
        folder = folder_name(name, benchmark)
        found[f"official {benchmark} of {name}"] = (f"{folder}/", f"{folder}.tar")
    archives = [f"fractals{ending}" for ending in ENDINGS]
    found["images to mix with"] = ("fractals/", *archives)
    return found | {"photographs for frost": ("frost/",)}


def survey() -> list[Entry]:
    """Every entry of data/raw that is not hidden, in the order of names."""
    entries = [path for path in sorted(paths.RAW.glob("*")) if not path.name.startswith(".")]
    taken, refused = {}, {}
    for name in sources.CIFAR:
        files = sources.find(name, paths.RAW)[1]
        absent = [file.name for file in files if not file.is_file()]
        for entry in {file.relative_to(paths.RAW).parts[0] for file in files}:
            taken[entry] = f"images of {name}"
            if absent:
                refused[entry] = f"{absent[0]} is missing, which belongs to the images of {name}"
    own = [re.match(r"(folder-.+)-(C|C-Bar|P)$", path.name) for path in entries]
    for name, benchmark in product((*DATASETS, *(match[1] for match in own if match)), NAMES):
        try:
            if path := official_source(name, benchmark):
                taken[path.name] = f"official {benchmark} of {name}"
        except ValueError as error:
            refused[folder_name(name, benchmark)] = str(error)
    if path := fractals.own_source():
        taken[path.name] = "images to mix with"
        if path.is_dir() and not files_below(path):
            refused[path.name] = "it is empty: put images to mix with there, or take it away"
    if frost.own().is_dir():
        try:
            frost.textures()
            taken["frost"] = "photographs for frost"
        except (FileNotFoundError, ValueError) as error:
            refused["frost"] = f"{error}; the corruption frost is left out"
    found = []
    for path in entries:
        if not path.exists():
            words = f"a link to '{path.readlink()}', which is not there"
            found.append(Entry(path.name, False, words))
        elif path.name in refused:
            found.append(Entry(path.name, False, refused[path.name]))
        elif path.name in taken:
            found.append(Entry(path.name, True, taken[path.name]))
        else:
            found.append(Entry(path.name, False, why_not(path.name, path.is_dir(), taken)))
    return found


def why_not(name: str, is_folder: bool, taken: dict[str, str]) -> str:
    """Why an entry that is not taken is not, and how what it looks like would have to be named."""
    known = {one: what for what, names in forms().items() for one in names}
    if what := known.get(f"{name}/" if is_folder else name):
        others = " and ".join(other for other, its in taken.items() if its == what)
        return f"{others or 'another entry'} comes first"
    stems = {plain(one): one for one in reversed(known)}
    stems |= {name: f"{images.folder}/" for name, images in sources.CIFAR.items()}
    nearest = difflib.get_close_matches(plain(name), stems, n=1, cutoff=0.85)
    nearest = nearest or [stem for stem in stems if plain(name).startswith(stem)]
    if not nearest:
        return "its name is none that the study knows"
    what = known[stems[nearest[0]]]
    return f"it looks like {what}, but its name is none of {', '.join(forms()[what])}"


def plain(name: str) -> str:
    """A name without endings, marks of a copy, case and separators: what spellings share."""
    return re.sub(r"[^a-z0-9]", "", PACKED.sub("", name.lower().rstrip("/")))


def report() -> None:
    """Print what lies in data/raw, a line an entry: what is taken for what, and what is not."""
    for entry in survey():
        words = entry.words if entry.taken else f"not used, {entry.words}"
        print(f"data/raw/{entry.name}: {words}", flush=True)
