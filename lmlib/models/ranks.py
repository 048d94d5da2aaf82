"""One training in several processes, the ranks of `torchrun`: one GPU each, on any machines.

Rank r of W takes the r-th part of each batch, and gradients are summed, so that a step meets the
same pictures for any W. What still depends on W are the statistics of batch norm, which each rank
has of its own part, and the order of sums.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, NoReturn

import numpy as np
import torch
import torch.distributed

PATIENCE = timedelta(hours=1)  # for the first rank, which may make a mixing set
LOST = re.compile("gloo|nccl|peer|connection|process ?group|store", re.IGNORECASE)
"""In what PyTorch says where another rank does not answer."""


class Ranks(NamedTuple):
    """This process among those of its training; one alone is rank 0 of 1."""

    rank: int = 0
    world: int = 1

    def part(self, index: np.ndarray) -> np.ndarray:
        """The part of an array that is this rank's: contiguous, equal but for one."""
        return np.array_split(index, self.world)[self.rank]

    def total(self, numbers: torch.Tensor) -> torch.Tensor:
        """Numbers added up over the ranks, of all of which each calls this."""
        if self.world > 1:
            numbers = numbers.clone()
            torch.distributed.all_reduce(numbers)
        return numbers

    def wait(self) -> None:
        """Go on once every rank is here."""
        if self.world > 1:
            torch.distributed.barrier()


def current() -> Ranks:
    """This process's rank and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size())
    return Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the other ranks, as `torchrun` has set the environment, for `with`; alone without it.

    Raises RuntimeError, in a sentence, where another rank ends before its time; a rank that is told
    to stop ends with one, too.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Ranks()
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    torch.distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield current()
    except RuntimeError as error:
        if not LOST.search(str(error)):
            raise
        reason = str(error).splitlines()[0]
        raise RuntimeError(f"{sentence('another one no longer answers')} ({reason})") from error
    finally:
        signal.signal(signal.SIGTERM, before)
        torch.distributed.destroy_process_group()


def sentence(reason: str) -> str:
    """What the end of a rank means for the training."""
    own = current()
    return (
        f"rank {own.rank} of {own.world} stops, since {reason}: the last checkpoint is kept, and "
        "the same command goes on from there, with any number of ranks"
    )


def stop(signal_number: int, frame: Any) -> NoReturn:
    """End as `torchrun` asks where another rank died, or as a user does."""
    raise SystemExit(sentence("it was told to (another rank died, or somebody stopped all)"))
