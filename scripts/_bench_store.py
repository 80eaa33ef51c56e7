"""The parts of ``bench_store.py`` that measure: each function is one section, and returns plain figures."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Spread, forget_peak_memory, peak_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from protvec.database import Database
    from protvec.fasta import Record
    from protvec.store import Packed, Store

    Matrix = NDArray[np.float32]

LENGTH, DIMENSION = 400, 768  # a protein of common length, and Ankh base
CODECS = ("float16", "int8", "int4")
LETTERS = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)


# --- Fidelity ----------------------------------------------------------------------------------------------


def fidelity(records: Sequence[Record]) -> list[dict[str, Any]]:
    """What each codec loses of what ``near`` gives: cosines with, and errors against, float32."""
    found = {name: _Fidelity() for name in CODECS}
    for array in _embedded(records):
        for name, each in found.items():
            each.add(array, name)
    return [{"codec": name, "proteins": len(records)} | each.figures() for name, each in found.items()]


class _Fidelity:
    def __init__(self) -> None:
        self.cosines: list[NDArray[np.float64]] = []
        self.pooled: list[float] = []
        self.errors: list[float] = []
        self.mean_errors: list[float] = []

    def add(self, array: Matrix, name: str) -> None:
        from protvec.store import CODECS

        back = CODECS[name].decode(*CODECS[name].encode(array), length=len(array)).astype(np.float64)
        exact = array.astype(np.float64)
        self.cosines.append(_cosine(exact, back))
        self.errors.append(float((np.linalg.norm(exact - back, axis=1) / np.linalg.norm(exact, axis=1)).max()))
        mean, back_mean = exact.mean(axis=0), back.mean(axis=0)
        self.pooled.append(float(_cosine(mean, back_mean)))
        self.mean_errors.append(float(np.linalg.norm(mean - back_mean) / np.linalg.norm(mean)))

    def figures(self) -> dict[str, float]:
        cosines = np.concatenate(self.cosines)
        return {
            "residue_worst": float(cosines.min()),
            "residue_mean": float(cosines.mean()),
            "residue_error_most": max(self.errors),
            "pooled_worst": min(self.pooled),
            "pooled_error_most": max(self.mean_errors),
        }


def _cosine(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    cosine: NDArray[np.float64] = (one * other).sum(axis=-1) / norms
    return cosine


# --- Writing -----------------------------------------------------------------------------------------------


def writing(codec: str, *, proteins: int) -> dict[str, float]:
    """Bytes a second of stored residues: through ``Store.write``, and the same bytes in plain pyarrow files.

    All are timed until the bytes are on the disk (``fsync``). ``ours`` is given arrays that are encoded and cut into
    segments already, as plain files are and as an ingest gathers them while it embeds; ``raw`` is given float32, which
    it encodes and cuts as well. How long encoding takes alone, on one thread, is there too.
    """
    from protvec.store import CODECS

    arrays, sequences = _arrays(proteins), _sequences(proteins)
    vectors = np.stack([array.mean(axis=0) for array in arrays])
    start = time.perf_counter()
    encoded = [CODECS[codec].encode(array) for array in arrays]
    encoding = time.perf_counter() - start
    stored = sum(len(data) + len(scales or b"") for data, scales in encoded)
    with tempfile.TemporaryDirectory() as scratch:
        plain = _timed(lambda: _write_plain(Path(scratch), encoded, _per_commit(codec)))
        stores = [_new_store(Path(scratch) / name, codec) for name in ("db", "raw")]
        cut = _cut(stores[0], arrays)
        packed = list(_packed(stores[0], sequences, arrays))
        ours = _timed(lambda: _write(stores[0], sequences, packed, vectors, cut=cut))
        raw = _timed(lambda: _write(stores[1], sequences, arrays, vectors, cut=_cut(stores[1], arrays)))
    rates = {name: stored / seconds for name, seconds in (("ours", ours), ("raw", raw), ("plain", plain))}
    given = sum(array.nbytes for array in arrays)
    return rates | {"ratio": plain / ours, "raw_ratio": plain / raw, "encode": given / encoding}


def _cut(store: Store, arrays: Sequence[Matrix]) -> list[NDArray[np.float16]]:
    """The segments of each, as an ingest makes them while it embeds; all of these have some."""
    rule = store.segment_rule
    assert rule is not None
    return [rule.cut(array) for array in arrays]


def _packed(store: Store, sequences: Sequence[str], arrays: Sequence[Matrix]) -> Iterator[Packed]:
    """The arrays as an ingest gathers them, one for each commit."""
    from protvec.store import digest

    for part in _commits(store, len(arrays)):
        packing = store.packing()
        assert packing is not None
        for text, array in zip(sequences[part], arrays[part], strict=True):
            packing.add(digest(text), array)
        yield packing


def _write_plain(folder: Path, encoded: list[tuple[bytes, bytes | None]], commit: int) -> None:
    """One Arrow file for as many proteins as one commit has."""
    import pyarrow as pa

    for number, start in enumerate(range(0, len(encoded), commit)):
        part = encoded[start : start + commit]
        columns = {"data": pa.array([data for data, _ in part], pa.large_binary())}
        columns["scales"] = pa.array([scales for _, scales in part], pa.large_binary())
        table = pa.table(columns)
        path = folder / f"{number}.arrow"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _per_commit(codec: str) -> int:
    """Proteins in a commit of an ingest."""
    from protvec.ingest.commits import COMMIT_BYTES
    from protvec.store import bytes_per_residue

    return int(COMMIT_BYTES) // (LENGTH * bytes_per_residue(codec, DIMENSION))


def _new_store(path: Path, codec: str, dimension: int = DIMENSION) -> Store:
    from protvec.space import Space
    from protvec.store import Store

    return Store.create(path, Space("made-up", "", "", "0" * 64, dimension), codec=codec)


def _commits(store: Store, count: int) -> Iterator[slice]:
    """So many proteins in commits of an ingest's size."""
    commit = _per_commit(store.codec)
    return (slice(start, min(start + commit, count)) for start in range(0, count, commit))


def _write(
    store: Store,
    sequences: list[str],
    arrays: Sequence[Matrix] | Sequence[Packed],
    vectors: Matrix,
    *,
    first: int = 0,
    cut: Sequence[NDArray[np.float16]] = (),
) -> None:
    """As an ingest does, in commits of its size; what is not cut into segments yet is cut on the way.

    Args:
        store: Where to.
        sequences: Of the proteins.
        arrays: Of each protein, or of each commit.
        vectors: Of each protein.
        first: Number of the first, for its id.
        cut: Segments of each protein.
    """
    from protvec.store import Packed, digest, protein_table

    with store.ledger.running("ingest") as run:
        for number, part in enumerate(_commits(store, len(sequences))):
            rows = [
                {"id": f"P{first + part.start + i}", "digest": digest(text), "sequence": text}
                for i, text in enumerate(sequences[part])
            ]
            digests = [row["digest"] for row in rows]
            of_commit = arrays[number]
            given = of_commit if isinstance(of_commit, Packed) else zip(digests, arrays[part], strict=True)
            segments = dict(zip(digests, cut[part], strict=False))
            store.write(protein_table(rows, vectors[part]), given, run=run, segments=segments)


def _arrays(count: int, seed: int = 0) -> list[Matrix]:
    """Made-up residues; no two arrays have the same scales, which Lance would store once."""
    rng = np.random.default_rng(seed)
    few = [rng.standard_normal((LENGTH, DIMENSION), dtype=np.float32) for _ in range(min(count, 20))]
    return [few[i % len(few)] * np.float32(rng.uniform(0.5, 2)) for i in range(count)]


def _sequences(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [LETTERS[rng.integers(0, 20, LENGTH)].tobytes().decode() for _ in range(count)]


def _timed(work: Any) -> float:  # noqa: ANN401
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


# --- Reading -----------------------------------------------------------------------------------------------


def reading(codec: str, *, proteins: int, rounds: int) -> dict[str, Any]:
    """Milliseconds to read 1, 50 and 500 proteins by id from a warm, open database; bytes a residue."""
    from protvec.store import Store, bytes_per_residue, bytes_per_sequence

    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as scratch:
        store = _new_store(Path(scratch) / "db", codec)
        for first in range(0, proteins, 500):
            count = min(500, proteins - first)
            arrays = _arrays(count, seed=first)
            vectors = np.stack([array.mean(axis=0) for array in arrays])
            _write(store, _sequences(count, seed=first), arrays, vectors, first=first)
        store.compact(keep_seconds=0.0)
        store = Store.open(store.path)
        found: dict[str, Any] = {"codec": codec, "proteins": proteins}
        for count in (1, 50, 500):
            if count <= proteins:
                times = [_timed(lambda: store.residues(_some(rng, proteins, count))) for _ in range(rounds + 2)]  # noqa: B023
                found[f"ms_{count}"] = vars(Spread.of(1000 * seconds for seconds in times[2:]))
        own = proteins * (LENGTH * bytes_per_residue(codec, DIMENSION) + bytes_per_sequence(codec, DIMENSION))
        found["bytes_per_residue"] = store.info()["bytes"]["residues"]["total"] / (proteins * LENGTH)
        found["of_its_own_size"] = store.info()["bytes"]["residues"]["total"] / own
    return found


def _some(rng: np.random.Generator, proteins: int, count: int) -> list[str]:
    return [f"P{i}" for i in rng.choice(proteins, count, replace=False)]


# --- Growth ------------------------------------------------------------------------------------------------


def growth(records: Sequence[Record]) -> dict[str, Any]:
    """Bytes of a database after many ingests of one protein each: as they leave it, and compacted by hand."""
    import protvec

    with tempfile.TemporaryDirectory() as scratch:
        db = protvec.create(Path(scratch) / "db", model="near")
        fasta = Path(scratch) / "one.fa"
        seconds = []
        for record in records:
            fasta.write_text(f">{record.id}\n{record.sequence}\n")
            seconds.append(_timed(lambda: db.ingest(fasta)))
        before = _bytes(db)
        db.store.compact()
        compacted = _bytes(db)
        db.store.compact(keep_seconds=0.0)
        after = _bytes(db)
        own = sum(len(sequence) for sequence in {record.sequence for record in records}) * db.store.bytes_per_residue
        own += len({record.sequence for record in records}) * db.store.bytes_per_sequence
        figures = {"before": before, "compacted": compacted, "after": after, "codec_own": own}
    tenth = max(1, len(seconds) // 10)
    return figures | {
        "ingests": len(records),
        "of_its_own_size": after["residues"]["total"] / own,
        "present_before": (before["residues"]["total"] - before["residues"]["old"]) / own,
        "first_ms": 1000 * float(np.median(seconds[:tenth])),
        "last_ms": 1000 * float(np.median(seconds[-tenth:])),
    }


def _bytes(db: Database) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = db.info()["bytes"]
    return found


# --- Overhead ----------------------------------------------------------------------------------------------


def overhead(records: Sequence[Record], *, rounds: int) -> dict[str, Any]:
    """Seconds, of the clock and of processors, of embedding alone and of an ingest of the same, in turn.

    A record whose sequence occurs again is embedded once in both. Commits are made beside the embedding of what comes
    next, so an ingest has no time of its own that could be taken without the other. On a shared machine the same work
    may take half as long again a minute later; so there is also the processor time for each second of the threads that
    embed, which are slowed down with everything else.
    """
    once = list({record.sequence: record for record in records}.values())
    _ingest(records[:5])  # warms up both
    turns = [_turn(once, records) for _ in range(rounds)]
    over = {
        clock: vars(Spread.of(turn["ingest"][clock] / turn["alone"][clock] - 1 for turn in turns))
        for clock in turns[0]["alone"]
    }
    return {"rounds": turns, "overhead": over, "residues": sum(len(record.sequence) for record in once)}


def _turn(once: Sequence[Record], records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Clocks of both; ``relative`` is CPU over that of the threads that embed, where the system tells threads apart."""
    before = _thread_seconds()
    alone = _clocks(lambda: _alone(once))
    between = _thread_seconds()
    ingest = _ingest(records)
    after = _thread_seconds()
    taken = {thread: between[thread] - before[thread] for thread in before.keys() & between.keys() & after.keys()}
    encoder = [thread for thread, seconds in taken.items() if seconds > 0.05 * alone["cpu"]]
    if encoder:
        alone["relative"] = alone["cpu"] / sum(taken[thread] for thread in encoder)
        ingest["relative"] = ingest["cpu"] / sum(after[thread] - between[thread] for thread in encoder)
    return {"alone": alone, "ingest": ingest}


def _thread_seconds() -> dict[str, float]:
    """What each thread of this process but the first has taken of processors; nothing where Linux's /proc is not."""
    found = {}
    for file in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # it has ended
            found[file.parent.name] = int(file.read_text().split()[0]) / 1e9
    found.pop(str(os.getpid()), None)
    return found


def _clocks(work: Any) -> dict[str, float]:  # noqa: ANN401
    before = time.process_time()
    wall = _timed(work)
    return {"wall": wall, "cpu": time.process_time() - before}


def _alone(records: Sequence[Record]) -> None:
    for _ in _embedded(records):
        pass


def _embedded(records: Sequence[Record]) -> Iterator[Matrix]:
    from protvec.engine.base import embed

    for embedding in embed(_near(), (record.sequence for record in records)):
        yield embedding.residues


def _near() -> Any:  # noqa: ANN401
    """The encoder of ``near``, loaded once in each process."""
    from protvec import engine
    from protvec.models import find

    if not _LOADED:
        _LOADED.append(engine.load(find("near")))
    return _LOADED[0]


_LOADED: list[Any] = []


def _ingest(records: Sequence[Record]) -> dict[str, float]:
    """Seconds of an ingest into a new database, from its file, the model being loaded already."""
    from protvec.database import Database
    from protvec.models import find
    from protvec.store import Store

    with tempfile.TemporaryDirectory() as scratch:
        database = Database(Store.create(Path(scratch) / "db", find("near").space), encoder=_near())
        fasta = Path(scratch) / "in.fa"
        fasta.write_text("".join(f">{record.id}\n{record.sequence}\n" for record in records))
        return _clocks(lambda: database.ingest(fasta))


# --- Memory: each in a process of its own ---------------------------------------------------------------------


def ingest_memory(records: Sequence[Record]) -> int:
    """Bytes that an ingest of these takes at its peak, model and libraries included."""
    forget_peak_memory()
    _ingest(records)
    return peak_memory()


def write_vectors(path: Path, *, proteins: int) -> None:
    """A database of that many proteins with made-up vectors."""
    from protvec.store import digest, protein_table

    store = _new_store(path, "none")
    rng = np.random.default_rng(0)
    for start in range(0, proteins, 5_000):
        texts = _sequences(min(5_000, proteins - start), seed=start)
        rows = [{"id": f"P{start + i}", "digest": digest(text), "sequence": text} for i, text in enumerate(texts)]
        store.write(protein_table(rows, rng.standard_normal((len(rows), DIMENSION), dtype=np.float32)), ())
    store.compact(keep_seconds=0.0)


def search_memory(path: Path) -> dict[str, float]:
    """Bytes that opening and searching it take at their peak, and milliseconds of a search."""
    import protvec

    forget_peak_memory()
    db = protvec.open(path)
    opened = peak_memory()
    rng = np.random.default_rng(2)
    queries = rng.standard_normal((12, DIMENSION), dtype=np.float32)
    times = [_timed(lambda: db.search_vector(query)) for query in queries]  # noqa: B023
    return {"opened": opened, "searched": peak_memory(), "ms": 1000 * float(np.median(times[2:]))}
