"""``protvec demo``: the whole way from FASTA to neighbours on real proteins that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli.console import note

if TYPE_CHECKING:
    from protvec.database import Database

DEMO_DB = Path("protvec-demo.lancedb")
MODEL = "near"
# Queries of the tour: an id of the sample, and what a biologist expects to see next to it.
TOUR = (
    ("NP_177500.1", "PIN1, an auxin efflux carrier: its paralogues PIN7, PIN3 and PIN6 should come first."),
    ("NP_565176.1", "GRF2, a 14-3-3 protein: the other general regulatory factors should come first."),
    ("NP_173160.1", "GSTU24, a glutathione S-transferase of class tau: others of its class should come first."),
)


def demo(
    db: Annotated[Path, typer.Option("--db", help="Where the demo database goes.")] = DEMO_DB,
) -> None:
    """Ingest 200 proteins of Arabidopsis that ship with protvec, and search them. Needs no download."""
    from protvec import data
    from protvec.cli.ingest import show_report
    from protvec.database import create, open
    from protvec.errors import DatabaseNotFoundError

    note(
        f"The demo uses the offline model `{MODEL}` (NEAR), so that nothing has to be downloaded. It is a small\n"
        "network, not Ankh: it finds close relatives; for distant ones use Ankh, the default model."
    )
    try:
        database = open(db)
    except DatabaseNotFoundError:
        database = create(db, model=MODEL)
    note(f"\n$ protvec ingest arabidopsis_sample.fa.gz --db {db} --model {MODEL} --dataset demo")
    show_report(database.ingest(data.sample(), dataset="demo"))
    for id, expectation in TOUR:
        _show(database, id, expectation)
    note(f"\nThe database is {db}. Go on with:  protvec info --db {db}   protvec search SEQ --db {db}")


def _show(database: Database, id: str, expectation: str) -> None:
    from protvec.cli.sink import show

    note(f"\n$ protvec search --id {id} -k 5 --exclude-self\n{expectation}\n")
    show(database.search_id(id, k=5, exclude_self=True), ["target", "score", "evalue", "length", "description"])
