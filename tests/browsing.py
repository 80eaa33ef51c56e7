"""A server that listens, and a browser that looks at its page and at nothing else."""

from __future__ import annotations

import contextlib
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from server_client import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync", "--no-first-run"]
# Also where the browser would print nothing about it.
_LISTEN = """document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy: ${event.violatedDirective} of ${event.blockedURI}`));"""


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """The Chromium of this machine; skips where there is none, or nothing to drive it with."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """An application on a port of this machine; its address. Models are loaded by then, or cannot be."""
    import httpx

    with listening(app) as address:
        while "loading" in httpx.get(f"{address}/readyz").json()["databases"].values():
            time.sleep(0.05)
        yield f"{address}/"


@dataclass
class Looker:
    """A page in the browser, and what it did that it should not.

    Attributes:
        page: Of playwright.
        address: Of the server; nothing else may be asked.
        expected: Statuses above 399 that a test asks for.
    """

    page: Any
    address: str
    expected: set[int] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(60_000)  # the first alignment of a process compiles its loops
        self.page.add_init_script(_LISTEN)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def open(self, rest: str = "") -> Any:
        self.page.goto(self.address + rest)
        return self.page

    def _console(self, message: Any) -> None:
        refused = "Failed to load resource" in message.text and any(
            f" {each} " in message.text for each in self.expected
        )
        asked = "willReadFrequently" in message.text  # by the tests
        if message.type in ("error", "warning") and not refused and not asked:
            self.errors.append(message.text)

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.errors.append(f"asks {request.url}")

    def _response(self, response: Any) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.errors.append(f"{response.status} of {response.url}")
