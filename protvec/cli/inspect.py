"""``protvec get``, ``protvec info`` and ``protvec delete``."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.console import plural
from protvec.cli.formats import json_text
from protvec.cli.options import DEFAULT_DB, At, Db, Json, Where, Yes, confirm, open_store
from protvec.cli.output import writing
from protvec.words import size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from protvec.database import Database, Protein


def _open(db: str, at: str | None = None) -> Database:
    from protvec.database import Database

    return Database(open_store(db, at=at))


def get(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of proteins.")],
    db: Db = DEFAULT_DB,
    at: At = None,
    fasta: Annotated[bool, typer.Option("--fasta", help="Print FASTA.")] = False,
    vector: Annotated[
        bool, typer.Option("--vector", help="Print the vector, tab-separated; or save it with -o.")
    ] = False,
    residues: Annotated[bool, typer.Option("--residues", help="Save the per-residue array (L, D) with -o.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write there: .npy for one array, .npz for several by id."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show proteins by id: the record, FASTA, the vector or the per-residue array."""
    from protvec.database import Protein

    if fasta + vector + residues + as_json > 1 and not (vector and as_json):
        raise typer.BadParameter("choose one of --fasta, --vector, --residues, --json", param_hint="--fasta")
    database = _open(db, at)
    if residues:
        _save(database.store.residues(ids), output, "--residues")
        return
    proteins = database.get_many(ids)
    if vector and not as_json:
        _vectors(proteins, output)
        return
    text = _as_json(proteins, vector) if as_json else "".join(map(Protein.to_fasta if fasta else _card, proteins))
    if output:
        with writing(output) as stream:
            stream.write(text.encode())
    else:
        sys.stdout.write(text)


def _save(arrays: dict[str, NDArray[np.float32]], output: Path | None, option: str) -> None:
    import numpy as np

    from protvec.exchange.files import add_array

    if output is None:
        raise typer.BadParameter("needs -o FILE.npy (or FILE.npz for several ids)", param_hint=option)
    if output.suffix != ".npz" and (len(arrays) != 1 or output.suffix != ".npy"):
        raise typer.BadParameter(f"{output}: one array goes into .npy, several by id into .npz", param_hint="-o")
    with writing(output) as stream:
        if output.suffix == ".npz":
            with zipfile.ZipFile(stream, "w") as archive:
                for id, array in arrays.items():
                    add_array(archive, id, array)
        else:
            np.save(stream, next(iter(arrays.values())))
    console.note(f"{output}: {plural(len(arrays), 'array')}")


def _vectors(proteins: list[Protein], output: Path | None) -> None:
    if output:
        _save({protein.id: protein.vector for protein in proteins}, output, "--vector")
        return
    for protein in proteins:
        print(protein.id, *(f"{value:.9g}" for value in protein.vector), sep="\t")


def _as_json(proteins: list[Protein], vector: bool) -> str:
    return json_text([protein.to_dict(vector=vector) for protein in proteins], indent=1) + "\n"


def _card(protein: Protein) -> str:
    """What is known of a protein, a line each, and its sequence."""
    lines = [f"{protein.id}"]
    for name, value in protein.metadata.items():
        if value not in (None, "", []):
            lines.append(f"  {name:<12}{', '.join(map(str, value)) if isinstance(value, list) else value}")
    lines += ["  " + protein.sequence[i : i + 60] for i in range(0, len(protein.sequence), 60)]
    return "\n".join(lines) + "\n"


def info(db: Db = DEFAULT_DB, at: At = None, as_json: Json = False) -> None:
    """Show what a database holds: proteins, sequences, bytes, model, datasets, versions."""
    facts = _open(db, at).info()
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    for name, value in _described(facts).items():
        print(f"{name:<20}{value}")


def _described(facts: dict[str, Any]) -> dict[str, str]:
    """The facts of ``info`` in words."""
    space = facts["space"]
    model = "near (not Ankh)" if space["model"] == "near" else space["model"]
    datasets = (f"{name or '(none)'} {count:,}" for name, count in facts["datasets"].items())
    described = {
        "Database": facts["path"],
        "Proteins": f"{facts['proteins']:,}",
        "Distinct sequences": f"{facts['sequences']:,}",
        "Residues": f"{facts['residues']:,}",
        "Datasets": ", ".join(datasets),
        "Model": f"{model}, {space['dimension']} dimensions, {space['pooling']} over residues",
        "Upstream": f"{space['repository']} at {space['revision']}" if space["repository"] else "",
        "Precision": facts["precision"] or "",
        "Weights": _weights(space),
        "Scores": facts["scoring"]["text"],
        **({"Map": facts["map"]["text"]} if facts["map"] else {}),
        "Segments": _segments(facts["segments"]),
        "Residue arrays": f"{facts['residue_arrays']:,} as {facts['codec']}{_unfinished(facts)}",
        "On disk": ", ".join(f"{table} {_sizes(bytes_)}" for table, bytes_ in facts["bytes"].items()),
        "Added columns": ", ".join(f"{name} ({kind})" for name, kind in facts["columns"].items()),
        "Snapshots": ", ".join(facts["snapshots"]),
        "Indexes": ", ".join(facts["indexes"]),
        "Schema": f"version {facts['schema_version']}, made by protvec {facts['created_with']}",
    }
    return {name: value for name, value in described.items() if value}


def _segments(facts: dict[str, int] | None) -> str:
    if facts is None:
        return "none: `protvec calibrate --segments` makes them, which finds domains in long proteins"
    return (
        f"{facts['count']:,} of {facts['window']} residues, {facts['step']} apart at most, "
        f"of {facts['proteins']:,} proteins longer than {facts['longest']}"
    )


def _unfinished(facts: dict[str, Any]) -> str:
    """What a killed ``protvec recode`` left to do."""
    left, codec = facts["other_codecs"], facts["codec"]
    return f" ({left:,} of them still in another codec: `protvec recode {codec}` goes on)" if left else ""


def _weights(space: dict[str, Any]) -> str:
    from protvec.space import Space

    return f"SHA-256 {space['weights']}" if Space(**space).verified else "not known: the vectors were imported"


def _sizes(table: dict[str, int]) -> str:
    older = f" (of that {size(table['old'])} older versions)" if table["old"] else ""
    return size(table["total"]) + older


def delete(
    ids: Annotated[list[str] | None, typer.Option("--id", help="A protein to remove. May be repeated.")] = None,
    where: Where = None,
    db: Db = DEFAULT_DB,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove proteins by id or by condition, and the residue arrays that only they used."""
    if bool(ids) == bool(where):
        raise typer.BadParameter("give --id or --where, one of them", param_hint="--id")
    database = _open(db)
    store = database.store
    if ids:
        store.get(ids, columns=["id"])  # a wrong id is said before the question is asked
    count = len(set(ids)) if ids else store.count(where)
    if count and not yes:
        confirm(f"delete {plural(count, 'protein')} from {db}")
    removed = database.delete(ids, where=where)  # of none too: it clears up after one that was killed
    if as_json:
        print(json.dumps({"deleted": removed, "left": len(database)}))
    else:
        console.note(f"{plural(removed, 'protein')} deleted, {len(database):,} left")
