"""The names of the benchmarks' files, in their authors' order and spelling."""

C_CORRUPTIONS = tuple(
    """gaussian_noise shot_noise impulse_noise defocus_blur glass_blur motion_blur zoom_blur snow
    frost fog brightness contrast elastic_transform pixelate jpeg_compression""".split()
)
"""The 15 of CIFAR-C and ImageNet-C (Hendrycks and Dietterich 2019): what an mCE counts."""

C_EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
"""The other 4 of the same benchmark, made for validation: never in an mCE."""

C_BAR_CORRUPTIONS = tuple(
    """blue_noise_sample brownish_noise checkerboard_cutout inverse_sparkles sparkles
    pinch_and_twirl ripple circular_motion_blur lines transverse_chromatic_abberation""".split()
)
"""The 10 of CIFAR-10-C-bar (Mintun et al. 2021)."""

IMAGENET_C_BAR_CORRUPTIONS = tuple(
    """caustic_refraction inverse_sparkles sparkles perlin_noise blue_noise_sample plasma_noise
    checkerboard_cutout cocentric_sine_waves single_frequency_greyscale brownish_noise""".split()
)
"""The 10 of ImageNet-C-bar, of which five are also CIFAR's."""

PERTURBATIONS = tuple(
    """gaussian_noise shot_noise motion_blur zoom_blur snow brightness translate rotate tilt scale
    speckle_noise gaussian_blur spatter shear""".split()
)
"""The 14 sequences of CIFAR-P and ImageNet-P (Hendrycks and Dietterich 2019)."""

HARDER_NOISES = tuple(
    f"{name}_{difficulty}"
    for name in ("gaussian_noise", "shot_noise", "speckle_noise")
    for difficulty in (2, 3)
)
"""The harder noises of ImageNet-P, by the names of their folders."""

PERTURBATIONS_PAPER = PERTURBATIONS[:10]
"""The ten that count in their paper."""

PERTURBATIONS_SCRIPT = tuple("spatter" if name == "snow" else name for name in PERTURBATIONS_PAPER)
"""The ten that count in their evaluation script, with spatter in place of snow.

The published CIFAR-P numbers use these.
"""
