"""A file of vectors into a database."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from protvec import models
from protvec.errors import ExchangeError, SpaceMismatchError
from protvec.exchange.absorb import Absorber
from protvec.exchange.files import format_of
from protvec.exchange.hdf5_source import Hdf5Source
from protvec.exchange.report import Moved
from protvec.exchange.sequences import Sequences, complete
from protvec.exchange.sources import NumpySource, ParquetSource
from protvec.exchange.target import Target, making
from protvec.space import Space
from protvec.store import CODECS, DEFAULT_CODEC, InputFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protvec.exchange.batches import Source
    from protvec.exchange.target import Create
    from protvec.store import Store

    Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How a file is read.

    Attributes:
        format: ``parquet``, ``npy``, ``npz`` or ``h5``; None means by its name.
        model: Name of the model that made the vectors, where the file does not say.
        fasta: FASTA files with the sequences, or one.
        ids: File with the ids of an ``.npy`` file; None means ``NAME.npy.ids.txt``.
        dataset: Name stored with every record that has none.
        residues: Codec of a new database; None means that of the database the file came from, else the default,
            and ``none`` where there are vectors only.
        update: Replace known proteins that differ.
    """

    format: str | None = None
    model: str | None = None
    fasta: str | Path | Sequence[str | Path] = ()
    ids: str | Path | None = None
    dataset: str | None = None
    residues: str | None = None
    update: bool = False


def import_into(
    store: Store | None,
    file: str | Path,
    create: Create | None,
    options: ImportOptions | None = None,
    *,
    progress: Progress | None = None,
) -> Moved:
    """Store the vectors of a file, and its residue arrays if it has any. Doing it again changes nothing.

    Args:
        store: The database; None where it is still to be made.
        file: Parquet, HDF5 or NumPy.
        create: Makes it, for a space and a codec, with the first record that can be stored; None where it is there.
        options: How the file is read.
        progress: Called with records done and records in all.

    Returns:
        The report; every record of the file is in exactly one of its counts.

    Raises:
        ExchangeError: The file cannot be read, or does not say what is needed.
        SpaceMismatchError: The database holds vectors of another model.
        FastaError: The sequences cannot be read.
    """
    start = time.monotonic()
    chosen = options or ImportOptions()
    source = _open(file, chosen)
    space = _space(source, chosen.model, store)
    codec = _codec(source, chosen.residues, store)
    sequences = Sequences(chosen.fasta) if chosen.fasta else None
    report = Moved(files=[source.name], model=space.model, created=store is None, codec=codec)
    files = [_input(source.name), *(sequences.files if sequences is not None else ())]
    given = {name: value for name, value in asdict(chosen).items() if value and name != "fasta"}
    given |= {"ids": str(chosen.ids)} if chosen.ids else {}  # the ledger takes no path
    with Target(store, making(create, space, codec), codec, command="import", files=files, options=given) as target:
        batches = (complete(batch, sequences, chosen.dataset) for batch in source.batches())
        try:
            Absorber(target, report, update=chosen.update).absorb(source, batches, progress)
        finally:
            target.note(report)
        target.finish(report)
        if report.created and target.store is not None and source.about and source.about.get("precision"):
            target.store.note_precision(source.about["precision"])
    if sequences is not None:
        report.without_sequence, report.sequences_unused = sequences.without, sequences.unused
    report.seconds = time.monotonic() - start
    return report


def _input(name: str) -> InputFile:
    """A file as the ledger names it."""
    seen = hashlib.sha256()
    with Path(name).open("rb") as stream:
        while data := stream.read(1 << 20):
            seen.update(data)
        return InputFile(name, seen.hexdigest(), stream.tell())


def _open(file: str | Path, options: ImportOptions) -> Source:
    kind = format_of(file, options.format)
    path = Path(file)
    if not path.exists():
        raise ExchangeError("no such file", file=str(file))
    if path.is_dir():
        raise ExchangeError("a directory: name a file, or merge a database with `protvec merge`", file=str(file))
    if kind == "fasta":
        raise ExchangeError("FASTA has no vectors: `protvec ingest` makes them", file=str(file))
    if options.ids is not None and kind not in ("npy", "npz"):
        raise ExchangeError(f"a {kind} file has its ids inside: leave --ids out", file=str(file))
    if kind in ("npy", "npz"):
        return NumpySource(file, ids=options.ids)
    return ParquetSource(file) if kind == "parquet" else Hdf5Source(file)


def _space(source: Source, model: str | None, store: Store | None) -> Space:
    """The space of the file's vectors, which must be that of the database."""
    space = _stated_space(source, model)
    if store is None or store.space.matches(space):
        return space
    here = store.space
    claimed = not space.verified and model == here.model and space.dimension == here.dimension
    if claimed:  # the user says that these are that model's; the file cannot
        return here
    hint = ""
    if not space.verified and space.dimension == here.dimension:
        hint = f": if {source.name} has vectors of that very model, say so with --model {here.model}"
    raise SpaceMismatchError(
        f"{store.path} holds vectors of {here}, {source.name} of {space}{hint or ': import it into another database'}",
        expected=here,
        actual=space,
    )


def _stated_space(source: Source, model: str | None) -> Space:
    if source.about is not None:
        try:
            space = Space(**source.about["space"])
        except TypeError as error:
            raise ExchangeError(f"what it says about its model is damaged ({error})", file=source.name) from error
        if model not in (None, space.model):
            raise ExchangeError(f"it has vectors of {space.model}, not of {model}", file=source.name)
        return space
    name = model or source.model_name
    if not name:
        message = "it does not say which model made its vectors: give the model a name with --model"
        raise ExchangeError(message, file=source.name)
    if name in models.MODELS and (dimension := models.MODELS[name].dimension) != source.dimension:
        message = f"its vectors have {source.dimension} dimensions, those of {name} have {dimension}"
        raise ExchangeError(message, file=source.name)
    return Space.unverified(name, source.dimension)


def _codec(source: Source, given: str | None, store: Store | None) -> str:
    """How a new database keeps residues."""
    if given is not None and given not in CODECS:
        raise ExchangeError(f"no codec {given!r}: there are {', '.join(CODECS)}", file=source.name)
    if store is not None:
        if given not in (None, store.codec):
            raise ExchangeError(f"{store.path} keeps residue arrays as {store.codec}, not {given}", file=source.name)
        return store.codec
    if source.level == "protein":
        if given not in (None, "none"):
            raise ExchangeError(f"it has no residue arrays to keep as {given}", file=source.name)
        return "none"
    before = source.about.get("codec") if source.about else None
    return given or (before if before in CODECS and before != "none" else DEFAULT_CODEC)
