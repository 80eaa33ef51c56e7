"""``protvec ingest``."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.console import duration, note, plural
from protvec.cli.options import (
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
    open_store,
)
from protvec.cli.output import ReportFile, check_place, deliver
from protvec.cli.ray import quiet_ray
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
from protvec.errors import DatabaseExistsError, InputError
from protvec.words import size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from protvec.database import Database, Settings
    from protvec.engine.base import Encoder
    from protvec.ingest import Estimate, Observer, Plan, Report, Source
    from protvec.ingest.report import Tally
    from protvec.store import Store

SHOWN = 10  # skipped records that are printed; all are in --report


def ingest(
    files: Files,
    db: Db = DEFAULT_DB,
    search_memory: SearchMemory = None,  # noqa: ARG001  # acts through its callback
    model: Model = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    threads: Threads = None,
    device: Device = "cpu",
    residues: NewResidues = None,
    dataset: Dataset = None,
    organism: Organism = None,
    taxid: Taxid = None,
    update: Update = False,
    fix: Fix = None,
    skip_invalid: SkipInvalid = False,
    allow_nucleotides: AllowNucleotides = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="auto|ADDRESS",
            help="Embed on all nodes of a Ray cluster; auto takes the one that runs here, or starts one.",
            show_default=False,
        ),
    ] = None,
    segments: Annotated[
        bool | None,
        typer.Option(
            "--segments/--no-segments",
            help="Keep vectors of segments of long proteins in a new database, which find domains.  "
            "[default: --segments]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what there is to do and what it costs; write nothing.")
    ] = False,
    report_file: ReportFile = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Embed the proteins of FASTA files and store them."""
    from protvec import ingest as library

    check_place(report_file)
    settings = model_settings(model, precision, engine, threads, device, offline)
    options = reading(dataset, organism, taxid, update=update, fix=fix, allow_nucleotides=allow_nucleotides)
    with library.open_sources(files, stdin=sys.stdin.buffer) as sources:
        target = _Target(db, settings, residues.value if residues else None, segments)
        console.note_model(target.model)
        plan = library.make_plan(sources, target.store, options)
        _show_plan(plan, db, new=target.store is None)
        cost = target.estimate(plan) if plan.distinct else None
        if cost:
            _show_estimate(cost, db)
        if dry_run:
            show_details(plan)
            deliver(_planned(plan, cost), report_file, as_json=as_json)
            done: Tally = plan
        else:
            done = report = _run(target.database(), plan, sources, ray)
            show_report(report)
            deliver(report.to_dict(), report_file, as_json=as_json)
            if report.interrupted:
                note("Stopped. Everything above is stored: the same command goes on from here.")
                raise console.Stop(130)
    if done.skipped and not skip_invalid:
        raise console.Stop(1)


class _Target:
    """The database to write to: one that is there, or one to be made once there is something to put in it."""

    def __init__(self, path: str, settings: Settings, codec: str | None, segments: bool | None = None) -> None:
        from protvec.database import Database
        from protvec.errors import DatabaseNotFoundError
        from protvec.store import DEFAULT_CODEC

        self._path, self._settings = path, settings
        self._codec, self._asked = codec or DEFAULT_CODEC, codec
        self._segments = segments
        self._database: Database | None = None
        self._encoder: Encoder | None = None
        try:
            self._database = Database(open_store(path), settings)
        except DatabaseNotFoundError:
            self._checkpoint = settings.checkpoint()  # before the files are read: what fails, fails at once
            return
        if settings.model is not None:
            self._database.store.check_space(settings.checkpoint().space)
        self._check_codec(self._database.store)

    def _check_codec(self, store: Store) -> None:
        check_codec(store, self._asked)
        keeps = store.segment_rule is not None
        if self._segments not in (None, keeps):
            option = "--segments" if self._segments else "--no-segments"
            does = "keeps segments" if keeps else "keeps no segments"
            raise InputError(f"{store.path} {does}: `protvec calibrate {option}` changes that")

    @property
    def store(self) -> Store | None:
        return None if self._database is None else self._database.store

    @property
    def model(self) -> str:
        return self._checkpoint.spec.name if self._database is None else self._database.store.space.model

    def encoder(self) -> Encoder:
        if self._database is not None:  # an empty one is false
            return self._database.encoder()
        if self._encoder is None:
            self._encoder = self._settings.encoder(self._checkpoint)
        return self._encoder

    def estimate(self, plan: Plan) -> Estimate:
        from protvec import ingest as library
        from protvec.store import bytes_per_residue, bytes_per_sequence
        from protvec.store.segments import Rule as SegmentRule

        encoder = self.encoder()
        codec = self.store.codec if self.store else self._codec
        new = None if self._segments is False else SegmentRule()
        return library.estimate(
            plan,
            encoder,
            residue_bytes=bytes_per_residue(codec, encoder.dimension),
            sequence_bytes=bytes_per_sequence(codec, encoder.dimension),
            segments=self.store.segment_rule if self.store else new,
        )

    def database(self) -> Database:
        if self._database is None:
            from protvec.database import Database

            self._database = Database(self._made(), self._settings, encoder=self._encoder)
        return self._database

    def _made(self) -> Store:
        try:
            return create_store(
                self._path, self._checkpoint.space, codec=self._codec, segments=self._segments is not False
            )
        except DatabaseExistsError:  # by another process, since the files were read
            store = open_store(self._path)
            store.check_space(self._checkpoint.space)
            self._check_codec(store)
            return store


def _run(database: Database, plan: Plan, sources: Sequence[Source], ray: str | None) -> Report:
    from protvec.cli.watch import Watcher, stop_on_interrupt
    from protvec.errors import IngestInterrupted

    with stop_on_interrupt() as stop, console.progress() as shown:
        try:
            watcher = Watcher(plan.residues_to_embed, shown, stop)
            return database.run(plan, watcher) if ray is None else _run_on_ray(database, plan, sources, ray, watcher)
        except IngestInterrupted as interrupted:
            report: Report = interrupted.report  # type: ignore[assignment]
            return report


def _run_on_ray(database: Database, plan: Plan, sources: Sequence[Source], address: str, observer: Observer) -> Report:
    from protvec import cluster
    from protvec import ingest as library

    quiet_ray()
    store = database.store
    library.check_fits(plan, store)
    report = cluster.ingest_on_ray(sources, plan, store, database.settings, address=address, observer=observer)
    store.keep_calibrated(note)
    store.keep_indexes(note)
    return report


def _show_plan(plan: Plan, db: str, *, new: bool) -> None:
    note(
        f"{plural(plan.requested, 'record')} read; "
        f"{plural(plan.rows, 'protein')} to store in {'new ' if new else ''}{db}, "
        f"{plural(plan.distinct, 'distinct sequence')} to embed ({plural(plan.residues_to_embed, 'residue')})"
    )


def _show_estimate(cost: Estimate, db: str) -> None:
    from protvec.ingest import check_room
    from protvec.store import free_bytes

    free = free_bytes(db)
    speed = ""
    if cost.seconds is not None and cost.residues_per_second is not None:
        speed = f"about {duration(cost.seconds)} at {cost.residues_per_second:,.0f} residues/s, and "
    where = "in the object store" if free is None else f"on disk ({size(free)} free)"
    note(f"Estimate: {speed}{size(cost.bytes)} {where}")
    check_room(db, cost.bytes)  # before a new database is made


def show_report(report: Report, *, embedded: bool = True) -> None:
    """The report in a few lines, on standard error, with the speed where it is this run that embedded."""
    note(
        f"{report.added:,} added, {report.reused:,} reused, {report.updated:,} updated, "
        f"{report.unchanged:,} unchanged, {len(report.skipped):,} skipped "
        f"of {plural(report.requested, 'record')} in {duration(report.seconds)}{_speed(report) if embedded else ''}"
    )
    show_details(report)


def _speed(report: Report) -> str:
    if not report.embedded_residues:
        return ""
    rate = report.embedded_residues / max(report.seconds, 1e-9)
    return (
        f"; {plural(report.embedded_residues, 'residue')} embedded ({report.precision}, {report.engine}), {rate:,.0f}/s"
    )


def show_details(tally: Tally) -> None:
    """What was not plain: repeats, cleaning, skipped records."""
    if tally.repeated:
        note(f"  {plural(tally.repeated, 'record')} repeated, id and sequence alike: stored once")
    if tally.stale:
        note(f"  {plural(tally.stale, 'protein')} with other metadata than stored; --update replaces it")
    for change, count in tally.changes.most_common():
        note(f"  {plural(count, 'sequence')} cleaned: {change}")
    show_skipped(tally, "--report FILE")


def show_skipped(tally: Tally, everything: str) -> None:
    """Some of the skipped records, and how many there are of each kind.

    Args:
        tally: What was done.
        everything: Where all of them are listed.
    """
    for skipped in tally.skipped[:SHOWN]:
        console.warn(f"skipped {skipped}")
    if len(tally.skipped) > SHOWN:
        note(f"  … and {len(tally.skipped) - SHOWN:,} more skipped; {everything} lists all:")
        for reason, count in tally.reasons.most_common(SHOWN):
            note(f"    {count:,} x {reason}")


def _planned(plan: Plan, cost: Estimate | None) -> dict[str, Any]:
    """What a dry run found, as plain values."""
    counts = {name: getattr(plan, name) for name in ("requested", "added", "reused", "updated", "unchanged")}
    counts |= {"skipped": len(plan.skipped), "distinct": plan.distinct, "residues": plan.residues_to_embed}
    return counts | {"estimate": {} if cost is None else dataclasses.asdict(cost)}
