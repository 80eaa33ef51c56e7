"""What the pages show works: every Python block runs, every command line runs, every command is described."""

from __future__ import annotations

import doctest
import gzip
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import protvec
from protvec import data, fasta
from protvec.cli.app import run

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Needs a network, or sets up a virtual environment of its own.
NOT_HERE = ("protvec models pull",)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def pages_with(pattern: str, language: str) -> list[Path]:
    return [page for page in PAGES if any(re.search(pattern, block, re.MULTILINE) for block in blocks(page, language))]


def name(page: Path) -> str:
    return page.name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages speak of."""
    monkeypatch.chdir(tmp_path)
    records = [record for record in fasta.read(data.sample()) if isinstance(record, fasta.Record)]
    records = [record for record in records if len(record.sequence) < 250][:20]
    lines = [
        f">AT1G{1000 + 10 * i:05d}.1 | Symbols: GEN{i} | {record.description} | "
        f"chr1:1-2 FORWARD LENGTH={len(record.sequence)}\n{record.sequence}\n"
        for i, record in enumerate(records, start=1)
    ]
    (tmp_path / "AtCol-0.fa.gz").write_bytes(gzip.compress("".join(lines).encode()))
    (tmp_path / "scores.tsv").write_text(
        "id\tplddt\tsecreted\tgo_terms\nAT1G01010.1\t71.5\ttrue\tGO:0005634;GO:0003700\n"
        "AT1G01020.1\t88\tfalse\t\nAT9G99999.1\t50\ttrue\tGO:1\n"
    )
    (tmp_path / "loci.tsv").write_text("locus\tcopies\nAT1G01010\t2\nAT1G01020\t1\n")
    (tmp_path / "queries.fa").write_text("".join(lines[:2]))
    (tmp_path / "ids.txt").write_text("AT1G01010.1\nAT1G01020.1\n")
    lyrata = [line.replace(">AT1G", ">AL").replace("L", "I", 3) for line in lines[:9]]
    (tmp_path / "lyrata.fa.gz").write_bytes(gzip.compress("".join(lyrata).encode()))
    return tmp_path


EXAMPLES = [
    str(path.relative_to(ROOT).with_suffix("")).replace("/", ".")
    for path in sorted((ROOT / "protvec").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", EXAMPLES)
def test_examples_of_docstrings_are_right(module: str) -> None:
    failed, _ = doctest.testmod(import_module(module))
    assert not failed


# docs/storage.md is about reading without protvec: test_store_clients.py runs it on a database of its own;
# docs/object_stores.md needs a server: test_object_store.py has one; docs/server.md too: test_server_docs.py.
ELSEWHERE = ("storage.md", "object_stores.md", "server.md")


@pytest.mark.parametrize("page", [p for p in pages_with("protvec", "python") if p.name not in ELSEWHERE], ids=name)
def test_python_blocks_run_in_order(page: Path, here: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        exec(compile(block, f"{page.name}: {block.splitlines()[0]}", "exec"), names)


@pytest.mark.parametrize("page", pages_with(r"^\$ protvec", "console"), ids=name)
def test_command_lines_run(page: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROTVEC_DB", str(here / "plants.lancedb"))
    protvec.create(here / "plants.lancedb", model="near").ingest(here / "AtCol-0.fa.gz", dataset="AtCol-0")
    for block in blocks(page, "console"):
        for line in re.findall(r"^\$ (protvec .*)", block, re.MULTILINE):
            if not line.startswith(NOT_HERE):
                words = shlex.split(line, comments=True)
                assert run(words[1:]) == 0, line


def test_every_command_and_option_is_described() -> None:
    import typer

    from protvec.cli.app import build

    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    group = typer.main.get_command(build())
    for command, details in group.commands.items():  # type: ignore[attr-defined]
        assert f"protvec {command}" in text, command
        assert details.help, command
        for parameter in details.params:
            assert getattr(parameter, "help", True), f"{command} {parameter.name}"


def test_the_columns_of_a_search_are_described_as_they_are() -> None:
    from protvec.cli.fields import FIELDS, help_text, markdown

    assert markdown() in (ROOT / "docs" / "queries_and_formats.md").read_text(encoding="utf-8")
    assert all(each.name in help_text() for each in FIELDS)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
