"""The columns of an answer: what each means, and where its value comes from.

``FIELDS`` is the one table of them: ``--columns``, the help of ``protvec search`` and docs/search.md follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

QUERY, HIT, BOTH, TARGET, ALIGNMENT = "query", "hit", "both", "target", "alignment"


@dataclass(frozen=True)
class Field:
    """A column that every search can print.

    Attributes:
        name: What it is called.
        about: What it means.
        side: ``query``, ``hit``, ``target`` or ``alignment``: what its value comes from; ``both`` is a hit that is
            found by vector and text.
        column: The column of the database behind it, for a query and a target; of the table of hits, for a hit.
        also: Other names for it, as BLAST has them.
    """

    name: str
    about: str
    side: str
    column: str = ""
    also: tuple[str, ...] = ()


FIELDS = (
    Field("query", "name of the query", HIT, "query", ("qseqid",)),
    Field("target", "id of the protein that was found", HIT, "target", ("sseqid",)),
    Field("rank", "1 for the best hit of a query", HIT, "rank"),
    Field("score", "cosine of the two vectors, -1 to 1; with --text the match, or the sum of ranks", HIT, "score"),
    Field("evidence", "what found it beside --text: vector, text or both", BOTH, "evidence"),
    Field("vrank", "with --text: its place by vector", BOTH, "vector_rank", ("vector_rank",)),
    Field("trank", "with --text: its place by text", BOTH, "text_rank", ("text_rank",)),
    Field("cosine", "with --text: cosine of the two vectors", BOTH, "cosine"),
    Field("qlen", "residues of the query", QUERY, "length"),
    Field("tlen", "residues of the target", TARGET, "length", ("slen",)),
    Field("qheader", "header line of the query, its id included", QUERY, "header"),
    Field("theader", "header line of the target, its id included", TARGET, "header", ("stitle",)),
    Field("qseq", "sequence of the query", QUERY, "sequence"),
    Field("tseq", "sequence of the target", TARGET, "sequence"),
    Field("pident", "identical residues of the alignment, in percent", ALIGNMENT),
    Field("alnlen", "columns of the alignment", ALIGNMENT),
    Field("mismatch", "pairs of residues that differ", ALIGNMENT),
    Field("gapopen", "gaps", ALIGNMENT),
    Field("qstart", "first aligned residue of the query, from 1", ALIGNMENT),
    Field("qend", "last aligned residue of the query", ALIGNMENT),
    Field("tstart", "first aligned residue of the target, from 1", ALIGNMENT, also=("sstart",)),
    Field("tend", "last aligned residue of the target", ALIGNMENT, also=("send",)),
    Field("evalue", "hits this good that chance would give", ALIGNMENT),
    Field("bits", "score of the alignment in bits", ALIGNMENT, also=("bitscore",)),
)
BY_NAME = {name: each for each in FIELDS for name in (each.name, *each.also)}
DEFAULT = ("query", "target", "score", "length", "gene", "organism", "description")
# With --text beside another query.
DEFAULT_BOTH = ("query", "target", "score", "evidence", "vrank", "trank", "cosine", "gene", "organism", "description")
# BLAST's -outfmt 6, in its order; sseqid, sstart, send and bitscore are other names of four of them.
M8 = (
    "query",
    "target",
    "pident",
    "alnlen",
    "mismatch",
    "gapopen",
    "qstart",
    "qend",
    "tstart",
    "tend",
    "evalue",
    "bits",
)


def help_text() -> str:
    """The columns for ``--help``."""
    lines = [f"  {each.name:<9} {each.about}" for each in FIELDS if each.side != ALIGNMENT]
    waiting = ", ".join(each.name for each in FIELDS if each.side == ALIGNMENT)
    return "\n".join(
        [
            "\b",
            "Columns for --columns, beside every column of the proteins that are found (`protvec info`):",
            *lines,
            "  query.NAME, target.NAME: any column of a stored query, or of a target",
            f"Not yet, as they need an alignment: {waiting}",
        ]
    )


def markdown() -> str:
    """The columns as the table of docs/search.md."""
    return "\n".join(["| column | what it is | also called |", "|---|---|---|", *map(_markdown_row, FIELDS)])


def _markdown_row(each: Field) -> str:
    waiting = " (needs an alignment: not yet)" if each.side == ALIGNMENT else ""
    return f"| `{each.name}` | {each.about}{waiting} | {', '.join(f'`{name}`' for name in each.also)} |"


def parse(text: str | None) -> list[str] | None:
    """The names of ``--columns``; None where the option is not given."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
