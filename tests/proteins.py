"""Sequences and FASTA files for tests."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Histone H3, ubiquitin and calmodulin, as plants have them.
HISTONE = (
    "MARTKQTARKSTGGKAPRKQLATKAARKSAPATGGVKKPHRFRPGTVALREIRKYQKSTELLIRKLPFQRLVREI"
    "AQDFKTDLRFQSSAVAALQEAAEAYLVGLFEDTNLCAIHAKRVTIMPKDIQLARRIRGERA"
)
UBIQUITIN = "MQIFVKTLTGKTITLEVESSDTIDNVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLADYNIQKESTLHLVLRLRGG"
CALMODULIN = (
    "MADQLTDDQISEFKEAFSLFDKDGDGCITTKELGTVMRSLGQNPTEAELQDMINEVDADGNGTIDFPEFLNLMAR"
    "KMKDTDSEEELKEAFRVFDKDQNGFISAAELRHVMTNLGEKLTDEEVDEMIKEADVDGDGQINYEEFVKVMMAK"
)
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def random_sequence(length: int, seed: int) -> str:
    """Residues drawn at random, the same for the same arguments."""
    draw = random.Random(seed)
    return "".join(draw.choice(LETTERS) for _ in range(length))


def write_fasta(path: Path, records: Iterable[tuple[str, str]]) -> Path:
    """Write (header, sequence) pairs."""
    path.write_text("".join(f">{header}\n{sequence}\n" for header, sequence in records), encoding="utf-8")
    return path
