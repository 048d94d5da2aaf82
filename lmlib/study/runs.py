"""A run is one training with one configuration and seed, and one folder.

data/runs/<name>/config.json              what was set
                 checkpoint.safetensors   weights, buffers, momentum, epoch, history: one rename
                                          commits an epoch
                 done.json                the last epoch is reached: environment, time
                 evaluations/             what was measured, one file a benchmark
                 train.ipynb              the executed notebook
"""

import glob
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from .. import augment, files, paths
from ..augment.base import Augmentation
from ..checks import as_json, check_name, check_whole
from ..datasets import cifar, load
from ..datasets.load import Dataset
from ..datasets.split import Split
from ..files import DamagedFile
from ..fractals import flames
from ..fractals.mixing_sets import KNOWN_HASHES, MixingSet, mixing_set, own_source
from ..models import imagenet_weights, ranks, training
from ..models.losses import check_loss
from ..models.networks import PRETRAINED, build_model, check_network, plain
from ..models.recipes import RECIPES, default_recipe
from ..models.training import reproducible
from .config import RunConfig, non_default_parameters
from .profiles import get_profile

LARGEST_COMMITTED = 3e6  # bytes of the weights that are kept beside the rows

dataset_of = lru_cache(maxsize=2)(load.load_dataset)  # stays in memory for the next run


def dataset_or_placeholder(name: str) -> Dataset:
    """The dataset, or an empty placeholder if its files are absent but runs on it are committed.

    The placeholder carries the hash needed to name those runs; it cannot be trained on.
    """
    committed = name in cifar.CIFAR and any(paths.RESULTS.glob(f"*/*/{name}-*"))
    if not committed or cifar.find(name, paths.RAW)[1]:
        return dataset_of(name)
    empty = Split(np.empty((0, 3, 32, 32), np.uint8), np.empty(0, np.int64))
    facts = load.cifar_facts(name)
    return Dataset(name, empty, empty, source="not here", published=None, **facts)


def fractal_source() -> str:
    """What the study mixes with: the path of the user's pictures in data/raw, or "generated"."""
    return str(own_source() or "generated")


@lru_cache(maxsize=4)
def mixing_set_of(n_fractals: int, image_size: int, colour: bool) -> MixingSet:
    """The mixing set for images of `image_size`: 36 px for 32, 256 for 224, as in the paper.

    It holds the user's pictures in `data/raw/fractals` (a folder) or `data/raw/fractals.*` (an
    archive) if there are any, else generated ones.
    """
    size = image_size * 8 // 7
    return mixing_set(fractal_source(), n_fractals=n_fractals, size=size, seed=0, colour=colour)


def resolve_without_mixing_set(
    *,
    profile: str,
    dataset: str,
    method: str,
    network: str,
    parameters: Mapping[str, Any] | None = None,
    loss: str | None = None,
    recipe: str | None = None,
    fractals: str | None = None,
    n_fractals: int | None = None,
    images: bool = True,
    **others: Any,
) -> tuple[RunConfig, Dataset, tuple[int, int, bool] | None]:
    """The configuration that settings stand for, checked in seconds, before a mixing set is made.

    Precision, threads and the size of the mixing set come from the profile; what is None comes
    from the profile or the method. fractals: "grey" or "colour", None for that of the method's
    published rows; recipe: of `models.recipes`, None for the network's own, which decides what is
    not in `others`; images: False where the run is only named, for which a placeholder of the
    dataset will do; others: epochs, seed, and fields of `RunConfig` that have a default.

    Returns the `RunConfig` without its mixing set, the dataset, and the arguments of
    `mixing_set_of`, None where the method needs no set. Raises ValueError for what does not fit.
    """
    sizes, parameters = get_profile(profile), dict(parameters or {})
    row = augment.check_method(method, parameters)
    loss = check_loss(loss or row.loss, soft_labels=row.build.mixes_labels)
    if loss == "oe" and not hasattr(row.build, "outliers"):
        raise ValueError(
            f"the loss oe needs a method that draws outliers, which {method} does not: "
            "use the method oe"
        )
    fractals = check_name("fractals", fractals or row.fractals, ("grey", "colour"))
    n_fractals = check_whole("n_fractals", n_fractals or sizes.n_fractals, 1, 10**6)
    recipe = check_name("recipe", recipe or default_recipe(str(network)), RECIPES)
    training_settings = RECIPES[recipe]._asdict()
    del training_settings["optimizer"]
    config = RunConfig(  # which checks its numbers, before a dataset is fetched
        dataset=dataset,
        dataset_hash="",
        method=method,
        parameters=non_default_parameters(parameters, row.settings),
        mixing=None,
        loss=loss,
        precision=sizes.precision,
        threads=sizes.threads,
        compile=sizes.compile,
        network=network,
        recipe=recipe,
        **training_settings | others,
    )
    data = dataset_of(dataset) if images else dataset_or_placeholder(dataset)
    config = replace(config, dataset=data.name, dataset_hash=data.hash)
    check_network(config.network, data.image_size)
    if len(data.train):
        config.training_index(data)
    if images and network.endswith(PRETRAINED):
        imagenet_weights.check(network.removesuffix(PRETRAINED))
    method_on_black_images(config, data)
    needed = (n_fractals, data.image_size, fractals == "colour")
    return config, data, needed if row.needs_mixing_set else None


def method_on_black_images(config: RunConfig, dataset: Dataset) -> Augmentation:
    """The method of a run on black mixing images: its costs and checks without a mixing set."""
    black = np.zeros((100, 3, *2 * [dataset.image_size * 8 // 7]), np.uint8)
    method = augment.build_method(config.method, mixing_set=black, **config.parameters)
    # A draw for no image still raises what does not fit the size of the images.
    method.sample((dataset.image_size,) * 2, seed=0, epoch=0, index=np.arange(0))
    return method


def name_of(**settings: Any) -> str:
    """The name of the run that settings stand for, as `resolve` takes them.

    Its images need not be here, and a mixing set whose hash is known is not drawn.
    """
    config, _, needed = resolve_without_mixing_set(**settings, images=False)
    if not needed:
        return config.name
    n, image_size, colour = needed
    known = KNOWN_HASHES.get((flames.VERSION, n, image_size * 8 // 7, colour))
    if known and fractal_source() == "generated":
        facts = {"n_fractals": n, "colour": colour, "substitute": True, "sha256": known}
        mixing = MixingSet(np.empty(0), facts)
    else:
        mixing = mixing_set_of(*needed)
    return with_mixing_set(config, mixing).name


def with_mixing_set(config: RunConfig, mixing: MixingSet) -> RunConfig:
    """A configuration that names its mixing set, by its label and its hash."""
    identity = {"label": mixing.label, "sha256": mixing.manifest["sha256"]}
    return replace(config, mixing=identity)


def resolve(**settings: Any) -> tuple[RunConfig, Dataset, Augmentation]:
    """The configuration, dataset and method that settings stand for; makes the mixing set.

    settings: as of `resolve_without_mixing_set`, which says what is raised.
    """
    config, dataset, needed = resolve_without_mixing_set(**settings)
    mixing = mixing_set_of(*needed) if needed else None
    if mixing:
        config = with_mixing_set(config, mixing)
    method = augment.build_method(config.method, mixing_set=mixing, **config.parameters)
    return config, dataset, method


def environment() -> dict[str, Any]:
    """Recorded with a run, not part of its identity: packages, machine, commit."""
    command = ["git", "-C", str(paths.SOURCE), "rev-parse", "HEAD"]
    git = subprocess.run(command, capture_output=True, text=True, check=False)
    on_gpu = torch.cuda.is_available()
    processor = platform.processor() or platform.machine()
    return {
        "packages": {name: version(name) for name in ("torch", "torchvision", "numpy")},
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "device": torch.cuda.get_device_name() if on_gpu else processor,
        "commit": git.stdout.strip() or "unknown",
    }


def save_checkpoint(
    path: Path, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]
) -> None:
    """Write tensors by name and plain values as one file of ours."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    files.write_arrays(path, arrays, as_json(values))


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the values of a checkpoint. Raises DamagedFile, OSError."""
    arrays, values = files.read_arrays(path)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}, values


def set_aside(folder: Path, reason: object) -> NoReturn:
    """Rename a run's folder out of the way, never delete it, and raise ValueError that says so."""
    aside = folder.with_name(f"{folder.name}.set-aside-{time.time_ns()}")
    folder.rename(aside)
    raise ValueError(
        f"{reason}; the run was set aside as {aside.name}. Start again to train it anew"
    )


def check_folder(config: RunConfig) -> None:
    """Make the run's folder, or check that the one there is of this configuration.

    A damaged config.json is written again: the name of the folder says what it held.
    """
    file, expected = config.folder / "config.json", json.loads(json.dumps(asdict(config)))
    try:
        present = files.read_json(file)
    except (FileNotFoundError, DamagedFile) as error:
        if isinstance(error, DamagedFile):
            print(f"{error}: written anew")
        files.write_json(file, expected)
        return
    if present != expected:
        different = ", ".join(sorted(k for k in expected if present.get(k) != expected[k]))
        raise ValueError(
            f"{config.folder} holds a run of another configuration ({different} differ): "
            "move it away"
        )


def train(
    config: RunConfig,
    dataset: Dataset,
    method: Augmentation,
    *,
    device: str | torch.device | None = None,
) -> torch.nn.Module:
    """Train a run, or resume it, or return its network at once if it is done or committed.

    Returns the model in eval mode. Only one process works on a run; a second one waits and finds
    it done; the ranks of `torchrun` are one. Raises ValueError where the checkpoint is damaged (the
    run is set aside) or the folder belongs to another configuration, FloatingPointError where the
    loss is no longer finite.
    """
    device, own = device or default_device(), ranks.current()
    is_first = own.rank == 0  # who reads and writes for all of `torchrun`
    with files.lock(config.folder) if is_first else nullcontext(), reproducible(config.threads):
        if is_first:
            check_folder(config)
        own.wait()
        checkpoint, done = config.folder / "checkpoint.safetensors", config.folder / "done.json"
        if not checkpoint.exists() and committed_weights(config.name):
            print(f"{config.name}: taken from its committed weights")
            return load_model(config.name, device)
        trainer = training.Trainer(config, dataset, method, device)
        if checkpoint.exists():
            try:
                trainer.restore(*load_checkpoint(checkpoint))
            except ValueError as error:
                if is_first:
                    set_aside(config.folder, error)
                raise
        start = time.time()

        def save(tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
            if is_first:
                save_checkpoint(checkpoint, tensors, {**values, "data": describe_data(dataset)})

        trainer.run(save, label=config.name)
        if is_first:
            record_end(done, trainer, time.time() - start)
        own.wait()
    return trainer.model.eval()


def record_end(done: Path, trainer: training.Trainer, seconds: float) -> None:
    """Write what a run's done.json says, unless a whole one is there."""
    name = done.parent.name
    try:
        files.read_json(done)
    except (FileNotFoundError, DamagedFile) as error:
        date = time.strftime("%Y-%m-%d %H:%M:%S")
        record: dict[str, Any] = {"finished": date, "weights": weights_digest(trainer.model)}
        if worlds := {entry["ranks"] for entry in trainer.history if "ranks" in entry}:
            record["ranks"] = sorted(worlds)  # batch norm is of each rank's part
        files.write_json(done, environment() | record)
        duration = f"trained in {seconds:.0f} s"
        damaged = isinstance(error, DamagedFile)
        print(f"{name}: {f'{error}: written anew, dated now' if damaged else duration}")


def weights_digest(model: torch.nn.Module) -> str:
    """The sha256, hex, of a network's weights and running statistics, by name."""
    state = plain(model).state_dict().items()
    return files.digest({}, {name: tensor.cpu().numpy() for name, tensor in state})


def default_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def committed_weights(name: str) -> Path | None:
    """The weights of a run that lie beside its rows, to be committed."""
    return min(paths.RESULTS.glob(f"*/weights/{glob.escape(name)}.safetensors"), default=None)


def is_finished(name: str) -> bool:
    """Whether the weights of a finished run are on this machine: its own, or committed ones."""
    return (paths.RUNS / name / "done.json").exists() or committed_weights(name) is not None


def find_checkpoint(name: str) -> Path:
    """The checkpoint of a run: its own, or the one committed with the rows. Raises ValueError."""
    committed = sorted(paths.RESULTS.glob("*/weights/*.safetensors"), reverse=True)
    known = {path.stem: path for path in committed}
    known |= {path.parent.name: path for path in paths.RUNS.glob("*/checkpoint.safetensors")}
    return known[check_name("run", name, sorted(known))]


def keep_weights(profile: str, config: RunConfig) -> None:
    """Keep a finished run's weights and history beside its rows, to be committed.

    Of the profile's seeds the first alone: rows name the sha256 of all, and the command of the
    profile makes them again. Weights above `LARGEST_COMMITTED` and those of `quick` are left out;
    what was read from there is not written again.
    """
    if profile == "quick" or config.seed != get_profile(profile).seeds[0]:
        return
    path = paths.RESULTS / profile / "weights" / f"{config.name}.safetensors"
    source = find_checkpoint(config.name)
    if source == path:
        return
    tensors, values = load_checkpoint(source)
    weights = {name: tensor for name, tensor in tensors.items() if name.startswith("model.")}
    if sum(tensor.nbytes for tensor in weights.values()) < LARGEST_COMMITTED:
        identity = {"config": asdict(config), "finished": finished(config.name)}
        save_checkpoint(path, weights, values | identity)


def _record(name: str, file: str, key: str) -> Any:
    """A run's own `file`, or, where that is not here, `key` of its committed checkpoint or None."""
    own = paths.RUNS / name / file
    if own.exists():
        return files.read_json(own)
    return load_checkpoint(find_checkpoint(name))[1].get(key)


def finished(name: str) -> dict[str, Any]:
    """Where, when and with what a run was trained. Raises ValueError for one not yet finished."""
    record = _record(name, "done.json", "finished")
    if record is None:
        raise ValueError(f"run {name} is not finished")
    return record


def read_config(name: str) -> RunConfig:
    """The configuration of a run by name. Raises ValueError where it is unknown or damaged."""
    try:
        return RunConfig(**_record(name, "config.json", "config"))
    except (TypeError, DamagedFile) as error:
        raise ValueError(
            f"run {name}: its config.json is damaged or was never written ({error})"
        ) from error


def history_of(name: str) -> list[dict[str, Any]]:
    """What a run recorded after each epoch: epoch, loss, test_error, seconds."""
    return load_checkpoint(find_checkpoint(name))[1]["history"]


def describe_data(dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint says of its images: their address for `load_dataset`, classes and size."""
    return {
        "address": dataset.address or dataset.name,
        "classes": list(dataset.classes),
        "image_size": dataset.image_size,
    }


def known_data(config: RunConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a run's checkpoint says of its images; of an older run's, what is known by name.

    Raises ValueError for an older run on a user's own pictures: it did not record where they lay.
    """
    if "data" in values:
        return values["data"]
    if config.dataset not in load.NAMES:
        raise ValueError(
            f"run {config.name} did not record where its pictures '{config.dataset}' lay: "
            "train it again from their folder"
        )
    return describe_data(dataset_or_placeholder(config.dataset))


def data_of(name: str) -> Dataset:
    """The images a run was trained on. Raises ValueError where they are gone or replaced."""
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
    model = build_model(config.network.removesuffix(PRETRAINED), **sizes)
    training.load_weights(model, tensors)
    return model.to(device).to(memory_format=torch.channels_last).eval()
