"""``protvec models``: which there are, which are here, and how to get one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import console
from protvec.cli.console import note, plural
from protvec.cli.options import Json, Precision, Threads
from protvec.errors import EngineError, ModelError
from protvec.words import size

if TYPE_CHECKING:
    from protvec.engine.fidelity import Card
    from protvec.models import ModelStatus

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model of `protvec models`.")]


def build() -> typer.Typer:
    """The group of commands."""
    app = typer.Typer(help="Show the models, and fetch one.", rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_list)
    app.command("pull")(pull)
    app.command("path")(path)
    app.command("verify")(verify)
    app.command("rm")(rm)
    return app


def _list(context: typer.Context, as_json: Json = False) -> None:
    """Show the models, their size and licence, and whether they are on this machine."""
    if context.invoked_subcommand is not None:
        return
    from protvec import models

    found = models.listing()
    conversions = _conversions()
    if as_json:
        print(json.dumps([_plain(status, conversions) for status in found], indent=1))
        return
    rows: list[tuple[str, ...]] = [("NAME", "DIM", "PARAMETERS", "DOWNLOAD", "LICENCE", "HERE", "CONVERTED", "")]
    rows += [_row(status, conversions.get(status.spec.name, {})) for status in found]
    known = {status.spec.name for status in found}
    rows += [
        (name, "", "", "", "", "directory", _converted(sizes), "a local checkpoint")
        for name, sizes in conversions.items()
        if name not in known
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    note(f"\n{models.DEFAULT_MODEL} is the default. A checkpoint directory works wherever a name does.")


def _conversions() -> dict[str, dict[str, int]]:
    """Bytes of each conversion that the fast engine keeps, by model and precision."""
    from protvec.engine.openvino.cache import converted

    sizes: dict[str, dict[str, int]] = {}
    for conversion in converted():
        of_model = sizes.setdefault(conversion.key.model, {})
        of_model[conversion.key.precision] = of_model.get(conversion.key.precision, 0) + conversion.bytes
    return sizes


def _converted(sizes: dict[str, int]) -> str:
    return ", ".join(f"{precision} {size(count)}" for precision, count in sizes.items()) or "-"


def _row(status: ModelStatus, conversions: dict[str, int]) -> tuple[str, ...]:
    spec = status.spec
    fetched = size(spec.download_bytes) if spec.download_bytes else "-"
    here = size(status.size) if status.here else "no"
    parameters = f"{spec.parameters / 1e6:,.0f} M"
    return (
        spec.name,
        str(spec.dimension),
        parameters,
        fetched,
        spec.licence,
        here,
        _converted(conversions),
        spec.summary,
    )


def _plain(status: ModelStatus, conversions: dict[str, dict[str, int]]) -> dict[str, object]:
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
        "converted": conversions.get(spec.name, {}),
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


def verify(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model of `protvec models`, or a directory.")],
    precision: Annotated[
        list[Precision] | None,
        typer.Option(help="What to measure; by default all that this processor runs. May be repeated."),
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure the fast precisions of a model against fp32, and print its fidelity card."""
    from protvec import models
    from protvec.engine import verify as checking

    checkpoint = models.find(name)
    wanted = [chosen.value for chosen in precision or [] if chosen is not Precision.auto]
    runnable = checking.runnable(checkpoint)
    if refused := [chosen for chosen in wanted if chosen not in runnable]:
        raise EngineError(f"{name} does not run in {refused[0]} here: choose among {', '.join(runnable)}")
    note(f"measuring {', '.join(wanted or runnable)} of {checkpoint.spec.name}; this takes a minute or more")
    card = checking.verify(checkpoint, wanted or runnable, threads=threads)
    print(card.to_json() if as_json else describe(card))


def describe(card: Card) -> str:
    """A fidelity card as text."""
    lines = [
        f"Fidelity card of {card.model} (weights {card.weights[:12]})",
        f"on {card.machine}, {plural(card.threads, 'thread')}, converter {card.converter}",
        f"{plural(card.proteins, 'protein')}, {plural(card.residues, 'residue')}; "
        f"reference: torch, fp32, one at a time, {card.reference_speed:,.0f} residues/s",
        "",
        "precision  protein cosine    residue cosine    same 10     residues/s        auto",
        "           min     mean      min     mean      neighbours  (x reference)",
    ]
    for name, entry in card.measured.items():
        ratio = entry.residues_per_second / card.reference_speed
        cosines = (entry.pooled_min, entry.pooled_mean, entry.residue_min, entry.residue_mean)
        lines.append(
            "{:<9}  {:.5f} {:.5f}   {:.5f} {:.5f}   ".format(name, *cosines)
            + f"{entry.overlap:>6.1%}      {entry.residues_per_second:>7,.0f} ({ratio:.1f} x)   "
            + f"{'yes' if entry.passed else 'no'}{' <- taken' if name == card.best else ''}"
        )
    if card.fixed is not None:
        lines += [
            "",
            "int8 finds every step of its rounding while it runs. With steps fixed at conversion its cosine fell to",
            f"{card.fixed.pooled_min:.5f} for a protein and {card.fixed.residue_min:.5f} for a residue, "
            f"at {card.fixed.residues_per_second:,.0f} residues/s.",
        ]
    if card.golden is not None:
        lines += ["", f"Golden figures of the official weights: cosine {card.golden:.5f} or better"]
    return "\n".join(lines)


def rm(
    name: Annotated[str, typer.Argument(metavar="NAME|DIR", help="A model, as `protvec models` shows it.")],
    precision: Annotated[Precision | None, typer.Option(help="Only this conversion.")] = None,
) -> None:
    """Delete the conversions of a model that the fast engine keeps; its weights stay."""
    from pathlib import Path

    from protvec.engine.openvino import cache

    wanted = Path(name).name
    if wanted not in _conversions():
        raise ModelError(f"no conversion of {name!r} is kept; `protvec models` shows those that are")
    chosen = None if precision in (None, Precision.auto) else precision.value
    note(f"{size(cache.remove(wanted, precision=chosen))} freed")
