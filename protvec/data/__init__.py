"""Data that ships with protvec; ``README.md`` beside this file says where it is from."""

from __future__ import annotations

from pathlib import Path


def sample() -> Path:
    """The sample: 211 real proteins of *Arabidopsis thaliana* Col-0, a gzip-compressed FASTA file."""
    return Path(__file__).with_name("arabidopsis_sample.fa.gz")
