"""Proteins by id, their vectors and their residues. An id comes last in an address: it may hold any letter."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from protvec.server import answers
from protvec.server.asked_by import TheDatabase
from protvec.server.problems import Problem
from protvec.server.schemas import AN_ID, ProteinAnswer, ProteinsRequest
from protvec.server.served import Served
from protvec.store.arrays import Residues, record_batch
from protvec.store.schema import vector_column

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from protvec import Database, Protein

NPY = "application/x-npy"
Id = Annotated[
    str,
    Path(
        description="Id of a protein, each byte of it as in the file.",
        min_length=1,
        max_length=1000,
        openapi_examples={"here": {"value": AN_ID}},
    ),
]
ArrayFormat = Annotated[
    Literal["json", "npy", "arrow"], Query(description="JSON, a file of NumPy, or an Arrow stream.")
]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["proteins"])
    arrays: dict[int | str, dict[str, Any]] = {
        200: {"content": {answers.JSON: {}, NPY: {}, answers.ARROW: {}}, "description": "The array."}
    }
    routes.post("/proteins", response_model=list[ProteinAnswer])(proteins)
    routes.post("/residues", response_class=Response, responses=_ARROW)(residues_of_many)
    routes.get("/proteins/{id:path}", response_model=ProteinAnswer)(protein)
    routes.get("/vectors/{id:path}", response_class=Response, responses=arrays)(vector)
    routes.get("/residues/{id:path}", response_class=Response, responses=arrays)(residues)
    return routes


_ARROW: dict[int | str, dict[str, Any]] = {
    200: {"content": {answers.ARROW: {}}, "description": "Columns id, digest, length and residues."}
}


async def proteins(request: ProteinsRequest, served: TheDatabase) -> Response:
    """Several proteins, in the order of their ids."""
    check_number(request.ids, served)
    found = await served.db.get_many(request.ids)
    return Response(answers.dumps([_plain(each, request.vector) for each in found]), media_type=answers.JSON)


async def protein(id: Id, served: TheDatabase, vector: bool = False) -> Response:
    """One protein: its sequence, what its header says, and the columns that users added."""
    found = await served.db.get(id)
    return Response(answers.dumps(_plain(found, vector)), media_type=answers.JSON)


async def vector(id: Id, served: TheDatabase, format: ArrayFormat = "json") -> Response:
    """The vector of a protein, shape (D,): the mean over its residues."""
    return await _array((await served.db.get(id)).vector, id, format)


async def residues(id: Id, served: TheDatabase, format: ArrayFormat = "json") -> Response:
    """The residues of a protein, shape (L, D)."""
    check_residues(served, [(await served.db.get(id)).sequence])
    return await _array(await served.db.residues(id), id, format)


async def residues_of_many(request: ProteinsRequest, served: TheDatabase) -> Response:
    """The residues of several proteins as an Arrow stream, a row for each id, in their order."""
    check_number(request.ids, served)
    known = await served.db.get_many(request.ids)
    check_residues(served, [each.sequence for each in known])

    def stream(database: Database) -> bytes:
        import pyarrow as pa

        found = database.residues_many(request.ids)
        digests = {protein.id: protein.metadata["digest"] for protein in known}
        rows = [Residues(each, digests[each], found[each]) for each in request.ids]
        return answers.arrow_stream(pa.Table.from_batches([record_batch(rows, database.store.space.dimension)]))

    return Response(await served.db.call(stream), media_type=answers.ARROW)


def check_number(ids: list[str], served: Served) -> None:
    """Refuse too many ids.

    Raises:
        Problem: 413.
    """
    most = served.settings.limits.ids
    if len(ids) > most:
        raise Problem(413, "too_many", f"{len(ids):,} ids: {most:,} at most in a request")


def check_residues(served: Served, sequences: list[str]) -> None:
    """Refuse arrays that together are too large.

    Raises:
        Problem: 413.
    """
    values = sum(map(len, sequences)) * served.db.database.store.space.dimension
    if values > served.settings.limits.residue_values:
        most = served.settings.limits.residue_values
        raise Problem(413, "too_many", f"the arrays have {values:,} numbers: {most:,} at most in an answer")


def _plain(protein: Protein, vector: bool) -> dict[str, Any]:
    return protein.to_dict(vector=vector)


async def _array(array: NDArray[np.float32], id: str, format: str) -> Response:
    made, media_type = await asyncio.to_thread(_encoded, array, id, format)
    return Response(made, media_type=media_type)


def _encoded(array: NDArray[np.float32], id: str, format: str) -> tuple[bytes, str]:
    import numpy as np

    if format == "npy":
        stream = io.BytesIO()
        np.save(stream, array)
        return stream.getvalue(), NPY
    if format == "arrow":
        import pyarrow as pa

        named = {"vector": pa.array(array)} if array.ndim == 1 else {"residues": vector_column(array)}
        return answers.arrow_stream(pa.table(named)), answers.ARROW
    shape = {"id": id, "shape": list(array.shape), "dtype": str(array.dtype)}
    return answers.dumps(shape | {"values": array.tolist()}), answers.JSON
