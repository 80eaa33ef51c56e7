"""The one object that a program uses: a database of proteins, with the model that its vectors are of."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from protvec import models
from protvec.engine.base import Encoder, embed
from protvec.errors import EngineError, QueryError, SpaceMismatchError, UnknownModelError
from protvec.search import nearest
from protvec.search.query import as_queries
from protvec.store import DEFAULT_CODEC, Store, digest, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from protvec.annotate import Annotated
    from protvec.exchange import Exported, Moved
    from protvec.fasta import Record
    from protvec.ingest import Estimate, Observer, Plan, Report
    from protvec.search import Hits, Query
    from protvec.store import LogEntry, Residues, Snapshot
    from protvec.store.check import CheckResult


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a database gets and runs its model.

    Attributes:
        model: A name of the model table or a checkpoint directory; None means the one recorded in the database.
        offline: Never fetch weights.
        engine: ``auto``, ``openvino`` or ``torch``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``int8``.
        threads: Threads to embed with; None means all that this process may use.
        device: ``cpu`` or a torch device such as ``cuda``.
        latency: Have the answer to one query sooner, at the cost of the rate of many.
        notify: Called with a line of text where the user should know something, such as a licence.
    """

    model: str | Path | None = None
    offline: bool = False
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    device: str = "cpu"
    latency: bool = False
    notify: Callable[[str], None] | None = None

    def checkpoint(self, recorded: str | None = None) -> models.Checkpoint:
        """The weights, fetched if they are not here and may be.

        Raises:
            ModelError: there is no such model, or its weights cannot be had.
        """
        wanted = self.model or recorded or models.DEFAULT_MODEL
        return models.obtain(wanted, offline=self.offline, notify=self.notify)

    def encoder(self, checkpoint: models.Checkpoint, *, recorded: str | None = None) -> Encoder:
        """An engine that runs the weights.

        Args:
            checkpoint: The weights.
            recorded: The precision of the vectors to compare with: ``auto`` takes it where this machine can.

        Raises:
            EngineError: it cannot run as asked on this machine.
        """
        say = self.notify or (lambda _: None)
        if recorded is None or recorded == self.precision:
            return self._load(checkpoint, self.precision)
        if self.precision != "auto":
            say(f"the database's vectors were made in {recorded}, these are in {self.precision}")
            return self._load(checkpoint, self.precision)
        try:
            return self._load(checkpoint, recorded)
        except EngineError as error:
            encoder = self._load(checkpoint, "auto")
            say(f"the database's vectors were made in {recorded}, these are in {encoder.precision}: {error}")
            return encoder

    def _load(self, checkpoint: models.Checkpoint, precision: str) -> Encoder:
        from protvec import engine

        return engine.load(
            checkpoint,
            engine=self.engine,
            precision=precision,
            threads=self.threads,
            device=self.device,
            latency=self.latency,
            notify=self.notify,
        )


@dataclass(frozen=True, eq=False)
class Protein:
    """One protein of a database.

    Attributes:
        id: Its id, byte for byte as in the FASTA file.
        sequence: Its residues; empty where only a vector was imported.
        vector: ndarray, shape=(D,), dtype=float32: the mean over residues, as the model gives it.
        metadata: Every other column by name.
    """

    id: str
    sequence: str
    vector: NDArray[np.float32]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def description(self) -> str | None:
        """What the header says it is."""
        value: str | None = self.metadata.get("description")
        return value

    @property
    def header(self) -> str:
        """The header line after the id, as given."""
        return str(self.metadata.get("header") or "")

    def to_fasta(self, *, width: int = 60) -> str:
        """The record as FASTA text, ending in a line end.

        Raises:
            QueryError: only its vector was imported.
        """
        if not self.sequence:
            raise QueryError(f"{self.id}: its vector was imported without a sequence")
        lines = [f">{self.id} {self.header}".rstrip()]
        lines += [self.sequence[i : i + width] for i in range(0, len(self.sequence), width)]
        return "\n".join(lines) + "\n"

    def to_dict(self, *, vector: bool = True) -> dict[str, Any]:
        """All of it as plain values."""
        plain = {"id": self.id, "sequence": self.sequence, **self.metadata}
        return plain | {"vector": self.vector.tolist()} if vector else plain


class Database:
    """A database of proteins: a directory that LanceDB reads, with vectors of one model.

    Keep one open for the life of a program. It may be used from several threads at once, and it sees what
    another process adds, after about a second. The model is loaded when a sequence first has to be embedded;
    searches by id or by vector never need it.

    Example:
        >>> db = protvec.open("plants.lancedb")                  # doctest: +SKIP
        >>> for hit in db.search("MKTAYIAKQRQISFVKSHFSRQ", k=3):  # doctest: +SKIP
        ...     print(hit.target, hit.score, hit.metadata["description"])
    """

    def __init__(self, store: Store, settings: Settings | None = None, *, encoder: Encoder | None = None) -> None:
        self.store = store
        self.settings = settings or Settings()
        self._encoder = encoder
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """Absolute path of the database."""
        return self.store.path

    def encoder(self) -> Encoder:
        """The model of this database, loaded once.

        Raises:
            ModelError: its weights cannot be had.
            SpaceMismatchError: the weights are not those that this database's vectors were made with.
            EngineError: it cannot run as asked on this machine.
        """
        with self._lock:
            if self._encoder is None:
                checkpoint = self._checkpoint()
                self._encoder = self.settings.encoder(checkpoint, recorded=self.store.precision)
            return self._encoder

    def _checkpoint(self) -> models.Checkpoint:
        """The weights of this database's space. Of imported vectors only the model's name is known: it is trusted."""
        space = self.store.space
        if space.verified:
            checkpoint = self.settings.checkpoint(space.model)
            self.store.check_space(checkpoint.space)
            return checkpoint
        if self.settings.model is None and space.model not in models.MODELS:
            raise UnknownModelError(
                f"{self.path} holds imported vectors of {space.model}, whose weights are not known: "
                "search by id or by vector, not by sequence"
            )
        checkpoint = self.settings.checkpoint(space.model)
        if checkpoint.space.dimension != space.dimension:
            raise SpaceMismatchError(
                f"{self.path} holds vectors of {space}, not of {checkpoint.space}",
                expected=space,
                actual=checkpoint.space,
            )
        say = self.settings.notify or (lambda _: None)
        say(f"the database's vectors were imported: that they are of {checkpoint.space} is not checked")
        return checkpoint

    # -- putting in and taking out ---------------------------------------------------------------------------

    def ingest(
        self,
        files: str | Path | Sequence[str | Path],
        *,
        dataset: str | None = None,
        organism: str | None = None,
        taxid: int | None = None,
        update: bool = False,
        fix: Collection[str] = (),
        nucleotides_ok: bool = False,
        observer: Observer | None = None,
    ) -> Report:
        """Read FASTA files, embed what is new, and store it.

        Args:
            files: FASTA files, plain or gzip.
            dataset: Name stored with every record.
            organism: Organism of records whose header names none.
            taxid: NCBI taxonomy identifier of records whose header names none.
            update: Replace known proteins whose sequence or metadata differs.
            fix: Repairs (``protvec.fasta.FIXES``) for sequences that would be skipped.
            nucleotides_ok: Do not refuse a file that looks like nucleotides.
            observer: Sees progress and may stop the run.

        Returns:
            The report: added, reused, updated, unchanged, and skipped with reasons.

        Raises:
            FastaError: a file cannot be read, or two records with one id differ; nothing was stored.
            IngestInterrupted: the observer asked to stop; it carries the report of what is stored.
        """
        from protvec import ingest

        options = ingest.Options(
            dataset=dataset,
            organism=organism,
            taxid=taxid,
            update=update,
            fix=frozenset(fix),
            nucleotides_ok=nucleotides_ok,
        )
        paths = [files] if isinstance(files, str | Path) else list(files)
        with ingest.open_sources(paths) as sources:
            return self.run(ingest.make_plan(sources, self.store, options), observer)

    def run(self, plan: Plan, observer: Observer | None = None) -> Report:
        """Do what a plan says: see ``protvec.ingest.run``."""
        from protvec import ingest

        self.store.check_writable()  # before anything is embedded
        encoder = self.encoder() if plan.distinct else None
        if encoder:
            self.store.note_precision(encoder.precision)
        return ingest.run(plan, self.store, encoder, observer)

    def estimate(self, plan: Plan) -> Estimate:
        """What a plan will cost on this machine: see ``protvec.ingest.estimate``."""
        from protvec import ingest

        return ingest.estimate(
            plan,
            self.encoder(),
            residue_bytes=self.store.bytes_per_residue,
            sequence_bytes=self.store.bytes_per_sequence,
        )

    def delete(self, ids: Sequence[str] | None = None, *, where: str | None = None) -> int:
        """Remove proteins by id or by condition, and the residue arrays that no other protein shares.

        Returns:
            How many proteins were removed.

        Raises:
            QueryError: neither ids nor a condition, or both.
            ProteinNotFoundError: an id is not there; nothing was removed.
            FilterError: the condition is no SQL, or names a column that is not there.
        """
        if (ids is None) == (where is None):
            raise QueryError("say what to delete: ids, or a condition, not both")
        return self.store.delete(ids=ids, where=where)

    def annotate(
        self,
        table: object,
        *,
        key: str = "id",
        key_column: str | None = None,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
        separator: str | None = None,
        nulls: Collection[str] = (),
        replace: bool = False,
    ) -> Annotated:
        """Add the columns of a table to the proteins that its rows match.

        Args:
            table: A TSV, CSV or Parquet file (also gzip), an Arrow table, a pandas or polars frame, or a dict of
                columns.
            key: The column of the database that rows are matched by: a row annotates every protein with its key.
            key_column: The column of the table that has the keys; by default the one of the same name.
            columns: The columns to take; by default all but the key.
            rename: New names of columns, by their names in the table.
            types: ``int``, ``float``, ``text``, ``bool`` or ``list`` by column; others are inferred.
            separator: Splits cells into lists, in columns of text where it occurs.
            nulls: Texts that stand for nothing, beside the empty one.
            replace: Overwrite what matched proteins have in columns that are there; else empty places are filled,
                and another value is an error.

        Returns:
            The report: columns, proteins that changed, and the keys that no protein has.

        Raises:
            TableError: the table, with file and line; nothing was changed.
            QueryError: an option, or the name of a column.
        """
        from protvec import annotate

        options = annotate.Options(
            key=key,
            key_column=key_column,
            columns=columns,
            rename=rename or {},
            types=types or {},
            separator=separator,
            nulls=nulls,
            replace=replace,
        )
        return annotate.annotate(self.store, annotate.open_sheet(table), options)

    def drop_columns(self, names: str | Sequence[str]) -> None:
        """Remove columns that ``annotate`` added.

        Raises:
            QueryError: one is not there, or is protvec's own; nothing was removed.
        """
        self.store.drop_columns([names] if isinstance(names, str) else names)

    def snapshot(self, name: str) -> Snapshot:
        """Keep the present version readable as ``protvec.open(path, at=name)`` until the snapshot is deleted.

        Raises:
            QueryError: the name cannot be used, or is taken.
        """
        return self.store.snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """The snapshots, oldest first."""
        return self.store.snapshots()

    def delete_snapshot(self, name: str) -> None:
        """Forget a snapshot.

        Raises:
            SnapshotNotFoundError: there is none of that name; the message names similar ones.
        """
        self.store.delete_snapshot(name)

    def restore(self, name: str) -> str:
        """Make the content of a snapshot that of the database again, as a new version.

        Returns:
            The name of the snapshot that has what was there before: restoring that one goes back.

        Raises:
            SnapshotNotFoundError: there is none of that name; the message names similar ones.
        """
        return self.store.restore(name)

    # -- moving ----------------------------------------------------------------------------------------------

    def export(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        level: str = "protein",
        ids: Sequence[str] | None = None,
        where: str | None = None,
        columns: Sequence[str] | None = None,
        dtype: str | None = None,
        force: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Exported:
        """Write proteins to a Parquet, FASTA, NumPy or HDF5 file, whole or not at all.

        Args:
            path: The file; its suffix says the format: ``.parquet``, ``.fasta``, ``.fa`` (also ``.gz``), ``.npy``,
                ``.npz`` or ``.h5``.
            format: ``parquet``, ``fasta``, ``npy``, ``npz`` or ``h5``, whatever the suffix.
            level: ``protein`` for vectors (D,), ``residue`` for arrays (L, D) too (Parquet) or instead (HDF5).
            ids: These proteins, in this order; by default all.
            where: A condition instead.
            columns: Columns of a Parquet file; by default all.
            dtype: ``float32`` or ``float16``; by default float32 for vectors and float16 for residues.
            force: Replace a file that is there.
            progress: Called with proteins done and proteins in all.

        Raises:
            ExchangeError: the file cannot be written, is there already, or cannot hold what was asked for.
            QueryError: nothing to write, or a setting that cannot be used.
            ProteinNotFoundError: an id is not there.
            FilterError: the condition or a column cannot be used.
        """
        from protvec import exchange

        return exchange.export(
            self.store,
            path,
            format=format,
            level=level,
            ids=ids,
            where=where,
            columns=columns,
            dtype=dtype,
            force=force,
            progress=progress,
        )

    def import_file(
        self,
        file: str | Path,
        *,
        format: str | None = None,
        model: str | None = None,
        fasta: str | Path | Sequence[str | Path] = (),
        ids: str | Path | None = None,
        dataset: str | None = None,
        update: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Moved:
        """Store the vectors of a file here, and its residue arrays if it has any: see ``protvec.import_file``."""
        from protvec import exchange

        options = exchange.ImportOptions(
            format=format,
            model=model,
            fasta=[fasta] if isinstance(fasta, str | Path) else list(fasta),
            ids=ids,
            dataset=dataset,
            update=update,
        )
        return exchange.import_into(self.store, file, None, options, progress=progress)

    def merge(
        self,
        databases: Sequence[Database],
        *,
        prefer: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Moved:
        """Copy the proteins of other databases of this model here, with their residues: see ``protvec.merge``."""
        from protvec import exchange

        stores = [database.store for database in databases]
        return exchange.merge_into(self.store, stores, None, prefer=prefer, progress=progress)

    # -- looking up ------------------------------------------------------------------------------------------

    def get(self, id: str) -> Protein:
        """One protein by id.

        Raises:
            ProteinNotFoundError: it is not there; the message names similar ids.
        """
        return self.get_many([id])[0]

    def get_many(self, ids: Sequence[str]) -> list[Protein]:
        """Several proteins by id, in the order of the ids.

        Raises:
            ProteinNotFoundError: one is not there.
        """
        return _proteins(self.store.get(ids))

    def residues(self, id: str) -> NDArray[np.float32]:
        """The per-residue array of one protein.

        Returns:
            ndarray, shape=(L, D), dtype=float32, as exact as the database's codec.

        Raises:
            ProteinNotFoundError: it is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.residues([id])[id]

    def residues_many(self, ids: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The per-residue arrays of several proteins by id, in one read: far quicker than one by one.

        Raises:
            ProteinNotFoundError: one is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.residues(ids)

    def iter_residues(self, *, where: str | None = None, batch_size: int = 32) -> Iterator[Residues]:
        """The per-residue arrays of all proteins, or of those of a condition, in bounded memory and in no order.

        Args:
            where: SQL condition on the metadata.
            batch_size: Arrays in memory at once.

        Yields:
            ``id``, ``digest`` and ``array``: ndarray, shape=(L, D), dtype=float32.

        Raises:
            FilterError: the condition is no SQL, or names a column that is not there.
            QueryError: the database keeps no residue arrays.
        """
        return self.store.iter_residues(where=where, batch_size=batch_size)

    def residue_batches(self, *, where: str | None = None, batch_size: int = 32) -> pa.RecordBatchReader:
        """As ``iter_residues``, as a stream of Arrow record batches: see ``Store.residue_batches``."""
        return self.store.residue_batches(where=where, batch_size=batch_size)

    def check(
        self, *, full: bool = False, repair: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> CheckResult:
        """Look at everything in this database: schemas, every row, residue arrays, indexes, and the log.

        Args:
            full: Compare every residue array with the vectors of its proteins, not a sample of 256.
            repair: Mend what can be mended, and check again. What has lost its residues is embedded again, for
                which the model is loaded then.
            progress: Called with the rows looked at so far, and how many there are.

        Returns:
            ``findings``, what was done (``repairs``) and what is lost by it; ``ok`` where nothing is damaged.
        """
        from protvec.store import check

        if not repair:
            return check.check(self.store, full=full, progress=progress)

        def embedder(sequences: Sequence[str]) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
            return ((each.vector, each.residues) for each in embed(self.encoder(), sequences))

        return check.repair(self.store, full=full, embedder=embedder, progress=progress)

    def log(self, n: int | None = None) -> list[LogEntry]:
        """What was done to this database, newest first: at most ``n`` runs.

        Their skipped and changed records are in ``log_entry``.
        """
        return self.store.ledger.entries(n)

    def log_entry(self, run: str) -> LogEntry:
        """One run of the log, with every record that it skipped or changed.

        Args:
            run: Its name, or the beginning of it; ``Report.run`` is one.

        Raises:
            QueryError: there is none, or several begin so.
        """
        return self.store.ledger.entry(run)

    def recode(self, codec: str, *, progress: Callable[[int, int], None] | None = None) -> int:
        """Change how residue arrays are kept, those that are there and those to come.

        A kill does no harm: called again, it goes on. Arrays of a finer codec become no better than they
        were, and ``none`` removes them: nobody is asked here.

        Args:
            codec: ``int8``, ``int4``, ``float16`` or ``none``.
            progress: Called with the arrays done so far, and all that there are to do.

        Returns:
            How many arrays were changed or removed.

        Raises:
            QueryError: an unknown codec, or the database keeps no arrays.
            DatabaseError: the disk, or too little room on it.
        """
        return self.store.recode(codec, progress=progress)

    def compact(self) -> None:
        """Join what many small ingests left, drop deleted rows and remove versions older than an hour.

        Ingest does as much of it as pays by itself. Snapshots stay.
        """
        self.store.compact()

    def info(self) -> dict[str, Any]:
        """Counts, sizes, model, datasets and versions, as plain values."""
        return self.store.info()

    def __len__(self) -> int:
        return self.store.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and id in self.store.known([id])

    # -- searching -------------------------------------------------------------------------------------------

    def search(
        self,
        query: str | Query | Record,
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        exclude_self: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Hits:
        """The proteins most like a sequence.

        Args:
            query: Residues, or a record of ``protvec.fasta.read``.
            k: How many hits at most.
            where: SQL condition on the metadata, such as ``"organism = 'Zea mays' AND length < 500"``.
            min_score: Leave out hits below this cosine.
            exclude_self: Leave out the query itself: the protein of its id or, for a bare sequence, of its sequence.
            columns: Metadata columns of the hits; by default length, gene, organism and description.

        Raises:
            QueryError: the sequence or a setting cannot be used.
            FilterError: the condition is no SQL, or names a column that is not there.
            ModelError: the weights of the model cannot be had.
        """
        (hits,) = self.search_many(
            [query], k=k, where=where, min_score=min_score, exclude_self=exclude_self, columns=columns
        )
        return hits

    def search_many(
        self,
        queries: Iterable[str | Query | Record],
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        exclude_self: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Iterator[Hits]:
        """The hits of each of many sequences, in their order, as they become ready. See ``search``."""
        nearest.check(self.store, k=k, where=where, min_score=min_score, columns=columns)  # before the model is loaded
        pending: list[Query] = []

        def sequences() -> Iterator[str]:
            for query in as_queries(queries):
                pending.append(query)
                yield query.sequence

        for embedding in embed(self.encoder(), sequences()):
            query = pending.pop(0)
            condition = _and(where, _not_itself(query)) if exclude_self else where
            yield nearest.search_vector(
                self.store,
                embedding.vector,
                query=query.id,
                k=k,
                where=condition,
                min_score=min_score,
                columns=columns,
            )

    def search_id(
        self,
        id: str,
        *,
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        exclude_self: bool = False,
        columns: Sequence[str] | None = None,
    ) -> Hits:
        """The proteins most like one of the database. Needs no model. See ``search``.

        Raises:
            ProteinNotFoundError: it is not there; the message names similar ids.
        """
        protein = self.get(id)
        condition = _and(where, f"id != {quote(id)}") if exclude_self else where
        return self.search_vector(protein.vector, query=id, k=k, where=condition, min_score=min_score, columns=columns)

    def search_vector(
        self,
        vector: NDArray[np.float32],
        *,
        query: str = "vector",
        k: int = 10,
        where: str | None = None,
        min_score: float | None = None,
        columns: Sequence[str] | None = None,
    ) -> Hits:
        """The proteins whose vectors are nearest to a vector. Needs no model. See ``search``.

        Args:
            vector: ndarray, shape=(D,).
            query: Name of the query in the hits.
            k: As for ``search``, like the rest.
            where: A condition.
            min_score: The lowest cosine.
            columns: Metadata columns of the hits.

        Raises:
            QueryError: the vector has another length, or is zero or not finite.
        """
        return nearest.search_vector(
            self.store, vector, query=query, k=k, where=where, min_score=min_score, columns=columns
        )


class SettingsOptions(TypedDict, total=False):
    """The fields of ``Settings`` as keywords of ``open`` and ``create``."""

    model: str | Path | None
    offline: bool
    engine: str
    precision: str
    threads: int | None
    device: str
    latency: bool
    notify: Callable[[str], None] | None


def open(
    path: str | Path,
    *,
    at: str | None = None,
    storage_options: Mapping[str, str] | None = None,
    **settings: Unpack[SettingsOptions],
) -> Database:
    """Open a database that is there.

    Args:
        path: The directory, or ``s3://…``, ``gs://…``, ``az://…``.
        at: The name of a snapshot: read the database as it was then, and refuse to change it.
        storage_options: Credentials and settings of the object store, beside those of its environment variables.
        **settings: See ``Settings``: model, offline, engine, precision, threads, device, latency, notify.

    Raises:
        DatabaseNotFoundError: there is nothing at the path.
        DatabaseFormatError: it is not a protvec database, or one of a newer version.
        DatabaseLocationError: the path is mistyped, or the object store cannot be reached.
        SnapshotNotFoundError: it has no snapshot of that name.
        TypeError: an unknown setting.
    """
    return Database(Store.open(path, at=at, storage_options=storage_options), Settings(**settings))


def create(
    path: str | Path,
    *,
    residues: str = DEFAULT_CODEC,
    storage_options: Mapping[str, str] | None = None,
    **settings: Unpack[SettingsOptions],
) -> Database:
    """Make a new, empty database for the vectors of one model.

    Args:
        path: The directory, its parents are made; or ``s3://…``, ``gs://…``, ``az://…``.
        residues: How residue arrays are kept: ``int8``, ``int4``, ``float16``, or ``none`` to keep vectors only.
        storage_options: Credentials and settings of the object store, beside those of its environment variables.
        **settings: See ``Settings``; ``model`` is a name or a checkpoint directory, by default ``ankh-base``.

    Raises:
        DatabaseExistsError: there is something at the path.
        DatabaseLocationError: the path is mistyped, or the object store cannot be reached.
        ModelError: there is no such model, or its weights cannot be had.
    """
    chosen = Settings(**settings)
    checkpoint = chosen.checkpoint()
    store = Store.create(path, checkpoint.space, codec=residues, storage_options=storage_options)
    return Database(store, chosen)


def _proteins(table: pa.Table) -> list[Protein]:
    vectors = table["vector"].combine_chunks()
    matrix = np.asarray(vectors.values.to_numpy(zero_copy_only=False), dtype=np.float32)
    matrix = matrix.reshape(len(table), -1) if len(table) else matrix
    rows = table.drop_columns(["vector"]).to_pylist()
    return [Protein(row.pop("id"), row.pop("sequence"), vector, row) for row, vector in zip(rows, matrix, strict=True)]


def _not_itself(query: Query) -> str:
    """The condition that leaves out the query: by its id where it has one, by its sequence where not."""
    return f"id != {quote(query.id)}" if query.named else f"digest != {quote(digest(query.sequence))}"


def _and(where: str | None, condition: str) -> str:
    return f"({where}) AND {condition}" if where else condition
