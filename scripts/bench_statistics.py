"""Compare reported E-values with the errors there are, on a labelled FASTA file, and draw it.

    python scripts/bench_statistics.py scop.fa --queries 800 --aligned 120 --svg docs/statistics.svg

Header lines are ``>d1dlwa_ a.1.1.1``: class, fold, superfamily, family. A hit in another fold is an error; for queries
that are turned around, which have no relatives, every hit is one. All goes through the public API.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import protvec
from protvec import fasta
from protvec.search import CANDIDATES, Query

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protvec.search import Hits

THRESHOLDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DEPTH = 1000
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
SIDE, EDGE = 360, 60


def fold(label: str) -> str:
    """Of ``a.1.1.1`` the fold, ``a.1``."""
    return ".".join(label.split(".")[:2])


def errors(answers: Iterable[Hits], folds: dict[str, str] | None) -> list[float]:
    """Errors a query at each threshold; where no folds are given, all hits are errors."""
    found, queries = np.zeros(len(THRESHOLDS)), 0
    for hits in answers:
        queries += 1
        for target, evalue in zip(hits.ids, hits.to_arrow()["evalue"].to_pylist(), strict=True):
            if folds is None or folds[target] != folds[hits.query]:
                found += evalue <= np.array(THRESHOLDS)
    return [float(each) for each in found / max(queries, 1)]


def measure(database: protvec.Database, records: list[Any], asked: argparse.Namespace) -> dict[str, list[float]]:
    """Errors a query of each kind of search."""
    folds = {each.id: fold(each.description.split()[0]) for each in records}
    some = [records[i] for i in np.random.default_rng(asked.seed).permutation(len(records))]
    many, few = some[: asked.queries], some[: asked.aligned]

    def ids(part: list[Any], **options: Any) -> Iterable[Hits]:  # noqa: ANN401
        return database.search_ids([each.id for each in part], exclude_self=True, columns=[], **options)

    def turned(part: list[Any], **options: Any) -> Iterable[Hits]:  # noqa: ANN401
        queries = [Query(f"turned {each.id}", each.sequence[::-1]) for each in part]
        return database.search_many(queries, columns=[], **options)

    aligned = {"k": CANDIDATES, "align": True}
    return {
        "vectors, other folds": errors(ids(many, k=DEPTH), folds),
        "vectors, reversed queries": errors(turned(many, k=DEPTH), None),
        "aligned, other folds": errors(ids(few, **aligned), folds),
        "aligned, reversed queries": errors(turned(few, **aligned), None),
    }


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


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fasta", type=Path)
    parser.add_argument("--model", default="near")
    parser.add_argument("--queries", type=int, default=800, help="compared by vector")
    parser.add_argument("--aligned", type=int, default=120, help="aligned")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--keep", type=Path, help="a folder for the database, to be used again")
    parser.add_argument("--svg", type=Path)
    asked = parser.parse_args()
    records = [each for each in fasta.read(asked.fasta) if isinstance(each, fasta.Record)]
    with tempfile.TemporaryDirectory() as folder:
        path = (asked.keep or Path(folder)) / f"{Path(asked.model).name}-statistics.lancedb"
        make = protvec.open if path.exists() else protvec.create
        database = make(str(path), model=asked.model, threads=asked.threads)
        database.ingest(asked.fasta)
        found = measure(database, records, asked)
    print("E-value".ljust(28), *(f"{each:>8g}" for each in THRESHOLDS))
    for name, values in found.items():
        print(name.ljust(28), *(f"{each:8.3f}" for each in values))
    print(json.dumps({"thresholds": THRESHOLDS, "queries": asked.queries, "aligned": asked.aligned, "errors": found}))
    if asked.svg:
        asked.svg.write_text(picture(found), encoding="utf-8")


if __name__ == "__main__":
    main()
