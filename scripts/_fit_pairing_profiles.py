"""Alignments by profiles of what a database has of relatives, with and without the other one of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import _bench_homology_modes as modes
import numpy as np

from protvec.align import profile
from protvec.search.related import Profiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from protvec import Database
    from protvec.align import Chain, Scoring


class Related:
    """Proteins with their relatives, found once."""

    def __init__(self, database: Database, scoring: Scoring, chains: Iterable[Chain]) -> None:
        profiles = Profiles.by(database.store, scoring, threads=database.settings.threads)
        self._scoring, self._pairing, self._threads = scoring, profiles.pairing, database.settings.threads
        unique = {chain.sequence: chain for chain in chains}.values()
        self._relatives = {chain.sequence: profiles.relatives(chain) for chain in unique}
        self._profiles = {chain.sequence: self._profile(chain) for chain in unique}

    def counts(self, pairs: Sequence[tuple[Chain, Chain]]) -> tuple[float, float]:
        """How many relatives one of a pair has, and how many without the other of the pair: means over the pairs."""
        both = [each for a, b in pairs for each in ((a, b), (b, a))]
        every = np.mean([len(self._relatives[one.sequence]) for one, _ in both])
        return float(every), float(np.mean([len(self._others(*each)) for each in both]))

    def aligned(self, query: Chain, target: Chain) -> set[tuple[int, int]]:
        """The residues that are put together, as ``protvec align`` does: the other one may be among the relatives."""
        return modes.aligned(self._profiles[query.sequence], self._profiles[target.sequence], self._scoring)

    def aligned_without_each_other(self, query: Chain, target: Chain) -> set[tuple[int, int]]:
        """As much by relatives without the other one of the pair."""
        return modes.aligned(self._without(query, target), self._without(target, query), self._scoring)

    def _without(self, chain: Chain, other: Chain) -> Chain:
        others = self._others(chain, other)
        same = len(others) == len(self._relatives[chain.sequence])
        return self._profiles[chain.sequence] if same else self._profile(chain, others)

    def _others(self, chain: Chain, other: Chain) -> list[Chain]:
        return [each for each in self._relatives[chain.sequence] if each.sequence != other.sequence]

    def _profile(self, chain: Chain, relatives: Sequence[Chain] | None = None) -> Chain:
        those = self._relatives[chain.sequence] if relatives is None else relatives
        return profile(chain, those, self._pairing, threads=self._threads)
