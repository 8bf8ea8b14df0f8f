"""The articles' objectives under their standard names; their faulty forms in :mod:`minigen.losses.documents`."""

from . import documents, gan

__all__ = ["documents", "gan"]
