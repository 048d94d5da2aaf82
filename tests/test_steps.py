import numpy as np
import pytest
import torch
from reference import noise, photographs

from lmlib import LayerMix
from lmlib.analysis.steps import LAYERS, STEPS, pipeline_steps
from lmlib.augment.ops import OPS

IMAGES, FRACTALS = photographs((32, 32), 8), noise((36, 36), 5, n_channels=1)


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize("ops", OPS)
def test_the_layers_are_among_the_steps_byte_for_byte(ops, layer):
    layermix = LayerMix(FRACTALS, ops=ops, layers=(layer,))
    for index in range(20):
        image = IMAGES[index % 8 : index % 8 + 1]
        params = layermix.sample((32, 32), seed=1, epoch=0, index=np.array([index]))
        steps = pipeline_steps(layermix, image, params)
        assert steps.shape == (len(STEPS), 3, 32, 32)
        assert torch.equal(steps[LAYERS[layer - 1]], layermix.apply(image / 255, params)[0])
