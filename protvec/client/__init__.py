"""A database behind a server, with the methods and the results of an open one.

It needs ``pip install 'protvec[client]'``.
"""

from __future__ import annotations

from protvec.client.asynchronous import AsyncClient
from protvec.client.sync import Client

__all__ = ["AsyncClient", "Client"]
