"""What searches: protvec, and what it is compared with, each behind the same few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Of the filter: rows whose taxid is 7, one of a hundred.
GROUPS, GROUP = 100, 7
# Of the filters of every selectivity: rows whose number, modulo 1,000, is below.
SHARES_OF, SHARES = 1_000, {"0.1%": 1, "1%": 10, "10%": 100, "50%": 500, "100%": 1_000}


class Engine:
    """One way to search: rows are numbers from 0.

    Attributes:
        any_share: Whether it takes the name of one of ``SHARES`` for a filter.
    """

    any_share = False

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:
        """Build it over the vectors; files go to the directory."""
        raise NotImplementedError

    def search(self, query: NDArray[np.float32], k: int, filtered: bool = False) -> list[int]:
        """Numbers of the nearest rows, best first."""
        raise NotImplementedError


class NumPy(Engine):
    """A product of a matrix and a vector."""

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:  # noqa: ARG002
        self.unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self.allowed = np.arange(len(vectors)) % GROUPS == GROUP

    def search(self, query: NDArray[np.float32], k: int, filtered: bool = False) -> list[int]:
        scores = self.unit @ (query / np.linalg.norm(query))
        if filtered:
            scores[~self.allowed] = -np.inf
        top = np.argpartition(-scores, k)[:k]
        return top[np.argsort(-scores[top])].tolist()


class Faiss(Engine):
    """FAISS's flat index."""

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:
        import faiss

        self.index = self.make(vectors.shape[1])
        step = 50_000
        for start in range(0, len(vectors), step):
            part = np.ascontiguousarray(vectors[start : start + step])
            faiss.normalize_L2(part := part.copy())
            self.index.add(part)
        if len(vectors) <= 300_000:  # what it takes on disk
            faiss.write_index(self.index, str(directory / "index.faiss"))
        selected = np.flatnonzero(np.arange(len(vectors)) % GROUPS == GROUP)
        self.selector = faiss.IDSelectorBatch(selected)

    def make(self, dimension: int) -> Any:  # noqa: ANN401
        import faiss

        return faiss.IndexFlatIP(dimension)

    def parameters(self) -> Any:  # noqa: ANN401
        import faiss

        return faiss.SearchParameters(sel=self.selector)

    def search(self, query: NDArray[np.float32], k: int, filtered: bool = False) -> list[int]:
        unit = (query / np.linalg.norm(query))[None]
        options = {"params": self.parameters()} if filtered else {}
        return self.index.search(unit, k, **options)[1][0].tolist()


class FaissHnsw(Faiss):
    """FAISS's HNSW, 32 links, 40 and 64 candidates."""

    def make(self, dimension: int) -> Any:  # noqa: ANN401
        import faiss

        index = faiss.IndexHNSWFlat(dimension, 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efSearch = 64
        return index

    def parameters(self) -> Any:  # noqa: ANN401
        import faiss

        return faiss.SearchParametersHNSW(sel=self.selector, efSearch=64)


class Hnswlib(Engine):
    """hnswlib with 16 links, 200 and 64 candidates."""

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="cosine", dim=vectors.shape[1])
        self.index.init_index(max_elements=len(vectors), ef_construction=200, M=16)
        self.index.add_items(vectors)
        self.index.set_ef(64)
        self.index.save_index(str(directory / "index.hnsw"))

    def search(self, query: NDArray[np.float32], k: int, filtered: bool = False) -> list[int]:
        options = {"filter": lambda row: row % GROUPS == GROUP} if filtered else {}
        return self.index.knn_query(query, k, num_threads=1, **options)[0][0].tolist()


class LanceDB(Engine):
    """LanceDB used plainly: a table, and no index."""

    indexed = False

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:
        import lancedb
        import pyarrow as pa

        def batches() -> Any:  # noqa: ANN401
            for start in range(0, len(vectors), 10_000):
                part = vectors[start : start + 10_000]
                rows = pa.array(np.arange(start, start + len(part)))
                column = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), vectors.shape[1])
                taxid = pa.array(np.arange(start, start + len(part)) % GROUPS)
                yield pa.record_batch({"row": rows, "taxid": taxid, "vector": column})

        schema = next(batches()).schema
        self.table = lancedb.connect(directory).create_table("t", batches(), schema=schema)
        if self.indexed:
            self.table.create_index(metric="cosine")

    def search(self, query: NDArray[np.float32], k: int, filtered: bool = False) -> list[int]:
        asked = self.table.search(query).distance_type("cosine").limit(k).select(["row", "_distance"])
        if filtered:
            asked = asked.where(f"taxid = {GROUP}")
        return asked.to_arrow()["row"].to_pylist()


class LanceDBIndexed(LanceDB):
    """LanceDB with the index that it makes by default."""

    indexed = True


class Protvec(Engine):
    """``Database.search_vector`` of an open database, with its usual columns and E-values, and 2 GiB for searches."""

    any_share = True
    kind: str | None = None

    def __init__(self, vectors: NDArray[np.float32], directory: Path) -> None:
        from protvec import Database
        from protvec.space import Space
        from protvec.store import Store, digest, protein_table

        space = Space("synthetic", "lab/synthetic", "0" * 40, "0" * 64, vectors.shape[1])
        store = Store.create(directory / "db", space, codec="none")
        for start in range(0, len(vectors), 20_000):
            part = vectors[start : start + 20_000]
            rows = [
                {
                    "id": f"P{i:08d}",
                    "digest": digest(f"{i}"),  # samples are taken by it
                    "sequence": "MKV",
                    "description": f"protein {i}",
                    "taxid": i % SHARES_OF,
                    "gene": f"G{i // 3}",
                }
                for i in range(start, start + len(part))
            ]
            store.write(protein_table(rows, part), ())
        if self.kind:
            store.index(self.kind)
        self.database = Database(store)
        for _ in range(5):  # an open database has answered before
            self.search(vectors[0], 10)

    def search(self, query: NDArray[np.float32], k: int, filtered: bool | str = False) -> list[int]:
        return [int(name[1:]) for name in self.database.search_vector(query, k=k, where=_where(filtered)).ids]


def _where(filtered: bool | str) -> str | None:
    if isinstance(filtered, str):
        return f"taxid < {SHARES[filtered]}"
    return f"taxid IN ({', '.join(map(str, range(GROUP, SHARES_OF, GROUPS)))})" if filtered else None


class ProtvecIds(Protvec):
    """The same search for ids and scores alone, which is what the others give."""

    def search(self, query: NDArray[np.float32], k: int, filtered: bool | str = False) -> list[int]:
        found = self.database.store.search(query, k=k, where=_where(filtered), columns=[])
        return [int(name[1:]) for name in found["id"].to_pylist()]


class ProtvecIndexed(Protvec):
    """With an index of vectors tuned to 0.98, as a database has it that does not fit the memory."""

    kind = "ivf_sq"


ENGINES: dict[str, type[Engine]] = {
    "numpy": NumPy,
    "protvec": Protvec,
    "protvec ids": ProtvecIds,
    "protvec ivf_sq": ProtvecIndexed,
    "faiss flat": Faiss,
    "faiss hnsw": FaissHnsw,
    "hnswlib": Hnswlib,
    "lancedb": LanceDB,
    "lancedb index": LanceDBIndexed,
}
PEERS = {"faiss flat": "faiss", "faiss hnsw": "faiss", "hnswlib": "hnswlib"}  # what must be installed
