"""``protvec models``: which there are, which are here, and how to get one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import note, size
from protvec.cli.options import Json

if TYPE_CHECKING:
    from protvec.models import ModelStatus

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model of `protvec models`.")]


def build() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(help="Show the models, and fetch one.", rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_list)
    app.command("pull")(pull)
    app.command("path")(path)
    return app


def _list(context: typer.Context, as_json: Json = False) -> None:
    """Show the models, their size and licence, and whether they are on this machine."""
    if context.invoked_subcommand is not None:
        return
    from protvec import models

    found = models.listing()
    if as_json:
        print(json.dumps([_plain(status) for status in found], indent=1))
        return
    rows = [("NAME", "DIM", "PARAMETERS", "DOWNLOAD", "LICENCE", "HERE", ""), *map(_row, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    note(f"\n{models.DEFAULT_MODEL} is the default. A checkpoint directory works wherever a name does.")


def _row(status: ModelStatus) -> tuple[str, ...]:
    spec = status.spec
    fetched = size(spec.download_bytes) if spec.download_bytes else "-"
    here = size(status.size) if status.here else "no"
    return (
        spec.name,
        str(spec.dimension),
        f"{spec.parameters / 1e6:,.0f} M",
        fetched,
        spec.licence,
        here,
        spec.summary,
    )


def _plain(status: ModelStatus) -> dict[str, object]:
    spec = status.spec
    return {
        "name": spec.name,
        "repository": spec.repository,
        "revision": spec.revision,
        "dimension": spec.dimension,
        "layers": spec.layers,
        "parameters": spec.parameters,
        "download_bytes": spec.download_bytes,
        "licence": spec.licence,
        "prefix": spec.prefix,
        "residues": spec.residues,
        "path": str(status.path) if status.path else None,
        "bytes": status.size,
    }


def pull(name: Name) -> None:
    """Fetch the weights of a model, and say their licence."""
    from protvec import models

    with console.progress() as shown:
        task = shown.add_task(f"Fetching {name}", total=None, rate="")

        def advanced(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total, rate=f"{size(done)} of {size(total)}")

        checkpoint = models.pull(name, progress=advanced)
    spec = checkpoint.spec
    terms = " (non-commercial use only)" if spec.non_commercial else ""
    note(f"{spec.name} is here; licence of the weights: {spec.licence}{terms}")
    print(checkpoint.directory)


def path(name: Name) -> None:
    """Print where the checkpoint of a model is on this machine."""
    from protvec import models

    print(models.find(name).directory)
