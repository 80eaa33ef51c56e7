"""Foldseek's protocol on labelled domains: which hits are true, how many come before the first false one."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from protvec.errors import FastaError
from protvec.fasta import Rejected, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

CLASSES = ("family", "superfamily", "fold")
EVALUES = (0.01, 0.1, 1.0, 10.0)
FALSE = 3  # the kind of a hit in another fold; 0, 1 and 2 are the classes
_LABEL = re.compile(r"[^\s.]+(\.[^\s.]+){3}")
_BACKWARDS = "_reversed"  # what the ids of domains that are read backwards end with


class Domain(NamedTuple):
    """One labelled sequence; the label is class, fold, superfamily and family."""

    id: str
    label: tuple[str, ...]
    sequence: str

    @property
    def fold(self) -> tuple[str, ...]:
        """The class and the fold."""
        return self.label[:2]

    @property
    def superfamily(self) -> tuple[str, ...]:
        """The class, the fold and the superfamily."""
        return self.label[:3]


class Found(NamedTuple):
    """One hit as a method gives it; a method without E-values gives None."""

    target: str
    score: float
    evalue: float | None = None


def read_labelled(path: Path) -> dict[str, Domain]:
    """The domains of a FASTA file with headers such as ``>d1dlwa_ a.1.1.1 …``, by id.

    Raises:
        FastaError: A record cannot be read, has no such label, or has the id of another; with file and line.
    """
    domains: dict[str, Domain] = {}
    for record in read(path):
        if isinstance(record, Rejected):
            raise FastaError(f"{record.id}: {record.reason}", file=record.file, line=record.line)
        label = record.description.split(None, 1)[0] if record.description else ""
        if not _LABEL.fullmatch(label):
            message = f"{record.id} has the label {label!r}: it must be class.fold.superfamily.family, such as a.1.1.2"
            raise FastaError(message, file=record.file, line=record.line)
        if record.id in domains:
            raise FastaError(f"a second {record.id}", file=record.file, line=record.line)
        domains[record.id] = Domain(record.id, tuple(label.split(".")), record.sequence)
    return domains


# --- What is searched, and with what -----------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """Targets, and three sets of queries.

    Attributes:
        targets: What the database holds, by id.
        queries: Targets whose family, superfamily and fold all have another member.
        orphans: Domains of folds that have no member among the targets: every hit is false.
        reversed: Targets read backwards: every hit is false.
    """

    targets: Mapping[str, Domain]
    queries: Sequence[Domain]
    orphans: Sequence[Domain]
    reversed: Sequence[Domain]


def choose(domains: Mapping[str, Domain], *, targets: int | None, queries: int | None, orphans: int, seed: int) -> Task:
    """Draw a task, the same for the same arguments.

    Args:
        domains: All that there are.
        targets: At least about so many of them, whole folds; None: all.
        queries: So many of those that can be queries; None: all.
        orphans: So many domains, of the smallest folds, are kept out of the targets; and so many are reversed.
        seed: Of the draw.
    """
    chance = random.Random(seed)
    sizes = Counter(domain.fold for domain in domains.values())
    folds = sorted(sizes)
    chance.shuffle(folds)
    lonely = [fold for fold in folds if sizes[fold] == 1][:orphans]
    kept = set(_up_to(folds, sizes, lonely, targets))
    inside = {key: domain for key, domain in domains.items() if domain.fold in kept}
    asked = eligible(inside)
    return Task(
        inside,
        _some(asked, queries, chance),
        [domain for domain in domains.values() if domain.fold in lonely],
        [backwards(domain) for domain in _some(list(inside.values()), orphans, chance)],
    )


def _up_to(
    folds: Iterable[tuple[str, ...]], sizes: Mapping[tuple[str, ...], int], without: Iterable[Any], wanted: int | None
) -> list[tuple[str, ...]]:
    """Whole folds, in order, until they have enough members."""
    left_out, chosen, total = set(without), [], 0
    for fold in folds:
        if fold not in left_out and (wanted is None or total < wanted):
            chosen.append(fold)
            total += sizes[fold]
    return chosen


def _some(domains: Sequence[Domain], count: int | None, chance: random.Random) -> list[Domain]:
    return list(domains) if count is None or count >= len(domains) else chance.sample(list(domains), count)


def backwards(domain: Domain) -> Domain:
    """The domain read backwards."""
    return Domain(domain.id + _BACKWARDS, domain.label, domain.sequence[::-1])


def of_others(query: Domain, target: Domain) -> bool:
    """Whether a hit is another domain than that which a query is when read forwards."""
    return target.id != query.id.removesuffix(_BACKWARDS)


def of_another_fold(query: Domain, target: Domain) -> bool:
    """Whether a hit has nothing in common with its query."""
    return kind(query, target) == FALSE


def eligible(domains: Mapping[str, Domain]) -> list[Domain]:
    """The domains that have another of each class."""
    known = Totals(domains.values())
    return [domain for domain in domains.values() if all(known.of(domain))]


class Totals:
    """How many true hits there are."""

    def __init__(self, targets: Iterable[Domain]) -> None:
        self._sizes: Counter[tuple[str, ...]] = Counter()
        for domain in targets:
            self._sizes.update((domain.label, domain.superfamily, domain.fold))

    def of(self, query: Domain) -> tuple[int, int, int]:
        """Of a query that is one of the targets: others of its family, of its superfamily only, of its fold only."""
        family, superfamily, fold = (self._sizes[key] for key in (query.label, query.superfamily, query.fold))
        return family - 1, superfamily - family, fold - superfamily


# --- How good it is ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What the hits of one query are worth.

    Attributes:
        shares: Of family, superfamily and fold: true hits before the first false one, of all true ones.
        top1: Whether the best hit is of the query's superfamily.
        errors: Hits in another fold at each of ``EVALUES``; None without E-values.
    """

    shares: tuple[float, float, float]
    top1: bool
    errors: tuple[int, ...] | None


def kind(query: Domain, target: Domain) -> int:
    """0 of one family, 1 of one superfamily, 2 of one fold, 3 of another fold."""
    if query.fold != target.fold:
        return FALSE
    return 2 - (query.superfamily == target.superfamily) - (query.label == target.label)


def judge(query: Domain, hits: Iterable[Found], targets: Mapping[str, Domain], totals: tuple[int, ...]) -> Verdict:
    """One query's hits, best first; the query itself and further hits of one target do not count."""
    seen = {query.id}
    kinds, evalues = [], []
    for hit in hits:
        if hit.target not in seen:
            seen.add(hit.target)
            kinds.append(kind(query, targets[hit.target]))
            evalues.append(hit.evalue)
    before = kinds[: kinds.index(FALSE)] if FALSE in kinds else kinds
    found = Counter(before)
    family, superfamily, fold = (found[i] / total if total else 0.0 for i, total in enumerate(totals))
    return Verdict((family, superfamily, fold), bool(kinds) and kinds[0] < 2, false_hits(kinds, evalues))


def false_hits(kinds: Sequence[int], evalues: Sequence[float | None]) -> tuple[int, ...] | None:
    """How many hits of another fold there are at each of ``EVALUES``; None where hits have no E-values."""
    if any(evalue is None for evalue in evalues):
        return None
    false = np.array([e for k, e in zip(kinds, evalues, strict=True) if k == FALSE], float)
    return tuple(int((false <= limit).sum()) for limit in EVALUES)


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Averages over queries."""
    shares = np.mean([verdict.shares for verdict in verdicts], axis=0)
    return {
        "queries": len(verdicts),
        **dict(zip(CLASSES, map(float, shares), strict=True)),
        "top1": float(np.mean([verdict.top1 for verdict in verdicts])),
        "errors": errors_a_query([verdict.errors for verdict in verdicts]),
    }


def errors_a_query(errors: Sequence[tuple[int, ...] | None]) -> dict[str, float] | None:
    """The mean number of false hits a query, by E-value."""
    known = [each for each in errors if each is not None]
    if not errors or len(known) < len(errors):
        return None
    return {f"{limit:g}": float(mean) for limit, mean in zip(EVALUES, np.mean(known, axis=0), strict=True)}


def assess(task: Task, found: Mapping[str, Sequence[Found]]) -> dict[str, Any]:
    """The figures of one method on the normal queries."""
    totals = Totals(task.targets.values())
    return summary([judge(query, found.get(query.id, ()), task.targets, totals.of(query)) for query in task.queries])


def assess_null(
    queries: Sequence[Domain],
    found: Mapping[str, Sequence[Found]],
    targets: Mapping[str, Domain],
    wrong: Callable[[Domain, Domain], bool] | None = None,
) -> dict[str, float] | None:
    """Errors a query where no hit is true: those that are ``wrong``, or all."""
    counted = []
    for query in queries:
        hits = {hit.target: hit.evalue for hit in reversed(found.get(query.id, ()))}  # the best of each target
        kinds = [FALSE if wrong is None or wrong(query, targets[target]) else 0 for target in hits]
        counted.append(false_hits(kinds, list(hits.values())))
    return errors_a_query(counted)


def share_alike(domains: Mapping[str, Domain], best: Mapping[str, str]) -> dict[str, float]:
    """How many have a best hit of their family, and of their superfamily, of all that have others there.

    Args:
        domains: All of them, by id.
        best: The best hit of each, by id.
    """
    levels = {"family": lambda domain: domain.label, "superfamily": lambda domain: domain.superfamily}
    shares = {}
    for name, group in levels.items():
        sizes = Counter(map(group, domains.values()))
        asked = [domain for domain in domains.values() if sizes[group(domain)] > 1]
        alike = [group(domain) == group(domains[best[domain.id]]) for domain in asked if domain.id in best]
        shares[name] = sum(alike) / max(len(asked), 1)
    return shares
