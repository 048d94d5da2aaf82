"""A network with ImageNet weights of its own, judged on photographs: no training, no download.

    run = judge(photographs("/path/of/pictures"), "photographs", n=50)     # rows, as of a run

Class folders that are named as ImageNet's, "n01440764" say, give the labels. Other pictures are
labelled by what the network says of them: then an error is a disagreement with itself.
"""

import os
import time
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn

from .. import paths
from ..datasets.imagenet import classes_of, labels_in_1k
from ..datasets.load import Dataset, load_dataset
from ..files import atomic_write, digest
from ..models.networks import build_model
from ..models.prediction import predict
from ..models.pretrained import PHOTOGRAPHS, SIZE, imagenet_network
from . import evaluation, rows, runs
from .imagenet import OF_R, OfClasses
from .profiles import get_profile

NETWORK = "efficientnet-lite0"
VARIABLE = "LMLIB_PHOTOGRAPHS"
CROP = 320  # pixels a side, of scikit-learn's photographs of 640 x 427
CORNERS = [(left, top) for top in (0, 107) for left in (0, 107, 213, 320)]


def photographs(folder: str = "") -> Dataset:
    """A user's photographs as a set with ImageNet's 1,000 classes and no training images.

    folder: as of `load_dataset`'s "photographs:"; empty for that in the variable
    `LMLIB_PHOTOGRAPHS` or, without it, crops of the two photographs that scikit-learn ships. Where
    a class folder is none of ImageNet's, all pictures are labelled by the network's prediction,
    which the name of the set says.
    """
    folder = folder or os.environ.get(VARIABLE) or str(crops())
    found, classes = load_dataset(f"photographs:{folder}"), classes_of("imagenet-1k")
    name, known = found.name, set(found.classes) <= set(classes)
    if known:
        labels = labels_in_1k(found.classes)[found.test.labels]
    else:
        name += evaluation.OWN_PREDICTION
        labels = predict(imagenet_network()[0], found.test.images).argmax(1).numpy()
    return replace(found, name=name, classes=classes, test=replace(found.test, labels=labels))


def crops() -> Path:
    """A folder with square crops of scikit-learn's photographs "china" and "flower", 8 of each."""
    folder = paths.CACHE / "photographs" / "china-and-flower"
    for name in PHOTOGRAPHS:
        picture = Image.fromarray(load_sample_image(f"{name}.jpg"))
        for k, (left, top) in enumerate(CORNERS):
            path = folder / f"{name}-{k}.png"
            if not path.exists():
                with atomic_write(path) as temporary:
                    picture.crop((left, top, left + CROP, top + CROP)).save(temporary, "PNG")
    return folder


def pretrained(network: str, n_classes: int) -> nn.Module:
    """A network with its ImageNet weights as they are, in eval mode.

    network: `NETWORK`, or one of torchvision's, "resnet-50-pretrained" say, whose file of weights
    is in data/raw. n_classes: 1,000, or 200 for its logits of ImageNet-R's classes alone. Raises
    ValueError for a file that is missing or foreign.
    """
    if network == NETWORK:
        return imagenet_network()[0]
    model = build_model(network, n_classes=1000, image_size=SIZE).to(runs.default_device()).eval()
    return model if n_classes == 1000 else OfClasses(model, OF_R)


def judge(dataset: Dataset, profile: str, *, network: str = NETWORK, n: int | None = None) -> str:
    """Measure a `pretrained` network on photographs, write its rows, return their run's name.

    n: stratified pictures for C, C-bar and P; None for all, as clean pictures always are. What was
    measured before is kept in data/runs and not measured again. Raises ValueError for fewer than 2.
    """
    if min(len(dataset.test), n or 2) < 2:
        raise ValueError(f"{dataset.source}: at least 2 photographs are needed for an interval")
    model = pretrained(network, dataset.n_classes)
    weights = runs.weights_digest(model)
    identity = {"data": dataset.hash, "weights": weights, "name": dataset.name}
    name = f"{dataset.name}-{network}-as-it-is-{digest(identity)[:8]}"
    sizes = evaluation.profile_sizes(profile) | {"subset": n, "sequences": n}
    folder = paths.RUNS / name / "evaluations"
    measured = evaluation.evaluate(model, dataset, folder=folder, **sizes)
    where = runs.environment()
    about = {
        **{"run": name, "dataset": dataset.name, "network": network, "weights": weights},
        **{"method": "baseline", "parameters": "{}", "loss": "ce", "recipe": "pretrained"},
        **{"label_smoothing": 0.0, "epochs": 0, "n_train": "", "seed": 0, "mixing": "none"},
        **{"precision": "fp32", "threads": torch.get_num_threads()},
        **{"commit": where["commit"][:12], "torch": where["packages"]["torch"]},
        **{"device": where["device"], "machine": where["machine"]},
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    rows.write_rows(profile, name, [about | one for one in measured])
    return name


def judge_start(profile: str) -> str:
    """`judge` the network that the runs of a profile of ImageNet start from, on all test images."""
    sizes = get_profile(profile)
    return judge(load_dataset(sizes.datasets[0]), profile, network=sizes.network)
