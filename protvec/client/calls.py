"""What a client asks: for each method of an open database the request that it is, and what its answer becomes."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from protvec.align import Alignment, Paired
from protvec.database.options import AlignedOptions, SearchOptions, check_names
from protvec.database.protein import Protein
from protvec.errors import QueryError
from protvec.fasta import Record
from protvec.search import Hits, Query
from protvec.store import IndexUse, matrix_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray
    from typing_extensions import Unpack

    from protvec.database.options import HitOptions
    from protvec.projection import Chart

T = TypeVar("T")

ARROW = "application/vnd.apache.arrow.stream"
_METADATA_KEY = b"protvec.hits"
_CHART_KEY = b"protvec.chart"


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        method: Of HTTP.
        path: After the address of the database.
        read: Makes the result of the body of the answer.
        json: The body.
        accept: The form of the answer.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    json: Mapping[str, Any] | None = None
    accept: str = "application/json"


def search(query: str | Query | Record, *, exclude_self: bool = False, **options: Unpack[AlignedOptions]) -> Call[Hits]:
    """The proteins most like a sequence: see ``Database.search``."""
    asked: dict[str, Any] = {"sequence": query if isinstance(query, str) else query.sequence}
    if isinstance(query, Record) or (isinstance(query, Query) and query.named):
        asked["query"] = query.id
    return _search(asked | {"exclude_self": exclude_self} | _given(options, AlignedOptions))


def search_id(id: str, *, exclude_self: bool = False, **options: Unpack[AlignedOptions]) -> Call[Hits]:
    """The proteins most like one of the database: see ``Database.search_id``."""
    return _search({"id": id, "exclude_self": exclude_self} | _given(options, AlignedOptions))


def search_vector(vector: ArrayLike, *, query: str = "vector", **options: Unpack[SearchOptions]) -> Call[Hits]:
    """The proteins whose vectors are nearest to a vector: see ``Database.search_vector``."""
    return _search({"vector": _numbers(vector), "query": query} | _given(options, SearchOptions))


def search_like(ids: Sequence[str], *, unlike: Sequence[str] = (), **options: Unpack[SearchOptions]) -> Call[Hits]:
    """The proteins most like several of the database, and unlike others: see ``Database.search_like``."""
    return _search({"like": list(ids), "unlike": list(unlike)} | _given(options, SearchOptions))


def search_text(
    text: str, *, k: int = 10, where: str | None = None, columns: Sequence[str] | None = None
) -> Call[Hits]:
    """The proteins whose ids, genes and descriptions match a text best: see ``Database.search_text``."""
    return _search({"text": text} | _given({"k": k, "where": where, "columns": columns}, SearchOptions))


def get(id: str) -> Call[Protein]:
    """One protein by id: see ``Database.get``."""
    return Call("POST", "/proteins", lambda body: _proteins(body)[0], {"ids": [id], "vector": True})


def get_many(ids: Sequence[str]) -> Call[list[Protein]]:
    """Several proteins by id, in the order of the ids: see ``Database.get_many``."""
    return Call("POST", "/proteins", _proteins, {"ids": list(ids), "vector": True})


def residues(id: str) -> Call[NDArray[np.float32]]:
    """The per-residue array of one protein, shape (L, D): see ``Database.residues``."""
    return Call("GET", f"/residues/{quote(id, safe='')}?format=npy", _npy, accept="application/x-npy")


def residues_many(ids: Sequence[str]) -> Call[dict[str, NDArray[np.float32]]]:
    """The per-residue arrays of several proteins by id: see ``Database.residues_many``."""
    return Call("POST", "/residues", _arrays, {"ids": list(dict.fromkeys(ids))}, ARROW)


def align(
    query: str | Query | Record, target: str | Query | Record, *, profiles: bool | None = None
) -> Call[Alignment]:
    """The best local alignment of two proteins, ids of the database or sequences: see ``Database.align``."""
    asked = _pair(query, target) | _profiles(profiles)
    return Call("POST", "/align", lambda body: _paired(body).alignment, asked)


def compare(
    query: str | Query | Record, target: str | Query | Record, *, dots: int | None = None, profiles: bool | None = None
) -> Call[Paired]:
    """As ``align``, with what a picture of it needs: see ``Database.compare``."""
    asked = _pair(query, target) | ({} if dots is None else {"dots": dots}) | _profiles(profiles)
    return Call("POST", "/align", _paired, asked)


def _profiles(wanted: bool | None) -> dict[str, Any]:
    return {} if wanted is None else {"profiles": wanted}


def map(*, color: str | None = None) -> Call[Chart]:  # noqa: A001  # as Database calls it
    """Every protein on the map that the database has, by PCA where it has none: see ``Database.map``."""
    asked = "" if color is None else f"?color={quote(color, safe='')}"
    return Call("GET", f"/map{asked}", _chart, accept=ARROW)


def info() -> Call[dict[str, Any]]:
    """What the database holds, as the server tells it: docs/server.md."""
    return Call("GET", "", _json)


def _search(asked: dict[str, Any]) -> Call[Hits]:
    return Call("POST", "/search", _hits, asked, ARROW)


def _given(options: Mapping[str, Any], among: type[HitOptions]) -> dict[str, Any]:
    """The options of a search, as JSON has them.

    Raises:
        TypeError: the search has no such option.
        QueryError: a scoring of alignments, which a server does not take.
    """
    check_names(options, among)
    if not isinstance(options.get("align", False), bool):
        raise QueryError("a server aligns as suits its model: align=True")
    given = {name: list(value) if name == "columns" and value else value for name, value in options.items()}
    return {name: value for name, value in given.items() if value is not None}


def _numbers(vector: ArrayLike) -> list[float]:
    import numpy as np

    values = np.asarray(vector, dtype=np.float32)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise QueryError(f"a vector of shape {values.shape}, or one that is not finite: it has to be D numbers")
    numbers: list[float] = values.tolist()
    return numbers


def _pair(query: str | Query | Record, target: str | Query | Record) -> dict[str, Any]:
    one, two = (each if isinstance(each, str) else each.sequence for each in (query, target))
    return {"query": one, "target": two}


def _json(body: bytes) -> Any:  # noqa: ANN401  # whatever the server says
    import json

    return json.loads(body)


def _table(body: bytes) -> pa.Table:
    import pyarrow as pa

    with pa.ipc.open_stream(body) as stream:
        return stream.read_all()


def _hits(body: bytes) -> Hits:
    table = _table(body)
    about = _json(table.schema.metadata[_METADATA_KEY])
    known = {each.name for each in fields(IndexUse)}
    index = IndexUse(**{name: value for name, value in about["index"].items() if name in known})
    alignments = [Alignment(**each) for each in about["alignments"]]
    return Hits(about["query"], table.replace_schema_metadata(None), index, alignments, chance=about["chance"])


def _chart(body: bytes) -> Chart:
    import numpy as np

    from protvec.projection.chart import Chart
    from protvec.projection.groups import Group, Groups
    from protvec.store import MapRecord

    table = _table(body)
    ids, x, y, placed, members = table.columns[:5]
    about = _json(table.schema.metadata[_CHART_KEY])
    known = {each.name for each in fields(MapRecord)}
    return Chart(
        record=MapRecord(**{name: value for name, value in about["record"].items() if name in known}),
        ids=ids.to_pylist(),
        coordinates=np.column_stack([x.to_numpy(), y.to_numpy()]),
        placed=placed.to_numpy(),
        metadata=table.select([*range(5, table.num_columns)]).replace_schema_metadata(None),
        column=about["column"],
        groups=Groups([Group(**each) for each in about["groups"]], members.to_numpy()),
    )


def _proteins(body: bytes) -> list[Protein]:
    import numpy as np

    return [
        Protein(row.pop("id"), row.pop("sequence"), np.array(row.pop("vector"), np.float32), row) for row in _json(body)
    ]


def _npy(body: bytes) -> NDArray[np.float32]:
    import numpy as np

    array: NDArray[np.float32] = np.load(io.BytesIO(body), allow_pickle=False)
    return array


def _arrays(body: bytes) -> dict[str, NDArray[np.float32]]:
    table = _table(body).combine_chunks()
    arrays = (matrix_of(each.values) for each in table["residues"])
    return dict(zip(table["id"].to_pylist(), arrays, strict=True))


def _paired(body: bytes) -> Paired:
    import numpy as np

    found = _json(body)
    alignment = Alignment(**{each.name: found[each.name] for each in fields(Alignment)})
    dots = found.get("dot_plot")
    return Paired(
        (found["query"], found["target"]),
        (found["query_length"], found["target_length"]),
        alignment,
        None if dots is None else np.array(dots["scores"], np.float32),
        (found["query_relatives"], found["target_relatives"]),
    )
