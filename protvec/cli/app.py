"""The application: its commands, and what becomes of their errors."""

from __future__ import annotations

import inspect as signatures
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from protvec.cli import (
    align,
    annotate,
    calibrate,
    chart,
    check,
    console,
    demo,
    export,
    fields,
    index,
    ingest,
    inspect,
    log,
    models,
    moved,
    plan,
    rbh,
    search,
    serve,
    shards,
    snapshots,
    transfer,
    upkeep,
)
from protvec.cli.help import Grouped
from protvec.cli.options import with_storage_options
from protvec.errors import ProtvecError

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def build() -> typer.Typer:
    """The application with all its commands."""
    # Plain help: Rich's takes three times as long to start as everything else that --help needs.
    app = typer.Typer(
        name="protvec",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.command("ingest")(ingest.ingest)
    app.command("search", cls=Grouped, epilog=fields.help_text())(search.search)
    app.command("align", cls=Grouped)(align.align)
    app.command("map")(chart.map_)
    app.command("rbh", cls=Grouped)(rbh.rbh)
    app.command("transfer", cls=Grouped)(transfer.transfer)
    app.command("get")(inspect.get)
    app.command("info")(inspect.info)
    app.command("delete")(inspect.delete)
    app.command("annotate")(annotate.annotate)
    app.command("snapshot")(snapshots.snapshot)
    app.command("snapshots")(snapshots.snapshots)
    app.command("restore")(snapshots.restore)
    app.command("export")(export.export)
    app.command("import")(moved.import_)
    app.command("merge")(with_storage_options(moved.merge))
    app.command("plan")(plan.plan)
    app.command("shard")(shards.shard)
    app.command("embed")(with_storage_options(shards.embed))
    app.command("commit")(shards.commit)
    app.command("log")(log.log)
    app.command("index")(index.index)
    app.command("calibrate")(calibrate.calibrate)
    app.command("compact")(upkeep.compact)
    app.command("recode")(upkeep.recode)
    app.command("check")(check.check)
    app.add_typer(models.build(), name="models")
    app.command("serve", cls=Grouped)(serve.serve)
    app.command("demo")(demo.demo)
    _reach_object_stores(app)
    return app


def _reach_object_stores(app: typer.Typer) -> None:
    """Give every command that takes ``--db`` what it needs beside it."""
    for command in app.registered_commands:
        if command.callback and "db" in signatures.signature(command.callback).parameters:
            command.callback = with_storage_options(command.callback)


def _show_version(value: bool) -> None:
    if value:
        from protvec import __version__

        typer.echo(f"protvec {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[  # noqa: ARG001  # acts through its callback
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """A vector database of proteins: FASTA in, language-model vectors, nearest neighbours out."""
    console.state.debug = debug


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        result = build()(args=list(arguments), prog_name="protvec", standalone_mode=False)
    except console.Stop as stop:
        return stop.code
    except (KeyboardInterrupt, typer.Abort):
        console.error("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, console.ReaderLeft):
        return _reader_left()
    except Exception as error:  # the last place: every error becomes one line and an exit code
        return _report(error)
    return result if isinstance(result, int) else DONE


def _report(error: Exception) -> int:
    show = getattr(error, "format_message", None)
    if show is not None and not isinstance(error, ProtvecError):  # a usage error, found by the parser
        console.error(f"{show()} (see {_help_command(error)})")
        return USAGE
    if console.state.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, ProtvecError):
        console.error(str(error))
    elif isinstance(error, OSError) and error.strerror:  # a full disk behind standard output, say
        console.error(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}")
    else:
        hint = "" if console.state.debug else "; `protvec --debug …` shows where"
        console.error(f"{type(error).__name__}: {error} (this is a bug in protvec{hint})")
    return FAILED


def _help_command(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "protvec"
    return f"`{path} --help`"


def _reader_left() -> int:
    """The reader of our output has gone, as ``head`` does: nothing is wrong."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
