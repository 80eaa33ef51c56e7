"""FASTA in: records out one by one, cleaned, every change named and every fault with its file and line."""

from __future__ import annotations

from protvec.fasta.cleaning import CHANGES, FIXES, clean
from protvec.fasta.records import Record, Rejected, check_protein, looks_like_nucleotides, read

__all__ = [
    "CHANGES",
    "FIXES",
    "Record",
    "Rejected",
    "check_protein",
    "clean",
    "looks_like_nucleotides",
    "read",
]
