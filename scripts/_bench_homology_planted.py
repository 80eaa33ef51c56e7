"""Domains planted in unrelated proteins: which a search with the domain finds."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from _bench_homology import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _bench_homology import Found

    from protvec.fasta import Record

DOMAIN = (110, 130)  # residues of a domain: about 120
HOST = (400, 2_000)  # of a protein that gets one, the domain included
TOP = 10


@dataclass(frozen=True)
class Planting:
    """Proteins with and without planted domains.

    Attributes:
        targets: All of them.
        itself: The planted domains as queries, with the id of the target that has each.
        relatives: Another domain of the same family as each, where there is one, with the same.
    """

    targets: Sequence[Domain]
    itself: Mapping[str, tuple[Domain, str]]
    relatives: Mapping[str, tuple[Domain, str]]

    @property
    def queries(self) -> list[Domain]:
        """Both, once each."""
        return [domain for domain, _ in {**self.itself, **self.relatives}.values()]


def plant(
    domains: Mapping[str, Domain], proteins: Sequence[Record], *, hosts: int, planted: int, seed: int
) -> Planting:
    """Draw so many hosts, and put a domain, each of another fold, at a random place into some of them.

    The domain takes the place of as many residues: a host stays as long as it was.
    """
    chance = random.Random(seed)
    fitting = [record for record in proteins if HOST[0] <= len(record.sequence) <= HOST[1]]
    drawn = chance.sample(fitting, min(hosts, len(fitting)))
    chosen = _one_a_fold(domains, chance)[: min(planted, len(drawn))]
    families = defaultdict(list)
    for domain in domains.values():
        families[domain.label].append(domain)
    targets, itself, relatives = [], {}, {}
    for place, record in enumerate(drawn):
        sequence = record.sequence
        if place < len(chosen):
            domain = chosen[place]
            start = chance.randrange(len(sequence) - len(domain.sequence) + 1)
            sequence = sequence[:start] + domain.sequence + sequence[start + len(domain.sequence) :]
            itself[domain.id] = (domain, record.id)
            if others := [each for each in families[domain.label] if each.id != domain.id]:
                other = chance.choice(others)
                relatives[other.id] = (other, record.id)
        targets.append(Domain(record.id, ("host",), sequence))
    return Planting(targets, itself, relatives)


def _one_a_fold(domains: Mapping[str, Domain], chance: random.Random) -> list[Domain]:
    fitting = [domain for domain in domains.values() if DOMAIN[0] <= len(domain.sequence) <= DOMAIN[1]]
    chance.shuffle(fitting)
    folds: dict[tuple[str, ...], Domain] = {}
    for domain in fitting:
        folds.setdefault(domain.fold, domain)
    return list(folds.values())


def share_found(wanted: Mapping[str, tuple[Domain, str]], found: Mapping[str, Sequence[Found]]) -> float:
    """The share of the queries whose target is among their first ten hits."""
    hits = [target in [hit.target for hit in found.get(id, ())][:TOP] for id, (_, target) in wanted.items()]
    return sum(hits) / len(hits) if hits else 0.0
