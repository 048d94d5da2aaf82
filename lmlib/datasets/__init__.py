"""The images that networks are trained and tested on: `load_dataset(name)`."""

from .load import Dataset, Split, load_dataset

__all__ = ["Dataset", "Split", "load_dataset"]
