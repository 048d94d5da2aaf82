"""One run = one training with one configuration and seed = one folder: its identity, its files, finding it again.

data/runs/<name>/config.json              what was set
                 checkpoint.safetensors   weights, buffers, momentum, epoch, history: one rename commits an epoch
                 done.json                the last epoch is reached: environment, time
                 evaluations/             what was measured, one file a benchmark
                 train.ipynb              the executed notebook
"""

import glob
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import torch

from .. import augment, paths
from ..checks import as_json, check_name, check_range, check_whole
from ..datasets import cifar as sources
from ..datasets import load as datasets
from ..datasets.split import Split, stratified_subset, validation_split
from ..fractals.mixing_sets import VERSION as FRACTALS_VERSION
from ..fractals.mixing_sets import mixing_set, own_source
from ..models import networks as models
from ..models import training
from ..models.checkpoints import load_checkpoint, save_checkpoint
from ..models.losses import check_loss
from .profiles import get_profile

VERSIONS = {
    "augment": augment.VERSION,
    "datasets": datasets.VERSION,
    "fractals": FRACTALS_VERSION,
    "models": models.VERSION,
    "training": training.VERSION,
}
"""Raised by hand, each in its module, when numbers change: a run made by another version is another run."""


@dataclass(frozen=True)
class RunConfig:
    """What a user sets, and the data it stands for: the identity of a run. All values are plain JSON. Raises ValueError for numbers
    out of range."""

    dataset: str
    dataset_hash: str
    method: str
    parameters: dict
    mixing: (
        dict | None
    )  # the manifest's identity of the mixing set; None where the method needs none
    loss: str
    precision: str
    threads: int
    compile: bool
    network: str
    epochs: int
    seed: int
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    n_train: int | None = None  # stratified training images; None: all
    n_validation: int = 0  # stratified images held out of the training set
    versions: dict = field(default_factory=lambda: dict(VERSIONS))

    def __post_init__(self):
        checked = {
            "epochs": check_whole("epochs", self.epochs, 1, 10**6),
            "seed": check_whole("seed", self.seed, 0, 2**63 - 1),
            "batch_size": check_whole("batch_size", self.batch_size, 1, 10**6),
            "learning_rate": check_range(
                "learning_rate", self.learning_rate, 0, np.inf, low_open=True
            ),
            "weight_decay": check_range("weight_decay", self.weight_decay, 0, np.inf),
            "n_train": self.n_train
            if self.n_train is None
            else check_whole("n_train", self.n_train, 0),
            "n_validation": check_whole("n_validation", self.n_validation, 0),
        }
        for name, value in checked.items():  # NumPy's numbers, say, are no JSON
            object.__setattr__(self, name, value)

    @property
    def label(self):
        """What a reader wants to know of a run, as it begins its name."""
        parameters = "".join(
            f"-{key}={value}"
            for key, value in sorted(self.parameters.items())
            if np.isscalar(value)
        )
        loss = "" if self.loss == augment.METHODS[self.method].loss else f"-{self.loss}"
        words = f"{self.dataset}-{self.network}-{self.method}{parameters}{loss}-e{self.epochs}-s{self.seed}"
        return words.replace("/", "_")

    @property
    def name(self):
        """The label and a short hash of everything above."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:8]
        return f"{self.label}-{digest}"

    @property
    def folder(self):
        return paths.RUNS / self.name

    def training_index(self, dataset):
        """Which training images the run uses, `n_train` beside those held out: sorted int64, positions in the original split."""
        kept = np.arange(len(dataset.train))
        if self.n_validation:
            kept, _ = validation_split(dataset.train, self.n_validation, seed=0)
        if self.n_train is None:
            return kept
        return kept[stratified_subset(dataset.train.labels[kept], self.n_train, seed=0)]


dataset_of = lru_cache(maxsize=2)(datasets.load_dataset)  # kept in memory for the next run


def data_behind(name):
    """The dataset; one without images where its files are not here and runs on it are committed.

    That one names those runs, so that their rows are found without a download. None can be trained on it.
    """
    committed = (
        sorted(paths.RESULTS.glob(f"*/weights/{name}-*.safetensors"))
        if name in sources.CIFAR
        else []
    )
    if not committed or sources.find(name, paths.RAW)[1]:
        return dataset_of(name)
    none = Split(np.empty((0, 3, 32, 32), np.uint8), np.empty(0, np.int64))
    known = {
        "name": name,
        "hash": load_checkpoint(committed[0])[1]["config"]["dataset_hash"],
        "source": "not here",
    }
    known["classes"] = sources.CIFAR[name].classes
    return datasets.Dataset(**known, train=none, test=none, canonical=False, flip=True, pad=4)


def fractal_source() -> str:
    """What the study mixes with: the path of the user's pictures in data/raw, or "generated"."""
    return str(own_source() or "generated")


@lru_cache(maxsize=4)
def mixing_set_of(n_fractals, image_size, colour):
    """The mixing set for images of `image_size`: 36 px for 32, 256 for 224 (the paper's preparation).

    The user's pictures in `data/raw/fractals` (a folder) or `data/raw/fractals.*` (an archive) if there are any, else generated.
    """
    source = fractal_source()
    return mixing_set(
        source, n_fractals=n_fractals, size=image_size * 8 // 7, seed=0, colour=colour
    )


def check(
    *,
    profile,
    dataset,
    method,
    parameters=None,
    loss=None,
    fractals=None,
    n_fractals=None,
    images=True,
    **others,
):
    """What settings stand for, checked in seconds, before a mixing set is made: (config, dataset, wanted).

    Precision, threads and the size of the mixing set come from the profile; what is None comes from the profile or the method.
    fractals: "grey" or "colour", None: as in the method's published rows; others: network, epochs, seed, and fields of `RunConfig`
    that have a default; images: False where the run is only named, for which a dataset of `data_behind` will do. config: a
    `RunConfig` without its mixing set; wanted: the arguments of `mixing_set_of`, None where the method needs no set.
    Raises ValueError in a sentence for what does not fit.
    """
    profile, parameters = get_profile(profile), dict(parameters or {})
    row = augment.check_method(method, parameters)
    loss = loss or row.loss
    check_loss(loss, soft_labels=row.build.mixes_labels)
    if loss == "oe" and not hasattr(row.build, "outliers"):
        raise ValueError(
            f"the loss oe needs a method that draws outliers, which {method} does not: use the method oe"
        )
    fractals = check_name("fractals", fractals or row.fractals, ("grey", "colour"))
    n_fractals = check_whole("n_fractals", n_fractals or profile.n_fractals, 1, 10**6)
    config = RunConfig(  # which checks its numbers, before a dataset is fetched
        dataset=dataset,
        dataset_hash="",
        method=method,
        parameters=own_parameters(parameters, row.settings),
        mixing=None,
        loss=loss,
        precision=profile.precision,
        threads=profile.threads,
        compile=profile.compile,
        **others,
    )
    data = dataset_of(dataset) if images else data_behind(dataset)
    config = replace(config, dataset=data.name, dataset_hash=data.hash)
    models.check_network(config.network, data.image_size)
    if len(data.train):
        config.training_index(data)
    stand_in(config, data)
    wanted = (n_fractals, data.image_size, fractals == "colour")
    return config, data, wanted if row.needs_mixing_set else None


def stand_in(config, dataset):
    """The method of a run on black mixing images: without a set, what does not fit is said and what it costs can be measured."""
    black = np.zeros((100, 3, *2 * [dataset.image_size * 8 // 7]), np.uint8)
    method = augment.build_method(config.method, mixing_set=black, **config.parameters)
    method.sample(
        (dataset.image_size,) * 2, seed=0, epoch=0, index=np.arange(0)
    )  # says what does not fit the image
    return method


def resolve(**settings):
    """The `RunConfig` that settings (of `check`) stand for, its dataset and its method: a tuple. Makes the mixing set if needed."""
    config, dataset, wanted = check(**settings)
    if wanted is None:
        return config, dataset, augment.build_method(config.method, **config.parameters)
    mixing = mixing_set_of(*wanted)
    config = replace(config, mixing={"label": mixing.label, "sha256": mixing.manifest["sha256"]})
    return (
        config,
        dataset,
        augment.build_method(config.method, mixing_set=mixing, **config.parameters),
    )


def own_parameters(parameters, defaults):
    """The parameters that differ from their defaults, in one form for what is equal: 5 for 5.0, a list for a tuple.

    A bool equals no number: `True` for 1 stays, so that whoever takes a number can refuse it.
    """

    def form(value):
        if isinstance(value, list):
            return [form(one) for one in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    forms = {
        key: (form(as_json(value)), form(as_json(defaults[key])))
        for key, value in parameters.items()
    }
    return {
        key: own for key, (own, default) in forms.items() if json.dumps(own) != json.dumps(default)
    }


def environment():
    """Recorded with a run, not part of its identity: packages, machine, commit."""
    git = subprocess.run(
        ["git", "-C", paths.SOURCE, "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else platform.processor() or platform.machine()
    )
    return {
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy")},
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": device,
        "commit": git.stdout.strip() or "unknown",
    }


def set_aside(folder, reason):
    """Rename a run's folder out of the way, never delete it; raise ValueError that says so and how to go on."""
    aside = folder.with_name(f"{folder.name}.set-aside-{time.time_ns()}")
    folder.rename(aside)
    raise ValueError(
        f"{reason}; the run was set aside as {aside.name}. Start again to train it anew"
    )


def check_folder(config):
    """Make the run's folder, or check that the one there is of this configuration."""
    file, wanted = config.folder / "config.json", json.loads(json.dumps(asdict(config)))
    if not file.exists():
        paths.write_json(file, wanted)
    try:
        found = paths.read_record(file)
    except ValueError as error:
        set_aside(config.folder, str(error))
    if found != wanted:
        differing = sorted(key for key in wanted if found.get(key) != wanted[key])
        raise ValueError(
            f"{config.folder} holds a run of another configuration ({', '.join(differing)} differ): move it away"
        )


def train(config, dataset, method, *, device=None):
    """Train a run, or go on with it, or return at once if it is done or its weights are committed. Returns the model in eval mode.

    Only one process works on a run; a second one waits and finds it done. Raises ValueError where files of the run are damaged
    (they are set aside) or belong to another configuration, FloatingPointError where the loss is no longer finite.
    """
    with paths.locked(config.folder):
        check_folder(config)
        checkpoint = config.folder / "checkpoint.safetensors"
        torch.set_num_threads(config.threads)
        if not checkpoint.exists() and committed_weights(config.name):
            print(f"{config.name}: taken from its committed weights")
            return load_model(config.name, device or default_device())
        trainer = training.Trainer(config, dataset, method, device or default_device())
        if checkpoint.exists():
            try:
                trainer.restore(*load_checkpoint(checkpoint))
            except ValueError as error:
                set_aside(config.folder, str(error))
        start, done = time.time(), config.folder / "done.json"

        def save(tensors, values):
            save_checkpoint(checkpoint, tensors, values | {"data": describe_data(dataset)})

        trainer.run(save, label=config.name)
        try:
            paths.read_record(done)
        except (FileNotFoundError, ValueError) as error:
            paths.write_record(
                done, environment() | {"finished": time.strftime("%Y-%m-%d %H:%M:%S")}
            )
            new = isinstance(error, FileNotFoundError)
            words = (
                f"trained in {time.time() - start:.0f} s"
                if new
                else f"{error}: written anew, dated now"
            )
            print(f"{config.name}: {words}")
    return trainer.model.eval()


def default_device():
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def committed_weights(name):
    """The weights of a run that lie beside its rows, to be committed: a path, or None."""
    return min(paths.RESULTS.glob(f"*/weights/{glob.escape(name)}.safetensors"), default=None)


def is_finished(name):
    """Whether the weights of a finished run are on this machine: its own, or the committed ones."""
    return (paths.RUNS / name / "done.json").exists() or committed_weights(name) is not None


def find_checkpoint(name):
    """The checkpoint of a run: its own, or the small one committed with the rows. Raises ValueError where there is none."""
    known = {
        path.stem: path
        for path in sorted(paths.RESULTS.glob("*/weights/*.safetensors"), reverse=True)
    }
    known |= {path.parent.name: path for path in paths.RUNS.glob("*/checkpoint.safetensors")}
    return known[check_name("run", name, sorted(known))]


def keep_weights(profile, config, most=3e6):
    """Keep a finished run's weights and history beside the rows of a real profile, to be committed, if below `most` bytes.

    What was read from there is not written again.
    """
    path = paths.RESULTS / profile / "weights" / f"{config.name}.safetensors"
    source = find_checkpoint(config.name)
    if profile == "quick" or source == path:
        return
    tensors, values = load_checkpoint(source)
    weights = {name: value for name, value in tensors.items() if name.startswith("model.")}
    if sum(value.nbytes for value in weights.values()) < most:
        save_checkpoint(
            path, weights, values | {"config": asdict(config), "finished": finished(config.name)}
        )


def recorded(name, file, key):
    """What a run's own `file` says, or, where that is not here, the `key` of its committed checkpoint (None without one)."""
    own = paths.RUNS / name / file
    return (
        paths.read_record(own)
        if own.exists()
        else load_checkpoint(find_checkpoint(name))[1].get(key)
    )


def finished(name):
    """Where, when and with what a finished run was trained: a dict. Raises ValueError for one that is not finished or damaged."""
    known = recorded(name, "done.json", "finished")
    if known is None:
        raise ValueError(f"run {name} is not finished")
    return known


def read_config(name):
    """The `RunConfig` of a run by name. Raises ValueError where there is none, with the nearest name, or its file is damaged."""
    known = recorded(name, "config.json", "config")
    try:
        return RunConfig(**known)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"run {name}: its config.json is damaged or was never written ({error})"
        ) from error


def history_of(name):
    """What a run recorded after each epoch: a list of dicts (epoch, loss, test_error, seconds)."""
    return load_checkpoint(find_checkpoint(name))[1]["history"]


def describe_data(dataset: datasets.Dataset) -> dict:
    """What a checkpoint says of its images: what `load_dataset` takes, classes and size."""
    known = {"address": dataset.address or dataset.name, "classes": list(dataset.classes)}
    return known | {"image_size": dataset.image_size}


def known_data(config: RunConfig, values: dict) -> dict:
    """What a run's checkpoint says of its images; of an older run's, what is known by name.

    Raises ValueError for an older run on pictures of one's own: it did not record where they lay.
    """
    if "data" in values:
        return values["data"]
    if config.dataset not in datasets.NAMES:
        problem = f"run {config.name} did not record where its pictures '{config.dataset}' lay"
        raise ValueError(f"{problem}: train it again from their folder")
    return describe_data(data_behind(config.dataset))


def data_of(name: str) -> datasets.Dataset:
    """The images a run was trained on. Raises ValueError where they are gone or others are there."""
    config = read_config(name)
    address = known_data(config, load_checkpoint(find_checkpoint(name))[1])["address"]
    try:
        data = dataset_of(address)
        if data.hash != config.dataset_hash:
            raise ValueError(f"others lie there: hash {data.hash}, expected {config.dataset_hash}")
    except ValueError as error:
        problem = f"run {name} was trained on the images of '{address}', which cannot be had"
        raise ValueError(f"{problem} ({error}): put them back, or name another run") from error
    return data


def load_model(name: str, device: str | torch.device = "cpu") -> torch.nn.Module:
    """The trained network of a run, in eval mode; its images need not be here."""
    config = read_config(name)
    tensors, values = load_checkpoint(find_checkpoint(name))
    data = known_data(config, values)
    sizes = {"n_classes": len(data["classes"]), "image_size": data["image_size"]}
    model = models.build_model(config.network, **sizes)
    training.load_weights(model, tensors)
    return model.to(device, memory_format=torch.channels_last).eval()
