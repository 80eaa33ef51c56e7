"""Compare reported E-values with the errors there are, on domains with labels or on a proteome, and draw it.

    python scripts/bench_statistics.py scop.fa --queries 800 --aligned 120 --svg docs/statistics.svg
    python scripts/bench_statistics.py proteome.fa.gz --queries 500 --aligned 50

Header lines of domains are ``>d1dlwa_ a.1.1.1``: class, fold, superfamily, family. Hits in other folds are errors; for
queries that are turned around every hit is one, and those in other folds than their own, which is as like in
composition, are counted beside. A proteome has no labels: there queries are turned around only, and their own family is
what BLASTP finds for the protein as it is, at E <= 10, where it is installed. Of equal sequences the first counts. All
goes through the public API.
"""

from __future__ import annotations

import argparse
import itertools
import math
import re
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import provenance, write_json
from _bench_homology import Domain
from _bench_homology_modes import make
from _bench_homology_peers import PEERS, PeerError, search
from bench_engine import positive, print_provenance

import protvec
from protvec import fasta
from protvec.search import CANDIDATES, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from protvec.search import Hits

    Family = dict[str, set[str]]

THRESHOLDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DEPTH = 1000
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#d55e00")
SIDE, EDGE = 360, 60


LABEL = re.compile(r"[a-z]+\.\d+\.\d+\.\d+")
RELATED = 10.0  # E-value of BLASTP
QUICK = {"queries": 60, "aligned": 6, "records": 1_000}


def fold(label: str) -> str:
    """Of ``a.1.1.1`` the fold, ``a.1``."""
    return ".".join(label.split(".")[:2])


def errors(answers: Iterable[Hits], wrong: Callable[[str, str], bool]) -> list[float]:
    """Errors a query at each threshold: hits that are wrong for a query."""
    found, queries = np.zeros(len(THRESHOLDS)), 0
    for hits in answers:
        queries += 1
        for target, evalue in zip(hits.ids, hits.to_arrow()["evalue"].to_pylist(), strict=True):
            if wrong(str(hits.query), target):
                found += evalue <= np.array(THRESHOLDS)
    return [float(each) for each in found / max(queries, 1)]


def of_folds(
    database: protvec.Database, records: list[Any], family: Family, asked: argparse.Namespace
) -> dict[str, list[float]]:
    """Errors a query of domains as they are."""

    def ids(part: list[Any], **options: Any) -> list[float]:  # noqa: ANN401
        answers = database.search_ids([each.id for each in part], exclude_self=True, columns=[], **options)
        return errors(answers, lambda query, target: target not in family[query])

    return {
        "vectors, other folds": ids(records[: asked.queries], k=DEPTH),
        "aligned, other folds": ids(records[: asked.aligned], k=CANDIDATES, align=True),
    }


def of_turned(
    database: protvec.Database, records: list[Any], family: Family | None, asked: argparse.Namespace, *, kind: str
) -> dict[str, list[float]]:
    """Errors a query of proteins that are turned around: of all hits, and of other folds, or families, where known."""
    found = {}
    for name, count, options in (
        ("vectors", asked.queries, {"k": DEPTH}),
        ("aligned", asked.aligned, {"k": CANDIDATES, "align": True}),
    ):
        queries = [Query(each.id, each.sequence[::-1]) for each in records[:count]]
        answers = list(database.search_many(queries, columns=[], **options))
        found[f"{name}, reversed queries"] = errors(answers, lambda *_: True)
        if family is not None:
            others = errors(answers, lambda query, target: target not in family.get(query, ()))
            found[f"{name}, reversed, other {kind}"] = others
    return found


def of_one_fold(records: list[Any]) -> Family:
    """The domains of the fold of each."""
    of = {each.id: fold(each.description.split()[0]) for each in records}
    folds: Family = {}
    for name, each in of.items():
        folds.setdefault(each, set()).add(name)
    return {name: folds[each] for name, each in of.items()}


def _strict(folder: Path, threads: int) -> list[str]:
    command = list(PEERS["blastp"].search(folder, threads))
    command[command.index("-evalue") + 1] = f"{RELATED:g}"
    return command


def families(queries: list[Any], records: list[Any], threads: int | None) -> Family | None:
    """What BLASTP finds of each protein; None where it is not installed."""

    def domains(part: list[Any]) -> list[Domain]:
        return [Domain(each.id, (), each.sequence) for each in part]

    with tempfile.TemporaryDirectory() as folder:
        try:
            blastp = replace(PEERS["blastp"], search=_strict)  # asked for everything, it takes an hour
            hits, _ = search(blastp, domains(queries), domains(records), Path(folder), threads or 1)
        except PeerError as error:
            print(f"other families are not told from own ones: {error}", file=sys.stderr)
            return None
    return {query: {each.target for each in found if (each.evalue or 0) <= RELATED} for query, found in hits.items()}


def _at(value: float) -> float:
    """Where a number is on an axis, in pixels from its beginning: 0.001 to 100."""
    return (math.log10(min(max(value, 1e-3), 100)) + 3) / 5 * SIDE


def _line(values: Iterable[tuple[float, float]], **style: object) -> str:
    points = " ".join(f"{EDGE + _at(x):.1f},{EDGE + SIDE - _at(y):.1f}" for x, y in values)
    about = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<polyline points="{points}" fill="none" {about}/>'


def _text(x: float, y: float, text: str, **style: object) -> str:
    about = " ".join(f'{name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.0f}" y="{y:.0f}" font-family="sans-serif" font-size="12" {about}>{text}</text>'


def picture(found: dict[str, list[float]]) -> str:
    """Errors a query over E-values, as SVG: a line for what is right, and dashes for twice and half as many."""
    size = SIDE + 2 * EDGE
    parts = [f'<rect width="{size + 160}" height="{size}" fill="white"/>']
    parts += [f'<rect x="{EDGE}" y="{EDGE}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#999"/>']
    for power in range(-3, 3):
        parts.append(_text(EDGE + _at(10.0**power), EDGE + SIDE + 18, f"{10.0**power:g}", text_anchor="middle"))
        parts.append(_text(EDGE - 6, EDGE + SIDE - _at(10.0**power) + 4, f"{10.0**power:g}", text_anchor="end"))
    parts.append(_text(EDGE + SIDE / 2, size - 16, "E-value", text_anchor="middle"))
    parts.append(_text(EDGE, EDGE - 14, "errors a query"))
    for factor, dash in ((1.0, "none"), (2.0, "4"), (0.5, "4")):
        ends = [(0.005, 0.005 * factor), (20.0, 20.0 * factor)]
        parts.append(_line(ends, stroke="#777", stroke_dasharray=dash))
    for (name, values), colour, place in zip(found.items(), COLOURS, itertools.count()):
        there = [(e, value) for e, value in zip(THRESHOLDS, values, strict=True) if value]
        parts.append(_line(there, stroke=colour, stroke_width=2))
        parts.append(_text(EDGE + SIDE + 10, EDGE + 20 + 20 * place, name, fill=colour))
    return "\n".join(
        [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size + 160}" height="{size}">', *parts, "</svg>\n"]
    )


def distinct(file: Path) -> list[Any]:
    """The proteins of a file, of equal sequences the first."""
    records = [each for each in fasta.read(file) if isinstance(each, fasta.Record)]
    return list({each.sequence: each for each in reversed(records)}.values())[::-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--model", default="near", help="a name or a checkpoint directory; default: near")
    parser.add_argument("--queries", type=positive, default=800, help="compared by vector; default: 800")
    parser.add_argument("--aligned", type=positive, default=120, help="aligned; default: 120")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=positive, help="default: all that this process may use")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a folder for the database, to be used again")
    parser.add_argument("--quick", action="store_true", help="60 and 6 queries, 1,000 proteins: a minute, and rough")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    asked = parser.parse_args(arguments)
    records = distinct(asked.fasta)
    if asked.quick:
        asked.queries, asked.aligned, records = QUICK["queries"], QUICK["aligned"], records[: QUICK["records"]]
    result: dict[str, Any] = provenance()
    print_provenance(result)
    found = measure(records, asked)
    print("E-value".ljust(36), *(f"{each:>8g}" for each in THRESHOLDS))
    for name, values in found.items():
        print(name.ljust(36), *(f"{each:8.3f}" for each in values))
    if asked.svg:
        asked.svg.write_text(picture(found), encoding="utf-8")
    if asked.json:
        counts = {"queries": asked.queries, "aligned": asked.aligned, "proteins": len(records)}
        write_json(asked.json, result | {"thresholds": THRESHOLDS, **counts, "errors": found})
    return 0


def measure(records: list[Any], asked: argparse.Namespace) -> dict[str, list[float]]:
    """Errors a query of each kind of search."""
    labelled = all(LABEL.fullmatch((each.description.split() or [""])[0]) for each in records)
    some = [records[i] for i in np.random.default_rng(asked.seed).permutation(len(records))]
    if labelled:
        family: Family | None = of_one_fold(records)
    else:
        family = families(some[: max(asked.queries, asked.aligned)], records, asked.threads)
    with tempfile.TemporaryDirectory() as scratch:
        database, _ = make(
            [Domain(each.id, (), each.sequence) for each in records],
            asked.keep or Path(scratch),
            asked.model,
            asked.threads,
        )
        return {
            **(of_folds(database, some, family, asked) if labelled and family is not None else {}),
            **of_turned(database, some, family, asked, kind="folds" if labelled else "families"),
        }


if __name__ == "__main__":
    raise SystemExit(main())
