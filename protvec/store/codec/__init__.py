"""How per-residue arrays become bytes. A new way to store them is a class here and an entry in ``CODECS``."""

from __future__ import annotations

from protvec.errors import QueryError
from protvec.store.codec.base import Codec, mean_slack
from protvec.store.codec.plain import Float16, NoResidues
from protvec.store.codec.scaled import Int4, Int8

__all__ = ["CODECS", "DEFAULT_CODEC", "Codec", "bytes_per_residue", "bytes_per_sequence", "codec_named", "mean_slack"]

# From the finest to the coarsest.
CODECS: dict[str, Codec] = {codec.name: codec for codec in (Float16(), Int8(), Int4(), NoResidues())}
DEFAULT_CODEC = "int8"


def codec_named(name: str) -> Codec:
    """The codec of that name.

    Raises:
        QueryError: There is none.
    """
    if name not in CODECS:
        raise QueryError(f"unknown residue codec {name!r}: use one of {', '.join(CODECS)}")
    return CODECS[name]


def bytes_per_residue(codec: str, dimension: int) -> int:
    """What a residue takes in a codec, for estimates of disk space."""
    return codec_named(codec).bytes_per_residue(dimension)


def bytes_per_sequence(codec: str, dimension: int) -> int:
    """What an array takes in a codec beside its residues, whatever its length: its scales."""
    return codec_named(codec).bytes_per_sequence(dimension)
