"""Two proteins, residue by residue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response

from protvec.search.query import parse_query
from protvec.server import answers
from protvec.server.asked_by import TheDatabase, WhoAsks
from protvec.server.asking import check_length
from protvec.server.schemas import AlignAnswer, AlignRequest
from protvec.server.served import Served

if TYPE_CHECKING:
    from protvec import Database
    from protvec.align import Paired


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["alignment"])
    routes.post("/align", response_model=AlignAnswer)(align)
    return routes


async def align(request: AlignRequest, served: TheDatabase, asking: WhoAsks) -> Response:
    """The best local alignment of two proteins: ids of the database, or sequences; and a picture of all residues."""
    asked = [request.query, request.target]
    for each in asked:
        await _check(each, served)

    def work(database: Database) -> Paired:
        return database.compare(request.query, request.target, dots=request.dots, profiles=request.profiles)

    return Response(answers.dumps(_plain(await served.in_turn(asking, work))), media_type=answers.JSON)


async def _check(asked: str, served: Served) -> None:
    """Refuse what cannot be aligned before it waits its turn.

    Raises:
        QueryError: it is neither an id nor a sequence.
        Problem: 413; it is too long.
    """
    if await served.db.contains(asked):
        check_length((await served.db.get(asked)).sequence, served.settings.limits)
    else:
        check_length(parse_query(asked).sequence, served.settings.limits)


def _plain(paired: Paired) -> dict[str, Any]:
    plain = paired.alignment.to_dict() | {
        "query": paired.names[0],
        "target": paired.names[1],
        "query_length": paired.lengths[0],
        "target_length": paired.lengths[1],
        "query_relatives": paired.relatives[0],
        "target_relatives": paired.relatives[1],
        "picture": paired.alignment.picture(*paired.names),
    }
    if paired.dots is None:
        return plain
    rows, columns = paired.dots.shape
    return plain | {
        "dot_plot": {
            "rows": rows,
            "columns": columns,
            "residues_per_row": -(-paired.lengths[0] // rows),
            "residues_per_column": -(-paired.lengths[1] // columns),
            "scores": paired.dots.round(2).tolist(),
        }
    }
