"""Options that several commands share."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from protvec.cli.console import Stop, note, state
from protvec.errors import DatabaseNotFoundError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from protvec.database import Settings
    from protvec.space import Space
    from protvec.store import Store


class Precision(str, Enum):
    """Arithmetic to embed in."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    int8 = "int8"


class Engine(str, Enum):
    """What runs the model."""

    auto = "auto"
    openvino = "openvino"
    torch = "torch"


class ResidueCodec(str, Enum):
    """How residue arrays are kept."""

    float16 = "float16"
    int8 = "int8"
    int4 = "int4"
    none = "none"


DEFAULT_DB = "protvec.lancedb"
# Headings of long helps: see ``protvec.cli.help``.
QUERIES, DATABASE, HITS, OUTPUT, MODEL = "Queries", "Database", "Hits", "Output", "Model"

Db: TypeAlias = Annotated[
    str,
    typer.Option(
        "--db",
        envvar="PROTVEC_DB",
        metavar="DB",
        help="The database: a directory, or s3://…, gs://…, az://…",
        rich_help_panel=DATABASE,
    ),
]
StorageOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Setting of the object store, such as aws_endpoint=https://…; beside those of its environment "
        "variables. May be repeated.",
        rich_help_panel=DATABASE,
    ),
]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A model of `protvec models`, or a checkpoint directory. "
        "By default the one recorded in the database; for a new database ankh-base.",
        rich_help_panel=MODEL,
    ),
]
Offline: TypeAlias = Annotated[
    bool, typer.Option("--offline", envvar="HF_HUB_OFFLINE", help="Never fetch weights.", rich_help_panel=MODEL)
]
PrecisionOption: TypeAlias = Annotated[
    Precision,
    typer.Option(
        "--precision", help="Arithmetic to embed in; auto takes the best for this machine.", rich_help_panel=MODEL
    ),
]
EngineOption: TypeAlias = Annotated[
    Engine, typer.Option("--engine", help="What runs the model.", rich_help_panel=MODEL)
]
Threads: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        help="Threads to embed and to align with; by default all that are ours to use.",
        rich_help_panel=MODEL,
    ),
]
Device: TypeAlias = Annotated[
    str, typer.Option("--device", help="cpu, or a torch device such as cuda.", rich_help_panel=MODEL)
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Yes: TypeAlias = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
Where: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--where",
        metavar="SQL",
        help="Condition on the metadata, such as \"organism = 'Zea mays' AND length < 500\".",
        rich_help_panel=HITS,
    ),
]


At: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="NAME",
        help="Read the database as it was at a snapshot: see `protvec snapshots`.",
        rich_help_panel=DATABASE,
    ),
]


def _set_search_memory(text: str | None) -> str | None:
    """Have ``open_store`` use it."""
    state.search_memory = None if text is None else _bytes(text)
    return text


def _bytes(text: str) -> int:
    """A number of bytes as it is written: ``6G``, ``512M``, ``1.5 GiB``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", text, re.IGNORECASE)
    if not found:
        raise typer.BadParameter(f"{text!r} is no size: say 6G or 512M", param_hint="--search-memory")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit.lower() or " "))


SearchMemory: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--search-memory",
        envvar="PROTVEC_SEARCH_MEMORY",
        metavar="SIZE",
        callback=_set_search_memory,
        help="Memory that vectors may take for searches, such as 6G; an index takes their place beyond.  "
        "[default: 2 GiB]",
        show_default=False,
        rich_help_panel=DATABASE,
    ),
]


def open_store(db: str, *, at: str | None = None) -> Store:
    """The database that an option names, or a snapshot of it; every command opens it through here.

    Raises:
        DatabaseError: It cannot be opened.
    """
    from protvec.store import Store

    return Store.open(db, at=at, storage_options=storage_options_for(db), search_memory=state.search_memory)


def open_if_there(db: str) -> Store | None:
    """The database that an option names; None where there is none."""
    with suppress(DatabaseNotFoundError):
        return open_store(db)
    return None


def create_store(db: str, space: Space, *, codec: str, segments: bool = True) -> Store:
    """A new database where an option says.

    Raises:
        DatabaseError: It cannot be made.
    """
    from protvec.store import Store

    return Store.create(
        db,
        space,
        codec=codec,
        segments=segments,
        storage_options=storage_options_for(db),
        search_memory=state.search_memory,
    )


def with_storage_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with ``--storage-option`` after its last option of a database: ``open_store`` uses what it says."""
    signature = inspect.signature(command, eval_str=True)
    parameter = inspect.Parameter(
        "storage_option", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=StorageOption
    )

    @functools.wraps(command)
    def run(*args: object, storage_option: list[str] | None = None, **options: object) -> None:
        state.storage_options = _pairs(storage_option or [])
        if storage_option and not any(":" in str(value) for value in options.values()):
            raise typer.BadParameter("is for a database in an object store (s3://…)", param_hint="--storage-option")
        command(*args, **options)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), parameter])  # type: ignore[attr-defined]
    run.__annotations__ = {**command.__annotations__, "storage_option": StorageOption}
    return run


def storage_options_for(place: str) -> dict[str, str] | None:
    """The storage options for a place, which may be a local one beside another in an object store."""
    return state.storage_options if ":" in place else None


def confirm(would: str) -> None:
    """Ask before something that cannot be taken back.

    Args:
        would: What it is, after "this would".

    Raises:
        QueryError: There is nobody to ask.
        Stop: The answer is no.
    """
    if not sys.stdin.isatty():
        raise QueryError(f"this would {would}; add --yes to do it")
    if not typer.confirm(f"This would {would}. Do it?", err=True):
        note("nothing changed")
        raise Stop(1)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in given if text.partition("=")[0].strip() and "=" in text)
    if len(pairs) < len(given):  # what was given may be a secret: it is not repeated
        raise typer.BadParameter("needs KEY=VALUE, each key once", param_hint="--storage-option")
    return pairs


def model_settings(
    model: str | None, precision: Precision, engine: Engine, threads: int | None, device: str, offline: bool
) -> Settings:
    """What the options say of the model and how to run it."""
    from protvec.database import Settings

    return Settings(
        model=model,
        offline=offline,
        engine=engine.value,
        precision=precision.value,
        threads=threads,
        device=device,
        notify=note,
    )
