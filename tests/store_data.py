"""Proteins for the tests of the store: small, real in shape, the same every time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from _crash import forking  # noqa: F401 - for tests of several processes

from protvec.space import Space
from protvec.store import Store, digest, protein_table

D = 16
LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def space(weights: str = "ab" * 32, dimension: int = D) -> Space:
    return Space("tiny", "lab/tiny", "c0ffee" * 6, weights, dimension)


def sequence(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return "M" + "".join(rng.choice(LETTERS, 3 + seed % 20))


def residues(text: str, dimension: int = D) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The embedding of a sequence: random, but the same for the same sequence."""
    rng = np.random.default_rng(np.frombuffer(text.encode(), np.uint8))
    return rng.standard_normal((len(text), dimension)).astype(np.float32)


def row(identifier: str, text: str, **metadata: object) -> dict[str, Any]:
    return {"id": identifier, "digest": digest(text), "sequence": text, **metadata}


def write(store: Store, rows: list[dict[str, Any]]) -> None:
    sequences = {item["digest"]: item["sequence"] for item in rows}
    arrays = {key: residues(text, store.space.dimension) for key, text in sequences.items()}
    vectors = np.stack([arrays[item["digest"]].mean(axis=0) for item in rows])
    store.write(protein_table(rows, vectors), arrays.items())


def numbered(start: int, stop: int, **metadata: object) -> list[dict[str, Any]]:
    return [row(f"P{i:04d}", sequence(i), **metadata) for i in range(start, stop)]
