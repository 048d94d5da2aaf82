"""Networks, how one is trained, attacked and looked into."""

from .networks import build_model

__all__ = ["build_model"]
