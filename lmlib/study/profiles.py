"""How big the study is: one visible place. Adding a profile is adding a `Profile` to `PROFILES`.

A run's settings are plain values, as `04-train` takes them. `STUDY` says which runs each notebook needs; runs that several
notebooks want are one run.
"""

from dataclasses import dataclass
from itertools import product

from ..checks import as_json, check_name
from .ablations import ABLATIONS

EVERY_METHOD = (
    "baseline", "cutout", "random_erasing", "mixup", "cutmix", "autoaugment", "randaugment", "trivialaugment", "augmix", "oe",
    "pixmix", "pixmix_k3", "pixmix_released", "ipmix", "layermix", "layermix_released", "layermix_iid",
)  # fmt: skip
MIXERS = ("pixmix", "ipmix", "layermix")


@dataclass(frozen=True)
class Profile:
    """The sizes of a study. Every table says which profile it came from."""

    name: str
    summary: str  # one line for people: data, network, schedule
    datasets: tuple  # all methods on the first, `few` of them on the others
    network: str
    epochs: int
    magnitudes: tuple  # of Table 6
    betas: tuple
    networks: tuple  # of Table 7: (network, epochs)
    n_fractals: int  # size of the generated mixing set, where the user brings no fractals
    seeds: tuple = (0, 1, 2)
    replicated: tuple = EVERY_METHOD  # methods that get every seed; the others the first
    single: tuple = ()  # networks of Table 7 that get the first seed alone
    few: tuple = ()  # methods for the further datasets
    network_methods: tuple = ("baseline", *MIXERS)  # of Table 7
    long_epochs: int | None = (
        None  # of Table 5's long rows; None leaves its JSD, colour and long rows out
    )
    ablated: bool = False  # whether the ablations that need runs of their own are in
    precision: str = "bf16"  # or "fp32"; bf16 is autocast
    threads: int = 1  # of one run; a setting, never a consequence of how many runs go side by side
    methods: tuple = EVERY_METHOD
    grid_n_train: int = 0  # training images of Table 6's runs; 0: all
    subset: int | None = None  # stratified test images for C and C-bar; None: all
    sequences: int | None = None  # for CIFAR-P
    attacked: int | None = None  # for PGD
    compile: bool = False

    def __post_init__(self):
        if min(len(self.magnitudes), len(self.betas)) < 2:
            raise ValueError(
                f"profile {self.name}: Table 6 compares at least two magnitudes and two betas"
            )


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            summary="scikit-learn's 1,797 digits at 32 px, WRN-10-1, 15 epochs, 24 runs: embedded data, minutes on a laptop",
            datasets=("digits",),
            network="wrn-10-1",
            epochs=15,
            replicated=("baseline", "layermix"),
            magnitudes=(5, 8),
            betas=(3, 5),
            networks=(("wrn-10-1", 15),),
            n_fractals=500,
            precision="fp32",
            subset=100,
            sequences=20,
            attacked=40,
        ),
        Profile(
            name="cifar-cpu",
            summary="real CIFAR, WRN-10-1 (Table 7: to WRN-16-2), 6 epochs: hours on 2 cores, estimated before they start",
            datasets=("cifar10", "cifar100"),
            network="wrn-10-1",
            epochs=6,
            few=("baseline", *MIXERS),
            magnitudes=(3, 5, 8),
            betas=(1, 3, 5),
            networks=(("wrn-10-1", 6), ("wrn-10-1", 24), ("wrn-16-1", 6), ("wrn-16-2", 6)),
            single=("wrn-16-2",),  # the slowest of them
            network_methods=("baseline", "layermix"),
            n_fractals=2000,
            grid_n_train=10_000,
            subset=1000,
            sequences=300,
            attacked=500,
        ),
        Profile(
            name="paper",
            summary="the paper's setting: CIFAR-10 and CIFAR-100, WRN-40-4, 100 epochs, full test sets; needs a GPU",
            datasets=("cifar10", "cifar100"),
            network="wrn-40-4",
            epochs=100,
            few=EVERY_METHOD,
            magnitudes=(5, 6, 7, 8),
            betas=(3, 4, 5),
            networks=(
                ("wrn-40-4", 100),
                ("wrn-28-10", 100),
                ("resnet-18", 200),
                ("resnext-29", 200),
            ),
            long_epochs=400,
            ablated=True,
            n_fractals=14230,
            threads=2,  # a GPU's work hardly needs them, and a CPU with fewer cores than threads is many times slower
            compile=True,
        ),
    )
}


def get_profile(name):
    """The `Profile` of that name; raises ValueError with the nearest name otherwise."""
    return PROFILES[check_name("profile", name, PROFILES)]


def run_settings(profile, **changes):
    """The settings of one run of a profile (a name), as `04-train` takes them; `changes` over the profile's. A dict of literals."""
    sizes = get_profile(profile)
    settings = {
        "profile": sizes.name,
        "dataset": sizes.datasets[0],
        "method": "layermix",
        "network": sizes.network,
        "epochs": sizes.epochs,
        "seed": sizes.seeds[0],
    }
    return as_json(settings | changes)


def with_seeds(profile, variants, *, once=False):
    """The settings of variants (dicts of what differs): with every seed where the method is replicated and not `once`, else one."""
    sizes = get_profile(profile)
    return [
        run_settings(profile, **variant, seed=seed)
        for variant in variants
        for seed in (
            sizes.seeds if variant["method"] in sizes.replicated and not once else sizes.seeds[:1]
        )
    ]


def comparison(profile):
    """Notebook 06: baseline and LayerMix with every seed, on the first dataset."""
    return with_seeds(profile, [{"method": "baseline"}, {"method": "layermix"}])


def every_method(profile):
    """Tables 3 and 4, Fig. 3, 5 and 9: all methods on the first dataset, `few` on the others, there once unless they are all."""
    sizes = get_profile(profile)
    first, *others = sizes.datasets
    beside = [{"dataset": dataset, "method": method} for dataset in others for method in sizes.few]
    return with_seeds(
        profile, [{"dataset": first, "method": method} for method in sizes.methods]
    ) + with_seeds(profile, beside, once=sizes.few != sizes.methods)


def table_dataset(profile):
    """The dataset of Tables 5 to 7: CIFAR-100 as in the paper where the profile gives it all methods, else its first."""
    sizes = get_profile(profile)
    return sizes.datasets[-1] if sizes.few == sizes.methods else sizes.datasets[0]


def table_5(profile):
    """JSD or not x grey or colour x PixMix, IPMix, LayerMix, and the long schedule of LayerMix."""
    sizes, dataset = get_profile(profile), {"dataset": table_dataset(profile)}
    variants = [dataset | {"method": "baseline"}]
    if sizes.long_epochs is None:
        return with_seeds(profile, variants + [dataset | {"method": method} for method in MIXERS])
    grid = [
        dataset | {"loss": loss, "fractals": fractals}
        for loss in ("ce", "jsd")
        for fractals in ("colour", "grey")
    ]
    variants += [one | {"method": method} for method in MIXERS for one in grid]
    variants += [one | {"method": "layermix", "epochs": sizes.long_epochs} for one in grid]
    # JSD trains on three views: plain training for three times as long is the comparison at equal compute.
    variants += [dataset | {"method": "layermix", "epochs": 3 * sizes.epochs}]
    return with_seeds(profile, variants)


def table_6(profile):
    """Magnitude x beta. The cell of the defaults gets every seed (its spread is what the others are judged by), the others
    get them where every method does. Without a smaller training set that cell is LayerMix's own run."""
    sizes, settings = get_profile(profile), []
    every_cell = sizes.replicated == sizes.methods
    size = {"n_train": sizes.grid_n_train} if sizes.grid_n_train else {}
    for m, b in product(sizes.magnitudes, sizes.betas):
        cell = {
            "method": "layermix",
            "parameters": {"magnitude": m, "beta": b},
            "dataset": table_dataset(profile),
        }
        settings += with_seeds(profile, [cell | size], once=not every_cell and (m, b) != (8, 3))
    return settings


def table_7(profile):
    """Networks, each with its own schedule."""
    sizes, settings = get_profile(profile), []
    for network, epochs in sizes.networks:
        place = {"dataset": table_dataset(profile), "network": network, "epochs": epochs}
        variants = [place | {"method": method} for method in sizes.network_methods]
        settings += with_seeds(profile, variants, once=network in sizes.single)
    return settings


def ablations(profile):
    """The baseline and every variant of `ABLATIONS`; in a profile without them, their methods once, each as it is by default."""
    variants = [{"method": "baseline"}]
    variants += [
        variant for ablation in ABLATIONS.values() for variant in ablation.variants.values()
    ]
    if not get_profile(profile).ablated:
        variants = [
            {"method": method}
            for method in dict.fromkeys(variant["method"] for variant in variants)
        ]
    variants = [{"dataset": table_dataset(profile)} | variant for variant in variants]
    return with_seeds(profile, variants, once=not get_profile(profile).ablated)


def variants_of(ablation, profile):
    """The runs of each variant of an ablation at the profile's size: label -> list of settings, one for each seed."""
    dataset = table_dataset(profile)
    return {
        label: [
            run_settings(profile, dataset=dataset, **variant, seed=seed)
            for seed in get_profile(profile).seeds
        ]
        for label, variant in ablation.variants.items()
    }


STUDY = {
    "06-comparison": comparison,
    "07-benchmarks": comparison,
    "09-tables-3-4": every_method,
    "10-table-5": table_5,
    "11-table-6": table_6,
    "12-table-7": table_7,
    "13-heatmaps": every_method,
    "14-gradcam": every_method,
    "15-ablations": ablations,
}
"""Notebook -> the runs it needs, as a function of a profile's name."""


def study_settings(profile):
    """The settings of every run that the study needs for a profile; some may name the same run."""
    return [
        setting
        for plan in STUDY.values()
        if plan is not study_settings
        for setting in plan(profile)
    ]


STUDY["16-report"] = study_settings
