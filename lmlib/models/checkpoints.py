"""A checkpoint: tensors and plain values in one safetensors file, with a checksum over both, written in one rename."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import paths
from ..checks import as_json


def digest_of(tensors, values):
    """sha256 over a checkpoint's tensors and values, hex."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(
            tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        )
    return digest.hexdigest()


def save_checkpoint(path, tensors, values):
    """Write tensors and plain values as one safetensors file, in one rename."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    values = json.loads(json.dumps(as_json(values)))
    metadata = {"values": json.dumps(values), "sha256": digest_of(tensors, values)}
    with paths.atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_checkpoint(path):
    """Tensors (on the CPU) and values of a checkpoint.

    Raises ValueError, naming the file, where it is damaged; OSError where it is not there or cannot be read.
    """
    path = Path(path)
    with path.open("rb"):  # what is not there, no file or not ours to read is not damaged
        pass
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
            values = json.loads(metadata["values"])
        if digest_of(tensors, values) != metadata["sha256"]:
            raise ValueError("its checksum does not match its content")
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    return tensors, values
