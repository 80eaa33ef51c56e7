"""Which models exist, where their weights are, and what they read: names and files, no arithmetic.

Importing this loads neither torch, transformers nor huggingface_hub.
"""

from __future__ import annotations

from protvec.models.checkpoint import Checkpoint, find
from protvec.models.hub import ModelStatus, listing, obtain, pull
from protvec.models.table import DEFAULT_MODEL, MODELS, ModelSpec
from protvec.models.tokens import TokenTable

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "Checkpoint",
    "ModelSpec",
    "ModelStatus",
    "TokenTable",
    "find",
    "listing",
    "obtain",
    "pull",
]
