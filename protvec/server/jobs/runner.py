"""Does the jobs of one process, one after another: what was done is kept, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sqlite3
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from protvec.errors import IngestInterrupted
from protvec.ingest import Observer
from protvec.server import batch
from protvec.server.answers import dumps
from protvec.server.jobs.store import UPLOAD
from protvec.server.problems import body, hidden, problem_of
from protvec.server.served import Asking

if TYPE_CHECKING:
    from pathlib import Path

    from protvec import Report
    from protvec.server.jobs.store import Job, JobStore
    from protvec.server.service import Service

_LOG = logging.getLogger("protvec.server.jobs")
_LOOK_SECONDS = 2.0
_BEAT_SECONDS = 1.0


class _Stopped(Exception):  # noqa: N818  # no error: it is to stop, or somebody else has taken it over
    """The job is not to go on."""


class Runner:
    """Takes jobs from a store and does them.

    Attributes:
        store: The jobs.
    """

    def __init__(self, service: Service, store: JobStore) -> None:
        self.store = store
        self._service = service
        self._owner = uuid4().hex
        self._came = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look for jobs."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop at the next step; what is not done waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """A job came."""
        self._came.set()

    async def _run(self) -> None:
        while True:
            try:
                while job := await asyncio.to_thread(self.store.claim, self._owner):
                    await self._do(job)
                await asyncio.to_thread(self.store.sweep, days=self._service.settings.limits.keep_days)
            except (OSError, sqlite3.Error):  # a full disk, say: jobs go on when there is room again
                _LOG.exception("jobs cannot be looked at")
            self._came.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._came.wait(), _LOOK_SECONDS)

    async def _do(self, job: Job) -> None:
        """Do a job, and say how it ended."""
        work = _Work(job, self.store, self._service, self._owner)
        _LOG.info("job begins", extra={"job": job.id, "kind": job.kind, "client": job.client})
        state, error = "done", None
        try:
            await (work.search() if job.kind == "search" else work.ingest())
        except asyncio.CancelledError:  # the server ends
            self.store.finish(job, self._owner, "queued", done=work.done)
            raise
        except (_Stopped, IngestInterrupted):
            state = "cancelled"
        except Exception as failure:  # whatever it is, the next job is to be done
            problem = problem_of(failure, hide=work.hide)
            state, error = "failed", body(problem.status_code, problem.code, problem.detail)
        await asyncio.to_thread(self.store.finish, job, self._owner, state, done=work.done, error=error)
        _LOG.info("job ends", extra={"job": job.id, "state": state, "done": work.done})


class _Work:
    """One job being done."""

    def __init__(self, job: Job, store: JobStore, service: Service, owner: str) -> None:
        self.job = job
        self.done = 0
        self.hide = service.hidden | {str(store.file(job, UPLOAD)): UPLOAD}
        self._store = store
        self._service = service
        self._owner = owner
        self._beaten = 0.0

    async def search(self) -> None:
        """Answer queries, after those that were answered already."""
        asked = self.job.asked
        served = self._service.database(self.job.database)
        queries = batch.Queries(ids=tuple(asked["ids"]))
        if not asked["ids"]:
            content = await asyncio.to_thread(self._store.file(self.job, UPLOAD).read_bytes)
            queries = await asyncio.to_thread(batch.parse_fasta, content, served.settings.limits)
        result = self._store.file(self.job)
        self.done = await asyncio.to_thread(_whole_lines, result)
        asking = Asking(f"job of {self.job.client}", patient=True)
        with result.open("ab") as file:
            await self._beat(len(queries), now=True)
            async for lines in batch.lines(served, queries.after(self.done), asked["options"], asking, hide=self.hide):
                await self._beat(len(queries))  # before: who was silent for long may have lost the job
                file.write(b"".join(lines))
                file.flush()
                self.done += len(lines)
        await self._beat(len(queries), now=True)

    async def ingest(self) -> None:
        """Store the proteins of a FASTA text. Begun again, it goes on."""
        served = self._service.database(self.job.database)
        upload = self._store.file(self.job, UPLOAD)
        observer = _Seen(self)
        beating = asyncio.create_task(self._keep_beating(observer))
        try:
            report = await served.db.ingest(upload, observer=observer, **self.job.asked["options"])
        except IngestInterrupted as stopped:
            self._write_report(stopped.report)
            raise
        finally:
            beating.cancel()
            self.done = observer.proteins
        self._write_report(report)

    async def _keep_beating(self, observer: _Seen) -> None:
        while True:
            self.done = observer.proteins
            try:
                await self._beat(self.job.total, now=True)
            except _Stopped:
                observer.stop = True
                return
            await asyncio.sleep(_BEAT_SECONDS)

    def _write_report(self, report: object) -> None:
        text = hidden(
            dumps(_plain(report)).decode(), {json.dumps(path)[1:-1]: name for path, name in self.hide.items()}
        )
        self._store.file(self.job).write_text(text + "\n", encoding="utf-8")

    async def _beat(self, total: int | None, *, now: bool = False) -> None:
        """Say that work goes on, now and then.

        Raises:
            _Stopped: it is not to go on.
        """
        if not now and time.monotonic() - self._beaten < _BEAT_SECONDS:
            return
        self._beaten = time.monotonic()
        if not await asyncio.to_thread(self._store.beat, self.job, self._owner, self.done, total):
            raise _Stopped


class _Seen(Observer):
    """Counts what an ingest does, and can be told to stop."""

    def __init__(self, work: _Work) -> None:
        self.proteins = work.done
        self.stop = False

    def advanced(self, proteins: int, residues: int) -> None:  # noqa: ARG002  # the observer's
        self.proteins += proteins

    def committed(self, report: Report) -> None:
        self.proteins = report.settled

    def should_stop(self) -> bool:
        return self.stop


def _plain(report: Any) -> dict[str, Any]:  # noqa: ANN401  # a Report, carried by an exception that does not say so
    plain: dict[str, Any] = report.to_dict()
    return plain


def _whole_lines(result: Path) -> int:
    """How many lines a file has, after what is no whole line was cut off."""
    if not result.exists():
        return 0
    lines = end = position = 0
    with result.open("r+b") as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
            if b"\n" in block:
                end = position + block.rfind(b"\n") + 1
            position += len(block)
        file.truncate(end)
    return lines
