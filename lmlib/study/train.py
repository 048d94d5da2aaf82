"""Train one run by its settings, alone or in several processes.

    python -m lmlib.study.train profile=quick method=layermix seed=0
    torchrun --nproc-per-node=8 -m lmlib.study.train profile=imagenet-200 method=layermix

`torchrun` starts a process a GPU, on any number of machines that share the study's folder. What was
interrupted goes on with the same command, and the study takes the run as its own.
"""

import json
import sys
from collections.abc import Sequence

from ..models import ranks
from . import plans, runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the run of settings `name=value`, as `plans.run_settings` takes them; values as JSON.

    Returns the exit code: 0, or 1 after a failure, which one sentence explains.
    """
    settings = dict[str, object]()
    try:
        for argument in sys.argv[1:] if arguments is None else arguments:
            name, separator, value = argument.partition("=")
            if not separator:
                raise ValueError(f"expected settings as name=value, got '{argument}'")
            try:
                settings[name] = json.loads(value)
            except ValueError:  # a word without quotes
                settings[name] = value
        settings = plans.run_settings(str(settings.pop("profile", "quick")), **settings)
        with ranks.joined() as own:
            if own.rank > 0:
                own.wait()  # the first one makes the mixing set, if there is none yet
            config, dataset, method = runs.resolve(**settings)
            if own.rank == 0:
                own.wait()
                print(f"{config.name}, on {own.world} processes", flush=True)
            runs.train(config, dataset, method)
    except (ValueError, TypeError, RuntimeError, OSError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
