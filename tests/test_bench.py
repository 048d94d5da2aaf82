import numpy as np
import torch
from reference import noise, photographs

from lmlib import bench


def test_the_loop_that_is_the_reference_for_speed_gives_images():
    images = photographs((32, 32), 200).float() / 255
    done = bench.Loop(noise((36, 36), n_channels=1))(images)
    assert done.shape == images.shape
    assert torch.all((done >= 0) & (done <= 1 + 1e-6))
    assert np.mean([not torch.equal(*pair) for pair in zip(done, images, strict=True)]) > 0.9


def test_the_table_of_speed_has_a_row_for_each_program_and_ratios_to_the_loop():
    threads, generator = torch.get_num_threads(), torch.get_rng_state()
    table = bench.bench_augmentation(n_repeats=2, size=16, batch=4)
    assert table["program"].iloc[0] == "loop over torchvision"
    assert set(table["program"]) == {"loop over torchvision", "torchvision AugMix", "LayerMix", "LayerMix on uint8"}
    assert table["ratio"].tolist() == (table["median"] / table["median"][0]).tolist()
    assert (table["best"] >= table["median"]).all()
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), generator)


def test_the_table_of_training_gives_the_share_of_a_step():
    table = bench.bench_training(n_repeats=1, batch=8).set_index(["program", "threads"])
    share = table["share of the step on 1"]
    assert share["WRN-10-1 training step", 1] == 1
    assert (share > 0).all()
