"""The one error of everything about model files."""

from __future__ import annotations


class ModelError(Exception):
    """A model cannot be found, read or used. The message is a sentence for the user."""
