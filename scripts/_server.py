"""A real server for the scripts: a process of its own on a free port, and how much memory it takes."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_START_SECONDS = 120


class Server:
    """``protvec serve`` on loopback.

    Attributes:
        url: Where it is.
        seconds: From its start until it answered, and until it was ready.
    """

    def __init__(self, db: Path, *options: str, log: Path) -> None:
        """Start it, and wait until its model is loaded."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = log.open("wb")
        command = [sys.executable, "-m", "protvec", "serve", "--db", f"db={db}", "--port", str(port), *options]
        started = time.monotonic()
        self._process = subprocess.Popen(command, stderr=self._log, stdout=self._log)
        self.seconds = (self._until("/healthz", started), self._until("/readyz", started))

    def _until(self, url: str, started: float) -> float:
        while time.monotonic() - started < _START_SECONDS:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended with {self._process.returncode}: see {self._log.name}")
            try:
                if httpx.get(self.url + url).status_code == 200:
                    return time.monotonic() - started
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise RuntimeError(f"the server does not answer {url}: see {self._log.name}")

    @property
    def memory(self) -> int:
        """Bytes that are its own (Linux), or that are resident."""
        found = psutil.Process(self._process.pid).memory_full_info()
        return int(getattr(found, "uss", found.rss))

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has had: unlike answers a second, others on the machine do not change it much."""
        used = psutil.Process(self._process.pid).cpu_times()
        return used.user + used.system

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)
        self._log.close()
