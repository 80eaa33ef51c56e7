"""The map of a database: every protein as a point in two dimensions."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from protvec.server import answers
from protvec.server.asked_by import TheDatabase
from protvec.server.schemas import MapAnswer

if TYPE_CHECKING:
    from protvec import Database
    from protvec.server.served import Served

_KEPT = 4  # colours of a database whose answers are kept
Color = Annotated[str | None, Query(description="Column that points are grouped by.", min_length=1, max_length=64)]
Encodings = Annotated[str, Header(alias="Accept-Encoding", include_in_schema=False)]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["map"])
    maps = Maps()

    async def points(served: TheDatabase, color: Color = None, encodings: Encodings = "") -> Response:
        """Where all proteins lie on the map that `protvec map` made; by PCA, made now, where it made none."""
        zipped = await maps.get(served, color)
        if "gzip" in encodings:
            return Response(zipped, media_type=answers.JSON, headers={"Content-Encoding": "gzip", "Vary": _VARY})
        content = await asyncio.to_thread(gzip.decompress, zipped)
        return Response(content, media_type=answers.JSON, headers={"Vary": _VARY})

    routes.get("/map", response_model=MapAnswer)(points)
    return routes


_VARY = "Accept-Encoding"


class Maps:
    """Answers, made once for each version of a database, its map and a colour; one is made at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None], tuple[object, bytes]] = {}
        self._making = asyncio.Lock()

    async def get(self, served: Served, color: str | None) -> bytes:
        """The answer, compressed.

        Raises:
            FilterError: there is no such column.
            QueryError: there are too few proteins.
        """
        key = served.name, color
        async with self._making:
            state = await served.db.call(_state)
            known = self._kept.pop(key, None)
            if known is None or known[0] != state:
                known = state, await served.db.call(lambda database: _made(database, color))
            self._kept[key] = known  # the last one asked for is given up last
            while sum(name == served.name for name, _ in self._kept) > _KEPT:
                del self._kept[next(each for each in self._kept if each[0] == served.name)]
            return known[1]


def _state(database: Database) -> object:
    return database.store.mark(), database.store.map_record


def _made(database: Database, color: str | None) -> bytes:
    """The map that is kept, with a place for what came since; nothing is written."""
    method = "pca" if database.store.map_record is None else "auto"
    chart = database.map(method, color=color, keep=False)
    return gzip.compress(answers.dumps(chart.to_dict()), compresslevel=5)
