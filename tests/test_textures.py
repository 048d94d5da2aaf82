import numpy as np
import pytest

from lmlib.analysis import textures


def coloured_noise(slope, seed, side=128):
    """Gaussian noise whose power falls as frequency ** slope."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    radius[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(side, side))) * radius ** (slope / 2)
    return np.fft.ifft2(spectrum).real


@pytest.mark.parametrize("slope", [0, -1, -2, -3])
def test_spectrum_slope_of_power_law_noise_is_its_exponent(slope):
    measured = [textures.spectrum_slope(coloured_noise(slope, seed)) for seed in range(8)]
    assert abs(np.mean(measured) - slope) < 4 * np.std(measured, ddof=1) / np.sqrt(8) + 0.05


def test_spectrum_slope_does_not_change_with_contrast_and_brightness():
    image = coloured_noise(-2, 0)
    assert np.isclose(textures.spectrum_slope(image), textures.spectrum_slope(5 * image + 100))


def test_power_of_a_wave_lies_in_the_ring_of_its_frequency():
    wave = np.sin(2 * np.pi * np.arange(64) / 8)[None] * np.ones((64, 1))
    frequency, power = textures.radial_power_spectrum(wave)
    assert frequency[power.argmax()] == 1 / 8 and np.allclose(frequency, np.arange(1, 32) / 64)


def test_a_filled_square_has_dimension_two_a_line_one_and_a_pixel_zero():
    mask = np.zeros((64, 64), bool)
    mask[0, 0] = True
    assert np.isclose(textures.box_counting_dimension(mask), 0)
    mask[0] = True
    assert np.isclose(textures.box_counting_dimension(mask), 1)
    mask[:] = True
    assert np.isclose(textures.box_counting_dimension(mask), 2)


def test_the_sierpinski_triangle_has_dimension_log_3_over_log_2():
    row, column = np.indices((128, 128))
    assert np.isclose(textures.box_counting_dimension((row & column) == 0), np.log2(3))


def test_boxes_over_the_border_are_counted():
    assert np.isclose(textures.box_counting_dimension(np.ones((36, 36), bool)), 2, atol=0.1)


def test_the_contour_of_two_halves_is_the_line_between_them():
    image = np.zeros((16, 16))
    image[:, 8:] = 1
    assert np.array_equal(np.argwhere(textures.contour(image))[:, 1], np.full(16, 7))


def test_the_contour_of_noise_is_three_pixels_in_four():
    n = 128
    share = textures.contour(np.random.default_rng(0).random((n, n)))[:-1, :-1].mean()
    assert (
        abs(share - 0.75) < 4 * np.sqrt(0.75 * 0.25 / n**2) * 2
    )  # neighbours share pixels: twice the independent error


def test_a_coloured_or_tiny_image_and_an_empty_mask_are_refused():
    with pytest.raises(ValueError, match="one grey image"):
        textures.spectrum_slope(np.zeros((3, 32, 32)))
    with pytest.raises(ValueError, match="at least 8 x 8"):
        textures.box_counting_dimension(np.zeros((32, 32), bool))
