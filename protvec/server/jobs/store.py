"""Jobs on the disk, so that they outlive the process: SQLite beside a file of results for each."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from protvec.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UPLOAD = "upload.fa"
ACTIVE = ("queued", "running")
# A process that has not said for so long that it works on a job is taken to be gone.
SILENCE_SECONDS = 15.0

_TABLE = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, kind TEXT NOT NULL, database TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL, done INTEGER NOT NULL, total INTEGER, error TEXT, created REAL NOT NULL, started REAL,
    ended REAL, owner TEXT, beat REAL, cancel INTEGER NOT NULL
)
"""


@dataclass(frozen=True)
class Job:
    """One job.

    Attributes:
        id: Its name.
        client: Whose it is.
        kind: ``search`` or ``ingest``.
        database: Name of the database.
        request: What was asked, as JSON.
        state: ``queued``, ``running``, ``done``, ``failed`` or ``cancelled``.
        done: Queries answered, or proteins stored.
        total: Of how many; None where that is not known.
        error: The problem of a failed one, as JSON.
        created: When it came, in seconds since 1970.
        started: When it was begun first.
        ended: When it ended.
        owner: The process that works on it.
        beat: When that process last said so.
        cancel: Whether it is to stop.
    """

    id: str
    client: str
    kind: str
    database: str
    request: str
    state: str
    done: int
    total: int | None
    error: str | None
    created: float
    started: float | None
    ended: float | None
    owner: str | None
    beat: float | None
    cancel: int

    @property
    def asked(self) -> dict[str, Any]:
        """The request."""
        values: dict[str, Any] = json.loads(self.request)
        return values


_COLUMNS = ", ".join(each.name for each in fields(Job))


class JobStore:
    """The jobs of a server; several processes may share one.

    Attributes:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        """Open or make a folder of jobs, for nobody else to read.

        Raises:
            ServerError: it cannot be made.
        """
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / "files").mkdir(mode=0o700, exist_ok=True)
            with self._open() as db:
                db.execute("PRAGMA journal_mode=WAL")
                db.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise ServerError(f"{folder}: jobs cannot be kept there: {error}") from None

    def add(
        self,
        *,
        client: str,
        kind: str,
        database: str,
        request: dict[str, Any],
        upload: bytes | None,
        total: int | None,
    ) -> Job:
        """A new job, which waits; what was sent with it is on the disk before anybody can take it."""
        text = json.dumps(request)
        job = Job(
            uuid4().hex, client, kind, database, text, "queued", 0, total, None, time.time(), None, None, None, None, 0
        )
        (self.folder / "files" / job.id).mkdir(mode=0o700)
        if upload is not None:
            self.file(job, UPLOAD).write_bytes(upload)
        with self._open() as db:
            db.execute(
                f"INSERT INTO job ({_COLUMNS}) VALUES ({', '.join('?' * len(fields(Job)))})",  # noqa: S608
                tuple(asdict(job).values()),
            )
        return job

    def get(self, id: str) -> Job | None:
        """One by name; None where there is none."""
        return next(iter(self._select("id = ?", id)), None)

    def of(self, client: str) -> list[Job]:
        """Those of a client, the latest first."""
        return self._select("client = ? ORDER BY created DESC", client)

    def active(self) -> int:
        """How many wait or run."""
        return len(self._select("state IN ('queued', 'running')"))

    def file(self, job: Job, name: str = "result.ndjson") -> Path:
        """A file of a job."""
        return self.folder / "files" / job.id / name

    def claim(self, owner: str) -> Job | None:
        """The job that has waited longest, or one whose process is gone; it is the caller's now."""
        now = time.time()
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            found = db.execute(
                f"SELECT {_COLUMNS} FROM job WHERE state = 'queued' OR (state = 'running' AND beat < ?) "  # noqa: S608
                "ORDER BY created LIMIT 1",
                (now - SILENCE_SECONDS,),
            ).fetchone()
            if found is None:
                return None
            db.execute(
                "UPDATE job SET state = 'running', owner = ?, beat = ?, started = coalesce(started, ?) WHERE id = ?",
                (owner, now, now, found[0]),
            )
        return self.get(found[0])

    def beat(self, job: Job, owner: str, done: int, total: int | None) -> bool:
        """Say that work goes on; whether it is to go on."""
        with self._open() as db:
            changed = db.execute(
                "UPDATE job SET beat = ?, done = ?, total = ? WHERE id = ? AND owner = ? AND state = 'running'",
                (time.time(), done, total, job.id, owner),
            ).rowcount
        found = self.get(job.id)
        return bool(changed) and found is not None and not found.cancel

    def finish(self, job: Job, owner: str, state: str, *, done: int, error: dict[str, Any] | None = None) -> None:
        """End a job that is still the owner's; ``queued`` gives it back."""
        text = None if error is None else json.dumps(error)
        ended = None if state == "queued" else time.time()
        with self._open() as db:
            db.execute(
                "UPDATE job SET state = ?, done = ?, error = ?, ended = ?, owner = NULL WHERE id = ? AND owner = ?",
                (state, done, text, ended, job.id, owner),
            )

    def cancel(self, job: Job) -> None:
        """Have a job stop; one that waits has ended at once."""
        with self._open() as db:
            db.execute("UPDATE job SET cancel = 1 WHERE id = ?", (job.id,))
            db.execute(
                "UPDATE job SET state = 'cancelled', ended = ? WHERE id = ? AND state = 'queued'", (time.time(), job.id)
            )

    def remove(self, job: Job) -> None:
        """Forget a job and its files."""
        with self._open() as db:
            db.execute("DELETE FROM job WHERE id = ?", (job.id,))
        shutil.rmtree(self.folder / "files" / job.id, ignore_errors=True)

    def sweep(self, *, days: float) -> None:
        """Forget jobs that ended so many days ago."""
        for job in self._select("ended < ?", time.time() - days * 86400):
            self.remove(job)

    def _select(self, condition: str, *values: object) -> list[Job]:
        with self._open() as db:
            rows = db.execute(f"SELECT {_COLUMNS} FROM job WHERE {condition}", values).fetchall()  # noqa: S608
        return [Job(*row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: calls come from many threads."""
        db = sqlite3.connect(self.folder / "jobs.sqlite3", timeout=30, isolation_level=None)
        try:
            yield db
            if db.in_transaction:
                db.execute("COMMIT")
        finally:
            db.close()
