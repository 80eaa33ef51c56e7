"""``protvec snapshot``, ``protvec snapshots`` and ``protvec restore``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.options import DEFAULT_DB, Db, Json, Yes, confirm, open_store
from protvec.words import size

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a snapshot.")]


def snapshot(
    name: Name,
    db: Db = DEFAULT_DB,
    delete: Annotated[bool, typer.Option("--delete", help="Delete that snapshot instead of making it.")] = False,
    as_json: Json = False,
) -> None:
    """Keep the database as it is now under a name; --at NAME reads it, `restore` brings it back."""
    store = open_store(db)
    if delete:
        store.delete_snapshot(name)
        _answer({"deleted": name}, f"snapshot {name} deleted", as_json=as_json)
    else:
        made = store.snapshot(name)
        _answer(made.to_dict(), f"snapshot {name}: {plural(made.proteins, 'protein')}", as_json=as_json)


def snapshots(db: Db = DEFAULT_DB, as_json: Json = False) -> None:
    """List the snapshots: name, time, proteins, and the bytes that only the snapshot keeps."""
    there = open_store(db).snapshots()
    if as_json:
        print(json.dumps([each.to_dict() for each in there]))
        return
    print("name\tcreated\tproteins\tbytes")
    for each in there:
        plain = each.to_dict()
        print("\t".join(str(plain[column]) for column in ("name", "created", "proteins", "bytes")))
    if there:
        keep = "keeps" if len(there) == 1 else "keep"
        console.note(f"{plural(len(there), 'snapshot')}, which alone {keep} {size(sum(each.bytes for each in there))}")
    else:
        console.note(f"{db} has no snapshots: `protvec snapshot NAME` makes one")


def restore(name: Name, db: Db = DEFAULT_DB, yes: Yes = False, as_json: Json = False) -> None:
    """Make the database what it was at a snapshot; what it is now becomes a snapshot of its own."""
    store = open_store(db)
    then = open_store(db, at=name).count()
    if not yes:
        confirm(f"put {db} from {plural(store.count(), 'protein')} to the {then:,} of snapshot {name}")
    before = store.restore(name)
    line = f"{plural(store.count(), 'protein')} again, as at {name}; `protvec restore {before}` goes back"
    if before == name:
        line = f"{db} is as it was at {name} already"
    _answer({"restored": name, "proteins": store.count(), "before": before}, line, as_json=as_json)


def _answer(plain: dict[str, object], line: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(plain))
    else:
        console.note(line)
