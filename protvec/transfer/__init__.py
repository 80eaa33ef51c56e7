"""Labels for proteins that have none, from the nearest that have some, with what speaks for them."""

from __future__ import annotations

from protvec.transfer.check import MORE, Known, Quality, check, known_labels
from protvec.transfer.ontology import Ontology, read_ontology
from protvec.transfer.predictions import Prediction, Predictions
from protvec.transfer.run import DEFAULT_K, DEFAULT_MIN_RI, Options, Transfer
from protvec.transfer.storing import Place, store_predictions

__all__ = [
    "DEFAULT_K",
    "DEFAULT_MIN_RI",
    "MORE",
    "Known",
    "Ontology",
    "Options",
    "Place",
    "Prediction",
    "Predictions",
    "Quality",
    "Transfer",
    "check",
    "known_labels",
    "read_ontology",
    "store_predictions",
]
