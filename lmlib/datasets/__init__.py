"""The images that networks are trained and tested on: `load_dataset(name)`."""

from .load import Dataset, load_dataset
from .split import Split

__all__ = ["Dataset", "Split", "load_dataset"]
