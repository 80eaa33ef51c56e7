"""``protvec shard``, ``protvec embed`` and ``protvec commit``: an ingest over many machines."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.console import duration, note, plural
from protvec.cli.ingest import SHOWN, show_details, show_report
from protvec.cli.options import (
    DATABASE,
    DEFAULT_DB,
    Db,
    Device,
    Engine,
    EngineOption,
    Json,
    Model,
    Offline,
    Precision,
    PrecisionOption,
    SearchMemory,
    Threads,
    create_store,
    model_settings,
    open_if_there,
    open_store,
    storage_options_for,
)
from protvec.cli.output import ReportFile, deliver
from protvec.cli.reading import (
    AllowNucleotides,
    Dataset,
    Files,
    Fix,
    NewResidues,
    Organism,
    SkipInvalid,
    Taxid,
    Update,
    check_codec,
    reading,
)
from protvec.errors import DatabaseExistsError, IngestInterrupted, InputError
from protvec.words import some

if TYPE_CHECKING:
    from protvec.cluster import Committed, Shards
    from protvec.database import Settings
    from protvec.ingest import Report
    from protvec.ingest.report import Tally
    from protvec.space import Space
    from protvec.store import Store

Directory = Annotated[
    str, typer.Argument(metavar="SHARDS", help="The directory of `protvec shard`, or its URL in an object store.")
]


def shard(
    files: Files,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="SHARDS", help="The directory to make, or s3://…, gs://…, az://…")
    ],
    shards: Annotated[int, typer.Option("--shards", "-n", min=1, help="How many.")],
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            envvar="PROTVEC_DB",
            metavar="DB",
            help="The database that they are for: its model is used, and what it has is not embedded again.",
            rich_help_panel=DATABASE,
        ),
    ] = None,
    model: Model = None,
    precision: PrecisionOption = Precision.auto,
    residues: NewResidues = None,
    dataset: Dataset = None,
    organism: Organism = None,
    taxid: Taxid = None,
    update: Update = False,
    fix: Fix = None,
    skip_invalid: SkipInvalid = False,
    allow_nucleotides: AllowNucleotides = False,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Read FASTA files and cut them into shards that take about equally long to embed: see `protvec embed`."""
    from protvec import cluster
    from protvec.ingest import open_sources

    settings = model_settings(model, precision, Engine.auto, None, "cpu", offline)
    options = reading(dataset, organism, taxid, update=update, fix=fix, allow_nucleotides=allow_nucleotides)
    store = open_if_there(db) if db else None
    space, codec, recorded = _kind(store, settings, residues.value if residues else None)
    with open_sources(files, stdin=sys.stdin.buffer) as sources:
        made = cluster.cut(
            sources,
            output,
            shards=shards,
            space=space,
            codec=codec,
            options=options,
            precision=recorded if precision == "auto" else precision.value,
            store=store,
            storage_options=storage_options_for(output),
        )
    console.note_model(space.model)
    _show_cut(made, output)
    if as_json:
        print(json.dumps(_described(made), ensure_ascii=False))
    if made.manifest.rejected and not skip_invalid:
        raise console.Stop(1)


def embed(
    directory: Directory,
    number: Annotated[
        list[int],
        typer.Option("--shard", metavar="K", min=0, help="Number of the shard, from 0 on. May be repeated."),
    ],
    model: Model = None,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    report_file: ReportFile = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Embed a shard; killed and run again, it goes on where it was. Any machine that sees the directory may do it."""
    settings = model_settings(model, Precision.auto, engine, threads, device, offline)
    shards = _open(directory)
    for each in number:
        shards.check(each)
    for each in number:
        report = _embedded(shards, each, settings)
        deliver(report.to_dict() | {"shard": each}, report_file, as_json=as_json)
        if report.interrupted:
            note(f"Shard {each} stopped: {_done(report)}. What is done is stored: the same command goes on from here.")
            raise console.Stop(130)
        note(f"Shard {each} is complete: {_done(report)}")


def commit(
    directory: Directory,
    db: Db = DEFAULT_DB,
    search_memory: SearchMemory = None,  # noqa: ARG001  # acts through its callback
    partial: Annotated[
        bool, typer.Option("--partial", help="Commit the shards that are complete, leave the others for later.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Commit shards as they are completed, until all are.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how far each shard is and what is committed; write nothing.")
    ] = False,
    report_file: ReportFile = None,
    skip_invalid: SkipInvalid = False,
    as_json: Json = False,
) -> None:
    """Put embedded shards into a database, each once; run again, it adds what is missing."""
    if partial and wait:
        raise InputError("--partial ends with what there is, --wait waits for all: give one of them")
    shards = _open(directory)
    if dry_run:
        _show_state(shards, db, as_json=as_json)
        return
    report = _commit(shards, db, partial=partial, wait=wait)
    _show_commit(report)
    deliver(report.to_dict(), report_file, as_json=as_json)
    if report.interrupted:
        raise console.Stop(130)
    if report.skipped and not skip_invalid:
        raise console.Stop(1)


# -- how --------------------------------------------------------------------------------------------------------


def _open(directory: str) -> Shards:
    from protvec.cluster import Shards

    return Shards.open(directory, storage_options=storage_options_for(directory))


def _kind(store: Store | None, settings: Settings, codec: str | None) -> tuple[Space, str, str | None]:
    """The space, the codec and the arithmetic of the database, or those that a new one is to have."""
    from protvec.store import DEFAULT_CODEC

    if store is None:
        return settings.checkpoint().space, codec or DEFAULT_CODEC, None
    if settings.model is not None:
        store.check_space(settings.checkpoint().space)
    check_codec(store, codec)
    return store.space, store.codec, store.precision


def _show_cut(shards: Shards, output: str) -> None:
    manifest = shards.manifest
    parts = [part.residues for part in manifest.shards]
    note(
        f"{plural(manifest.requested, 'record')} read; {plural(manifest.sequences, 'distinct sequence')} to embed "
        f"({plural(manifest.residues, 'residue')}) in {plural(shards.count, 'shard')} of {min(parts):,} to "
        f"{plural(max(parts), 'residue')}"
    )
    show_details(_tally(shards))
    note(f"Next: `protvec embed {output} --shard K` for K from 0 to {shards.count - 1}, then `protvec commit {output}`")


def _tally(shards: Shards) -> Tally:
    from protvec.ingest.report import Tally

    manifest = shards.manifest
    return Tally(requested=manifest.requested, repeated=manifest.repeated, skipped=list(manifest.rejected))


def _described(shards: Shards) -> dict[str, Any]:
    """The manifest, but for what only a program of protvec needs."""
    plain = shards.manifest.to_dict() | {"path": shards.path, "residues": shards.manifest.residues}
    return plain | {"sequences": shards.manifest.sequences}


def _embedded(shards: Shards, number: int, settings: Settings) -> Report:
    from protvec import cluster
    from protvec.cli.watch import Watcher, stop_on_interrupt

    with stop_on_interrupt(also=[signal.SIGTERM]) as stop, console.progress() as shown:
        try:
            return cluster.embed_shard(
                shards,
                number,
                lambda: cluster.encoder_for(shards, settings),
                lambda plan: Watcher(plan.residues_to_embed, shown, stop, what=f"Shard {number}"),
            )
        except IngestInterrupted as interrupted:
            report: Report = interrupted.report  # type: ignore[assignment]
            return report


def _done(report: Report) -> str:
    rate = report.embedded_residues / max(report.seconds, 1e-9)
    return (
        f"{plural(report.embedded, 'sequence')} embedded in {duration(report.seconds)} "
        f"({plural(report.embedded_residues, 'residue')}, {rate:,.0f}/s), {report.unchanged:,} records were there"
    )


def _commit(shards: Shards, db: str, *, partial: bool, wait: bool) -> Committed:
    from protvec import cluster
    from protvec.cli.watch import Watcher, stop_on_interrupt

    if not (partial or wait):
        cluster.check_complete(shards)  # before a new database is made
    store = _target(shards, db)
    with stop_on_interrupt(also=[signal.SIGTERM]) as stop, console.progress() as shown:
        watcher = Watcher(shards.manifest.residues, shown, stop, what="Committing")
        try:
            report = cluster.commit(shards, store, partial=partial, wait=wait, observer=watcher, notify=note)
        except IngestInterrupted as interrupted:
            stopped: Committed = interrupted.report  # type: ignore[assignment]
            return stopped
    store.keep_calibrated(note)
    store.keep_indexes(note)
    return report


def _target(shards: Shards, db: str) -> Store:
    if (store := open_if_there(db)) is not None:
        return store
    try:
        return create_store(db, shards.manifest.space, codec=shards.manifest.codec)
    except DatabaseExistsError:  # made by another committer just now
        return open_store(db)


def _show_commit(report: Committed) -> None:
    show_report(report, embedded=False)
    missing = report.shards - len(report.committed)
    note(f"{len(report.committed):,} of {plural(report.shards, 'shard')} in {report.database}")
    if missing:
        note(f"  not yet: {some(report.missing, SHOWN)}; the same command adds them")


def _show_state(shards: Shards, db: str, *, as_json: bool) -> None:
    """How far each shard is."""
    from protvec.cluster import committed_shards

    store = open_if_there(db)
    there = committed_shards(shards, store) if store is not None else set()
    listed = shards.location.entries()
    found = [shards.progress(number, listed=listed) for number in range(shards.count)]
    states = ["committed" if each.number in there else each.state for each in found]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    note(f"{plural(shards.count, 'shard')}: " + ", ".join(f"{count:,} {state}" for state, count in counts.items()))
    if as_json:
        rows = [
            {"shard": each.number, "state": state, "embedded": each.sequences, "working": each.working}
            | {name: getattr(shards.manifest.part(each.number), name) for name in ("rows", "sequences", "residues")}
            for each, state in zip(found, states, strict=True)
        ]
        print(json.dumps({"shards": rows, "counts": counts}))
        return
    for each, state in zip(found, states, strict=True):
        if state not in ("committed", "complete"):
            where = f", at work: {', '.join(each.working)}" if each.working else ""
            wanted = shards.manifest.part(each.number).sequences
            note(f"  {each.number}: {each.sequences:,} of {plural(wanted, 'sequence')}{where}")
