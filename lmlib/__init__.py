"""LayerMix and what it is compared with: the vocabulary of the notebooks in `notebooks/`."""
