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

_KEPT = 4  # answers that are kept of a database
Color = Annotated[str | None, Query(description="Column that points are grouped by.", min_length=1, max_length=64)]
Accept = Annotated[str, Header(description="JSON by default; or an Arrow stream, with the numbers as they are.")]
Encodings = Annotated[str, Header(alias="Accept-Encoding", include_in_schema=False)]


def router() -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/api/v1/databases/{db}", tags=["map"])
    maps = Maps()

    async def points(
        served: TheDatabase, color: Color = None, accept: Accept = answers.JSON, encodings: Encodings = ""
    ) -> Response:
        """Where all proteins lie on the map that `protvec map` made; by PCA, made now, where it made none."""
        form = answers.ARROW if answers.ARROW in accept else answers.JSON
        zipped = await maps.get(served, color, form)
        if "gzip" in encodings:
            return Response(zipped, media_type=form, headers={"Content-Encoding": "gzip", "Vary": _VARY})
        content = await asyncio.to_thread(gzip.decompress, zipped)
        return Response(content, media_type=form, headers={"Vary": _VARY})

    routes.get("/map", response_model=MapAnswer, responses={200: {"content": {answers.ARROW: {}}}})(points)
    return routes


_VARY = "Accept, Accept-Encoding"


class Maps:
    """Answers, made once for each version of a database, its map, a colour and a form; one is made at a time."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str | None, str], tuple[object, bytes]] = {}
        self._making = asyncio.Lock()

    async def get(self, served: Served, color: str | None, form: str) -> bytes:
        """The answer, compressed.

        Raises:
            FilterError: there is no such column.
            QueryError: there are too few proteins.
        """
        key = served.name, color, form
        async with self._making:
            state = await served.db.call(_state)
            known = self._kept.pop(key, None)
            if known is None or known[0] != state:
                known = state, await served.db.call(lambda database: _made(database, color, form))
            self._kept[key] = known  # the last one asked for is given up last
            while sum(name == served.name for name, *_ in self._kept) > _KEPT:
                del self._kept[next(each for each in self._kept if each[0] == served.name)]
            return known[1]


def _state(database: Database) -> object:
    return database.store.mark(), database.store.map_record


def _made(database: Database, color: str | None, form: str) -> bytes:
    """The map that is kept, with a place for what came since; nothing is written."""
    method = "pca" if database.store.map_record is None else "auto"
    chart = database.map(method, color=color, keep=False)
    content = answers.chart_as_arrow(chart) if form == answers.ARROW else answers.dumps(chart.to_dict())
    return gzip.compress(content, compresslevel=5)
