"""What routes need of a request: the database that it names, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from protvec.server.schemas import A_DATABASE
from protvec.server.served import Asking, Served
from protvec.server.service import Service


async def service(request: Request) -> Service:
    """The service of the application."""
    found: Service = request.app.state.service
    return found


async def served(
    request: Request,
    db: Annotated[
        str, Path(description="Name of the database.", max_length=64, openapi_examples={"here": {"value": A_DATABASE}})
    ],
) -> Served:
    """The database that the address names."""
    return (await service(request)).database(db)


async def asking(request: Request) -> Asking:
    """Who asks, and whether they still wait."""

    async def wanted() -> bool:
        return not await request.is_disconnected()

    seconds = (await service(request)).settings.limits.seconds
    return Asking(request.scope.get("client_name", "unknown"), wanted=wanted, seconds=seconds)


TheService = Annotated[Service, Depends(service)]
TheDatabase = Annotated[Served, Depends(served)]
WhoAsks = Annotated[Asking, Depends(asking)]
