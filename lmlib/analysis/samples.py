"""The images that notebooks 01 and 02 measure on: a dataset's, and patches of two photographs."""

import numpy as np
import torch
from sklearn.datasets import load_sample_images

from ..datasets import load_dataset
from ..draws import permutation


def image_samples(dataset: str, n: int, *, seed: int) -> dict[str, torch.Tensor]:
    """Images of a dataset's training split and patches of scikit-learn's two photographs.

    dataset: a name of `load_dataset`; n: how many of each, drawn without replacement by `seed`.
    Returns {dataset: images, "photographs": patches}, float32 (n, 3, H, W) in [0, 1]; a patch has
    32 pixels a side, of a photograph averaged over squares of 4. Raises ValueError where there are
    fewer than n.
    """
    photographs = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2)
    small = torch.nn.functional.avg_pool2d(photographs.float() / 255, 4)  # 106 x 160 pixels each
    patches = small.unfold(2, 32, 4).unfold(3, 32, 4).permute(0, 2, 3, 1, 4, 5)
    patches = patches.reshape(-1, 3, 32, 32)
    images = load_dataset(dataset).train.images
    if n > min(len(images), len(patches)):
        most = min(len(images), len(patches))
        raise ValueError(f"there are {most} images of {dataset} and of photographs, not {n}")
    chosen = permutation("covariance/images", len(images), seed=seed)[:n]
    patches = patches[permutation("covariance/patches", len(patches), seed=seed)[:n]]
    return {dataset: torch.from_numpy(images[chosen]).float() / 255, "photographs": patches}
