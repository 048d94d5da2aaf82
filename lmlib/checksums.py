"""A foreign file is read only after its published checksum matched."""

import hashlib
from pathlib import Path


def verify(path, algorithm, expected, n_bytes=None):
    """Hold a file against its published checksum. The file stays where it is, whatever it is.

    algorithm: a name of hashlib; expected: its digest, hex; n_bytes: the published size, for the message. Raises ValueError.
    """
    path = Path(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
    if found != expected:
        size = f" and {n_bytes:,} bytes" if n_bytes else ""
        raise ValueError(
            f"{path} is incomplete or foreign: it has {algorithm.upper()} {found} and {path.stat().st_size:,} bytes, expected "
            f"{expected}{size}; it was not loaded: replace it or take it away"
        )
