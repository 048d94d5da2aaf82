"""How big the study is: one visible place. Adding a profile is adding a `Profile` to `PROFILES`.

A run's settings are plain values; a notebook that needs runs is listed in `STUDY` with the function that names them.
"""

from dataclasses import dataclass, field

from .errors import check_name


@dataclass(frozen=True)
class Profile:
    """The sizes of a study. Every table says which profile it came from."""

    name: str
    summary: str  # one line for people: data, network, schedule
    datasets: tuple  # the first is the one that single-dataset notebooks show
    network: str
    epochs: int
    seeds: tuple
    methods: tuple
    n_fractals: int  # size of the generated mixing set, where the user brings no fractals
    precision: str  # "fp32" or "bf16" (autocast)
    threads: int  # of one run; a setting, never a consequence of how many runs go side by side
    subset: int | None = None  # stratified test images for the benchmarks; None: all
    sequences: int | None = None  # of them, for CIFAR-P
    attacked: int | None = None  # of them, for PGD
    compile: bool = False
    others: dict = field(default_factory=dict)  # further settings of a run, over `DEFAULTS`


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            summary="scikit-learn's 1,797 digits at 32 px, WRN-10-1, 15 epochs: embedded data, minutes on a laptop",
            datasets=("digits",),
            network="wrn-10-1",
            epochs=15,
            seeds=(0, 1, 2),
            methods=("baseline", "layermix"),
            n_fractals=500,
            precision="bf16",
            threads=1,
            subset=200,
            sequences=50,
            attacked=100,
        ),
        Profile(
            name="cifar-cpu",
            summary="all of CIFAR-10, WRN-10-1, 6 epochs: real data, an afternoon on 2 cores",
            datasets=("cifar10",),
            network="wrn-10-1",
            epochs=6,
            seeds=(0,),
            methods=("baseline", "layermix"),
            n_fractals=2000,
            precision="bf16",
            threads=1,
            subset=1000,
            sequences=300,
            attacked=500,
        ),
        Profile(
            name="paper",
            summary="the paper's setting: CIFAR-10, WRN-40-4, 100 epochs, full test sets; needs a GPU",
            datasets=("cifar10",),
            network="wrn-40-4",
            epochs=100,
            seeds=(0, 1, 2),
            methods=("baseline", "layermix"),
            n_fractals=14230,
            precision="bf16",
            threads=4,
            compile=True,
        ),
    )
}


def get_profile(name):
    """The `Profile` of that name; raises ValueError with the nearest name otherwise."""
    return PROFILES[check_name("profile", name, PROFILES)]


def run_settings(profile, **changes):
    """The settings of one run of a profile, as `04-train` takes them: method, dataset, network, epochs, seed, ...

    changes: settings that differ from the profile's. Returns a dict of literals.
    """
    profile = get_profile(profile)
    return {
        "profile": profile.name,
        "dataset": profile.datasets[0],
        "method": "layermix",
        "network": profile.network,
        "epochs": profile.epochs,
        "seed": profile.seeds[0],
        **profile.others,
        **changes,
    }


def comparison(profile):
    """Every method of the profile (a name), with every seed, on its first dataset."""
    sizes = get_profile(profile)
    return [run_settings(profile, method=method, seed=seed) for method in sizes.methods for seed in sizes.seeds]


STUDY = {"06-comparison": comparison}
"""Notebook -> the runs it needs."""
