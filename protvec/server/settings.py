"""What a server serves, to whom, and how much of it at once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, TypedDict

from protvec.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHORTEST_KEY = 16


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request, and all of them, may ask for. What is beyond gets a 4xx, or 503 and ``Retry-After``.

    Attributes:
        body_bytes: Of a request's body.
        sequence_length: Residues of a sequence that is embedded.
        k: Hits of a query.
        candidates: Proteins that are aligned for a query.
        profiles: Hits of a query that are aligned by profiles, each of which takes a search.
        ids: Ids of one request.
        batch: Queries of one request that is answered at once; what is longer has to be a job.
        job_queries: Queries of a job.
        jobs: Jobs that wait or run, of all clients.
        concurrency: Requests in work.
        queue: Queries that wait to be embedded or aligned.
        embedding: Queries that are embedded or aligned at once.
        seconds: Time for a query, its waiting included.
        residue_values: Numbers in one answer of residue arrays.
        where_length: Characters of a condition.
        keep_days: How long the result of a job is kept.
    """

    body_bytes: int = 16 << 20
    sequence_length: int = 10_000
    k: int = 1000
    candidates: int = 1000
    profiles: int = 50
    ids: int = 1000
    batch: int = 100
    job_queries: int = 100_000
    jobs: int = 100
    concurrency: int = 256
    queue: int = 64
    embedding: int = 1
    seconds: float = 60.0
    residue_values: int = 50_000_000
    where_length: int = 4000
    keep_days: float = 7.0

    def __post_init__(self) -> None:
        for each in fields(self):
            if getattr(self, each.name) <= 0:
                raise ServerError(f"the limit {each.name} is {getattr(self, each.name)}: it must be above 0")


@dataclass(frozen=True)
class Key:
    """Who may ask.

    Attributes:
        name: In logs.
        digest: SHA-256 of the key.
    """

    name: str
    digest: bytes

    @classmethod
    def of(cls, name: str, secret: str) -> Self:
        """The key of a secret, which is not kept."""
        return cls(name, hashlib.sha256(secret.encode()).digest())


def read_keys(file: Path) -> tuple[Key, ...]:
    """The keys of a file: a name and a key on each line; ``#`` begins a comment.

    Raises:
        ServerError: it cannot be read, or a line is not so; the key is not repeated.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise ServerError(f"{file}: cannot be read: {reason}") from None
    keys: dict[str, Key] = {}
    for number, line in enumerate(lines, start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or not _NAME.fullmatch(words[0]):
            raise ServerError(f"{file}:{number}: needs a name and a key, with a blank between them")
        if len(words[1]) < _SHORTEST_KEY:
            raise ServerError(f"{file}:{number}: a key has at least {_SHORTEST_KEY} characters: openssl rand -hex 32")
        if words[0] in keys:
            raise ServerError(f"{file}:{number}: a second key is named {words[0]!r}")
        keys[words[0]] = Key.of(*words)
    if not keys:
        raise ServerError(f"{file}: there is no key in it")
    return tuple(keys.values())


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a server serves, and to whom.

    Attributes:
        databases: Where each is, by name.
        limits: How much may be asked for.
        keys: Whoever has one of them may ask; empty for everybody.
        cors: Origins whose pages may ask from a browser; ``*`` for all.
        hosts: Names that the server answers to; empty for any. Those of loopback are among them by themselves.
        allow_write: Whether ingests are taken.
        state: A directory for jobs, which then outlive the server; None for one that goes with it.
        models: Whether sequences are embedded; without, proteins that are stored and vectors can be searched with.
        page: Whether the page is served at ``/``.
        storage_options: For databases in an object store.
        search_memory: As for ``protvec.open``.
        workers: Threads for each database.
        offline: Never fetch weights.
        threads: At most so many to embed and to align with.
        precision: As for ``protvec.open``.
        metrics: A directory in which several processes count together; None for one process.
    """

    databases: Mapping[str, str | Path]
    limits: Limits = field(default_factory=Limits)
    keys: Sequence[Key] = ()
    cors: Sequence[str] = ()
    hosts: Sequence[str] = ()
    allow_write: bool = False
    state: Path | None = None
    models: bool = True
    page: bool = True
    storage_options: Mapping[str, str] | None = None
    search_memory: int | None = None
    workers: int = 4
    offline: bool = True
    threads: int | None = None
    precision: str = "auto"
    metrics: Path | None = None

    def __post_init__(self) -> None:
        if not self.databases:
            raise ServerError("there is no database to serve")
        for name in self.databases:
            if not _NAME.fullmatch(name):
                raise ServerError(f"{name!r} cannot name a database in an address: letters, digits, . _ -, at most 64")
        for origin in self.cors:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ServerError(f"{origin!r} is no origin, such as https://example.org")


class ServerOptions(TypedDict, total=False):
    """The fields of ``ServerSettings`` but the databases, as keywords of ``create_app``."""

    limits: Limits
    keys: Sequence[Key]
    cors: Sequence[str]
    hosts: Sequence[str]
    allow_write: bool
    state: Path | None
    models: bool
    page: bool
    storage_options: Mapping[str, str] | None
    search_memory: int | None
    workers: int
    offline: bool
    threads: int | None
    precision: str
    metrics: Path | None
