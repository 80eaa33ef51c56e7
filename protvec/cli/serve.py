"""``protvec serve``."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from protvec.cli import console
from protvec.cli.options import DATABASE, DEFAULT_DB, MODEL, Offline, Precision, PrecisionOption, SearchMemory, Threads

if TYPE_CHECKING:
    from protvec.server import Limits, ServerSettings

_NETWORK, _SAFETY = "Network", "Safety"


def serve(
    db: Annotated[
        list[str] | None,
        typer.Option(
            "--db",
            metavar="[NAME=]DB",
            help="A database, and its name in addresses; by default that of its directory. May be repeated.  "
            "[env var: PROTVEC_DB, one]",
            rich_help_panel=DATABASE,
        ),
    ] = None,
    search_memory: SearchMemory = None,  # noqa: ARG001  # acts through its callback
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="DIR",
            help="Keep jobs there, so that they outlive the server; without it they end with it.",
            rich_help_panel=DATABASE,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than loopback need keys.", rich_help_panel=_NETWORK)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.", rich_help_panel=_NETWORK)
    ] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes, each with the databases open.", rich_help_panel=_NETWORK)
    ] = 1,
    cors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="Let pages of this origin ask from a browser, such as https://example.org. May be repeated.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Answer to this name too, as a proxy passes it on. May be repeated.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="Believe what this proxy says of its clients' addresses.  [default: 127.0.0.1]",
            show_default=False,
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Ask everybody for a key: a file with a line NAME KEY for each.",
            rich_help_panel=_SAFETY,
        ),
    ] = None,
    allow_write: Annotated[
        bool, typer.Option("--allow-write/--read-only", help="Take ingests.", rich_help_panel=_SAFETY)
    ] = False,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NUMBER",
            help="A limit of docs/server.md, such as sequence_length=2000. May be repeated.",
            rich_help_panel=_SAFETY,
        ),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Embed no sequences.", rich_help_panel=MODEL)] = False,
    offline: Offline = False,
    precision: PrecisionOption = Precision.auto,
    threads: Threads = None,
) -> None:
    """Answer searches over HTTP, with a page for people.

    The log is on standard error, a line of JSON for each event. Ctrl-C, or SIGTERM, ends the server when it has
    answered what is in work.
    """
    from protvec.server import ServerSettings, check_installed, read_keys

    check_installed()
    with ExitStack() as stack:
        settings = ServerSettings(
            databases=_named(db or [os.environ.get("PROTVEC_DB") or DEFAULT_DB]),
            limits=_limits(limit or []),
            keys=read_keys(api_key_file) if api_key_file else (),
            cors=cors or (),
            hosts=_hosts(host, allowed_host, secured=api_key_file is not None),
            allow_write=allow_write,
            state=state or _shared_state(stack, workers),
            models=not no_model,
            storage_options=console.state.storage_options or None,
            search_memory=console.state.search_memory,
            offline=offline,
            threads=threads,
            precision=precision.value,
            metrics=_shared_metrics(stack) if workers > 1 else None,
        )
        _run(settings, host, port, workers, proxy)


def _run(settings: ServerSettings, host: str, port: int, workers: int, proxies: list[str] | None) -> None:
    from protvec.cli.options import open_store
    from protvec.server.running import bind, check_exposure, run

    check_exposure(host, settings)
    for path in settings.databases.values():
        open_store(str(path))  # what is wrong with it is said here, in one line
    with bind(host, port) as listening:
        if console.is_terminal():
            where = f"[{host}]" if ":" in host else host
            names = ", ".join(settings.databases)
            console.note(f"Serving {names} at http://{where}:{listening.getsockname()[1]}/ - Ctrl-C ends it")
        try:
            run(settings, listening, processes=workers, proxies=proxies or ["127.0.0.1"])
        except KeyboardInterrupt:
            return  # that is how a server ends


def _named(given: list[str]) -> dict[str, str]:
    """The databases by name."""
    named: dict[str, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or "/" in name:
            path, name = text, Path(text.rstrip("/")).name.removesuffix(".lancedb")
        if name in named:
            raise typer.BadParameter(f"two databases are named {name!r}: say NAME=DB", param_hint="--db")
        named[name] = path
    return named


def _limits(given: list[str]) -> Limits:
    from protvec.server import Limits

    kinds = {each.name: int if each.type == "int" else float for each in fields(Limits)}
    values: dict[str, Any] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in kinds:
            raise typer.BadParameter(f"no limit {name!r}: there are {', '.join(kinds)}", param_hint="--limit")
        try:
            values[name] = kinds[name](number.replace("_", ""))
        except ValueError:
            raise typer.BadParameter(f"{text!r}: needs a number", param_hint="--limit") from None
    return Limits(**values)


def _hosts(host: str, others: list[str] | None, *, secured: bool) -> tuple[str, ...]:
    """The names that the server goes by; any where keys keep strangers out."""
    if secured and not others:
        return ()
    return (host, *(others or ()))


def _shared_metrics(stack: ExitStack) -> Path:
    """Where several processes count together; the library that does so reads the variable."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="protvec-metrics-"))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    return Path(folder)


def _shared_state(stack: ExitStack, workers: int) -> Path | None:
    """Where several processes keep jobs that end with the server; one makes its own place."""
    if workers == 1:
        return None
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="protvec-jobs-")))
