"""The columns of an answer: what each means, and where its value comes from.

``FIELDS`` is the one table of them: ``--columns``, the help of ``protvec search`` and docs/search.md follow it.
"""

from __future__ import annotations

from dataclasses import dataclass

from protvec.errors import QueryError

QUERY, HIT, TARGET = "query", "hit", "target"
# Of some searches: by vector and text, with an alignment, both of these, all but those by text alone.
BOTH, ALIGNMENT, COSINE, SIGNIFICANCE = "both", "alignment", "cosine", "significance"
# Of those that compare segments; and of these and those with an alignment.
SEGMENT, PLACE = "segment", "place"
BY_VECTOR = frozenset({SIGNIFICANCE})
BY_SEGMENT = BY_VECTOR | {SEGMENT, PLACE}
WITH_TEXT, ALIGNED = BY_VECTOR | {BOTH, COSINE}, BY_VECTOR | {ALIGNMENT, PLACE, COSINE}
OF_ALIGNMENTS = frozenset({ALIGNMENT, PLACE})


@dataclass(frozen=True)
class Field:
    """A column that every search can print.

    Attributes:
        name: What it is called.
        about: What it means.
        side: What its value comes from; other than ``query``, ``hit`` and ``target`` not every search has it.
        column: The column of the database behind it, for a query and a target; else of the table of hits.
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
    Field(
        "score",
        "cosine of the two vectors, -1 to 1; with --align the alignment's, with --text the match, or the sum of ranks",
        HIT,
        "score",
        ("raw",),
    ),
    Field("evidence", "what found it beside --text: vector, text or both", BOTH, "evidence"),
    Field("vrank", "with --text: its place by vector", BOTH, "vector_rank", ("vector_rank",)),
    Field("trank", "with --text: its place by text", BOTH, "text_rank", ("text_rank",)),
    Field("cosine", "with --text or --align: cosine of the two vectors", COSINE, "cosine"),
    Field("by", "what found it: protein (as a whole) or segment", SEGMENT, "by"),
    Field("qlen", "residues of the query", QUERY, "length"),
    Field("tlen", "residues of the target", TARGET, "length", ("slen",)),
    Field("qheader", "header line of the query, its id included", QUERY, "header"),
    Field("theader", "header line of the target, its id included", TARGET, "header", ("stitle",)),
    Field("qseq", "sequence of the query", QUERY, "sequence"),
    Field("tseq", "sequence of the target", TARGET, "sequence"),
    Field("pident", "identical pairs in percent of the columns of the alignment", ALIGNMENT, "pident"),
    Field("alnlen", "columns of the alignment, gaps included", ALIGNMENT, "alnlen"),
    Field("mismatch", "pairs of residues that differ", ALIGNMENT, "mismatch"),
    Field("gapopen", "gaps", ALIGNMENT, "gapopen"),
    Field("qstart", "first residue of the query that is aligned, or of its segment, from 1", PLACE, "qstart"),
    Field("qend", "last residue of the same", PLACE, "qend"),
    Field(
        "tstart",
        "first residue of the target that is aligned, or of the segment that was found, from 1",
        PLACE,
        "tstart",
        ("sstart",),
    ),
    Field("tend", "last residue of the same", PLACE, "tend", ("send",)),
    Field("fident", "pident as a fraction, 0 to 1", ALIGNMENT, "fident"),
    Field("nident", "identical pairs", ALIGNMENT, "nident"),
    Field("positive", "pairs that BLOSUM62 scores above 0", ALIGNMENT, "positive"),
    Field("gaps", "residues across from gaps", ALIGNMENT, "gaps"),
    Field("qcov", "part of the query from qstart to qend, 0 to 1", ALIGNMENT, "qcov"),
    Field("tcov", "part of the target from tstart to tend, 0 to 1", ALIGNMENT, "tcov"),
    Field("cigar", "M for a pair, I for a residue of the query alone, D for one of the target", ALIGNMENT, "cigar"),
    Field("qaln", "aligned part of the query, with gaps", ALIGNMENT, "qaln"),
    Field("taln", "aligned part of the target, with gaps", ALIGNMENT, "taln"),
    Field(
        "evalue", "hits this good that chance would give in this search (docs/statistics.md)", SIGNIFICANCE, "evalue"
    ),
    Field("bits", "the score in bits: evalue is 2**-bits times what is searched", SIGNIFICANCE, "bits", ("bitscore",)),
)
BY_NAME = {name: each for each in FIELDS for name in (each.name, *each.also)}
DEFAULT_TEXT = ("query", "target", "score", "length", "gene", "organism", "description")
DEFAULT = ("query", "target", "score", "evalue", "length", "gene", "organism", "description")
# With --text beside another query.
DEFAULT_BOTH = (
    "query",
    "target",
    "score",
    "evidence",
    "vrank",
    "trank",
    "cosine",
    "evalue",
    "gene",
    "organism",
    "description",
)
# With --align.
DEFAULT_ALIGNED = (
    "query",
    "target",
    "evalue",
    "bits",
    "score",
    "pident",
    "alnlen",
    "qstart",
    "qend",
    "tstart",
    "tend",
    "gene",
    "organism",
    "description",
)
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
    lines = [f"  {each.name:<9} {each.about}" for each in FIELDS if each.side not in OF_ALIGNMENTS]
    aligned = [f"  {each.name:<9} {each.about}" for each in FIELDS if each.side in OF_ALIGNMENTS]
    return "\n".join(
        [
            "\b",
            "Columns for --columns, beside every column of the proteins that are found (`protvec info`):",
            *lines,
            "  query.NAME, target.NAME: any column of a stored query, or of a target",
            "With --align, and qstart to tend of hits by segments too:",
            *aligned,
        ]
    )


def markdown() -> str:
    """The columns as the table of docs/search.md."""
    return "\n".join(["| column | what it is | also called |", "|---|---|---|", *map(_markdown_row, FIELDS)])


def _markdown_row(each: Field) -> str:
    needs = {ALIGNMENT: " (with `--align`)", PLACE: " (with `--align`, or by segment)"}.get(each.side, "")
    return f"| `{each.name}` | {each.about}{needs} | {', '.join(f'`{name}`' for name in each.also)} |"


def parse(text: str | None) -> list[str] | None:
    """The names of ``--columns``; None where the option is not given.

    Raises:
        QueryError: it is, and names nothing.
    """
    names = None if text is None else [part.strip() for part in text.split(",") if part.strip()]
    if names == []:
        raise QueryError("--columns names no column: give some between commas, or leave it out")
    return names
