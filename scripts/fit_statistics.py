#!/usr/bin/env python3
"""Fit the priors and tails of chance scores that ship with protvec, on labelled domains: what ``shipped.py`` has.

Every domain is compared with all the others, and cosines with domains of other folds are put into the units of the null
that the domain's comparison with a sample gives it, as a search does. Printed is what the nulls of these domains are
like, without their labels (``fit_prior``), and how many domains in a thousand have each of the tails
(docs/statistics.md): of all, and of those of each kind, from the ordinary to the most unusual; by the cosines of whole
proteins and by those of segments. Usage::

    python scripts/fit_statistics.py scop40.fa                     # some minutes
    python scripts/fit_statistics.py scop40.fa --model ankh-base
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import _bench_homology_modes as modes
import lance
import numpy as np
from _bench import provenance, write_json
from _bench_homology import read_labelled
from bench_engine import positive, print_provenance

from protvec.statistics import EDGES, Usual, cosine_prior, fisher, fit_many, fit_prior, fit_tails, segment_prior
from protvec.statistics.shipped import SEGMENT_TAILS, WHOLE_TAILS
from protvec.store import matrix_of
from protvec.store.segments.rule import Pieces, rule_of
from protvec.store.segments.vectors import segments_of
from protvec.transform import Moments, Transform, fit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from protvec.statistics import Law, Prior

    Floats = NDArray[np.float32]


_QUERIES = 500  # that a prior is fitted on
TAILS = {"whole proteins": WHOLE_TAILS, "segments": SEGMENT_TAILS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, print, and write it down."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("fasta", type=Path, help="domains with labels: >ID class.fold.superfamily.family")
    parser.add_argument("--model", default="near", help="a name or a checkpoint directory; default: near")
    parser.add_argument("--sample", type=positive, default=512, help="proteins that nulls are fitted on; default: 512")
    parser.add_argument("--seed", type=int, default=0, help="of the sample; default: 0")
    parser.add_argument("--quick", action="store_true", help="on the first 1,000 domains: a minute, and rough")
    parser.add_argument("--threads", type=positive, help="default: all that this process may use")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there for the next run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    options = parser.parse_args(arguments)
    domains = dict(list(read_labelled(options.fasta).items())[: 1_000 if options.quick else None])
    result: dict[str, Any] = provenance()
    print_provenance(result)
    with tempfile.TemporaryDirectory() as scratch:
        database, _ = modes.make(domains.values(), options.keep or Path(scratch), options.model, options.threads)
        table = lance.dataset(f"{database.path}/proteins.lance").to_table(
            columns=["id", "length", "vector", "_segments"]
        )
        folds = np.array([".".join(domains[name].fold) for name in table["id"].to_pylist()])
    scores = Scores(table, options.sample, options.seed)
    groups = {"all": np.arange(len(folds)), **scores.kinds()}
    for name, prior, fitted, z in scores.standard():
        z[folds[:, None] == folds] = np.nan
        there = {group: rows for group, rows in groups.items() if len(rows)}
        tails = {group: _weights(fit_tails(prior.law, z[rows], TAILS[name])) for group, rows in there.items()}
        result[name] = {"prior": _values(fitted), "tails": tails}
        print(f"{name}: {_line(result[name]['prior'])}")
        for group, weights in tails.items():
            shares = ", ".join(f"{1000 * weight:.0f}" for weight in weights)
            print(f"{name}, {group} ({len(groups[group]):,}): {shares}", flush=True)
    if options.json:
        write_json(options.json, result)
    return 0


def _weights(law: Law) -> list[float]:
    return [tail.weight for tail in law.tails]


def _values(prior: Prior) -> dict[str, Any]:
    values = {name: getattr(prior, name) for name in ("place", "slope", "log_scale", "spread", "weights")}
    return {"shape": prior.law.shape, **values}


def _line(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {np.array2string(np.array(each), precision=3)}" for name, each in values.items())


class Scores:
    """Standard scores of all domains with all, by whole proteins and by one segment of each."""

    def __init__(self, table: Any, sample: int, seed: int) -> None:  # noqa: ANN401
        self._table = table
        self._rule = rule_of(table.schema)
        self._vectors = matrix_of(table["vector"])
        self._lengths = table["length"].to_numpy()
        self._sample = np.sort(np.random.default_rng(seed).permutation(table.num_rows)[:sample])

    def kinds(self) -> dict[str, NDArray[np.int64]]:
        """The domains of each kind, by name; nothing where these are too few to tell."""
        space = _space(self._vectors)
        far = space.distances(self._vectors)
        number, dimension = self._vectors.shape
        sample = self._sample
        usual = Usual.fit(far[sample], self._lengths[sample], dimension=dimension, fitted_on=number)
        if usual is None:
            return {}
        kinds = usual.kinds(far, self._lengths)
        return {f"kind {kind}": np.flatnonzero(kinds == kind) for kind in range(len(EDGES) + 1)}

    def standard(self) -> Iterator[tuple[str, Prior, Prior, Floats]]:
        """What it is of, the prior, the prior fitted anew, and the scores: ndarray, shape=(N, N), dtype=float32."""
        dimension = self._vectors.shape[1]
        prior = cosine_prior("whitened", dimension)
        space = _whitened(self._vectors)
        yield "whole proteins", prior, *self._units(space @ space.T, self._lengths, prior)
        if self._rule is not None:
            prior = segment_prior("whitened", dimension)
            yield "segments", prior, *self._units(self._of_segments(), self._rule.within(self._lengths), prior)

    def _of_segments(self) -> Floats:
        """One segment of each domain that is compared with one of each other, in turn, as a search samples them."""
        segments, counts = segments_of(self._table["_segments"], self._vectors)
        space, firsts = _whitened(segments), np.cumsum(counts) - counts
        turn = np.arange(len(counts))
        others = space[firsts + turn % counts]
        cosines = np.empty((len(counts), len(counts)), np.float32)
        for row, (first, count, length) in enumerate(zip(firsts, counts, self._lengths, strict=True)):
            own = space[first : first + count]
            if count > 1:
                own = Pieces.of(own, int(length), self._rule).means
            cosines[row] = np.einsum("ij,ij->i", own[turn % len(own)], others)
        return cosines

    def _units(self, cosines: Floats, lengths: NDArray[np.int64], prior: Prior) -> tuple[Prior, Floats]:
        scores = fisher(cosines)
        np.fill_diagonal(scores, np.nan)
        queries = np.arange(0, len(scores), max(1, len(scores) // _QUERIES))
        fitted = fit_prior(
            scores[np.ix_(queries, self._sample)],
            lengths[self._sample],
            query_lengths=[200] * len(queries),
            start=prior,
        )
        nulls = fit_many(scores[:, self._sample], lengths[self._sample], query_lengths=[200] * len(scores), prior=prior)
        found = np.empty_like(cosines)
        for row, (null, values) in enumerate(zip(nulls, scores, strict=True)):
            found[row] = null.law.careful(null.standard(values, lengths), null.known)
        return fitted, found


def _whitened(vectors: Floats) -> Floats:
    return _space(vectors).apply(vectors)


def _space(vectors: Floats) -> Transform:
    moments = Moments(vectors.shape[1])
    moments.add(vectors)
    return fit(moments, "whitened")


if __name__ == "__main__":
    raise SystemExit(main())
