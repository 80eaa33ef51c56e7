"""Requests and answers, as the OpenAPI description has them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints

from protvec.search import CANDIDATES
from protvec.server.filters import Op

Text = Annotated[str, StringConstraints(max_length=1000)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Number = Annotated[float, Field(allow_inf_nan=False)]

# What examples name: the page of the routes puts what the first database of a server has in their place.
A_DATABASE, A_TEXT, A_CONDITION = "plants", "F-box", "length < 500"
AN_ID, ANOTHER_ID, A_THIRD_ID = "AT1G01010.1", "AT1G01020.1", "AT1G01030.1"
_SEQUENCE = "MARTKQTARKSTGGKAPRKQLATKAARKSAPATGGVKKPHRFRPGTVALREIRKYQKSTELLIRKLPFQRLVREIAQDFK"
_ALIGNED = "EKHSDQAVNRKLDLLRKYEEELHQLR"


class Strict(BaseModel):
    """A part of a request, in which a name that is not known is an error."""

    model_config = ConfigDict(extra="forbid")


class Filter(Strict):
    """A condition on a column."""

    column: Name
    op: Op
    value: str | bool | int | Number | list[str | bool | int | Number] | None = Field(
        None, description="A list for in, not_in and between; true or false for is_null; else one value."
    )


class Plain(Strict):
    """What hits are to be like, as an address can say it."""

    k: int = Field(10, ge=1, description="How many hits at most; the server has a limit.")
    where: str | None = Field(
        None,
        description="SQL condition on the metadata: comparisons of columns and values, AND, OR, NOT, IN, LIKE, "
        "BETWEEN, IS NULL, array_has.",
        examples=["length < 500 AND organism = 'Arabidopsis thaliana'"],
    )
    columns: list[Name] | None = Field(
        None, max_length=100, description="Metadata of the hits; by default length, gene, organism, description."
    )
    min_score: float | None = Field(None, ge=-1, le=1, description="The lowest cosine.")
    evalue: float | None = Field(None, gt=0, allow_inf_nan=False, description="The highest E-value.")
    scoring: str | None = Field(None, pattern="^raw$", description="raw for cosines of the mean vectors themselves.")
    segments: bool = Field(True, description="Compare segments of long proteins too, which finds domains.")
    exclude_self: bool = Field(False, description="Leave the query itself out.")
    align: bool = Field(False, description="Rank by local alignment of the residues.")
    candidates: int = Field(CANDIDATES, ge=1, description="Proteins that are aligned.")
    profiles: bool = Field(
        False, description="With align: choose the pairs by what the relatives of the query and of each hit say too."
    )


class Options(Plain):
    """What hits are to be like."""

    filters: list[Filter] = Field([], max_length=50, description="Conditions that all have to be met.")


class FastaOptions(Plain):
    """What hits of a FASTA text are to be like."""

    job: bool | None = Field(None, description="Have a job do it; by itself where there are too many queries.")


class SearchRequest(Options):
    """A query: one of sequence, id, vector and like; a text beside it, or alone."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"sequence": _SEQUENCE, "k": 5},
                {"id": AN_ID, "exclude_self": True, "where": A_CONDITION, "columns": ["gene", "length"]},
                {"id": AN_ID, "align": True, "evalue": 0.001},
                {"like": [AN_ID, ANOTHER_ID], "unlike": [A_THIRD_ID]},
                {"text": A_TEXT, "filters": [{"column": "length", "op": "between", "value": [100, 400]}]},
            ]
        },
    )

    sequence: str | None = Field(None, min_length=1, description="Residues.")
    id: Id | None = Field(None, description="A protein of the database. Needs no model.")
    vector: list[Number] | None = Field(None, min_length=1, max_length=100_000, description="D numbers.")
    like: list[Id] | None = Field(None, min_length=1, max_length=100, description="Proteins to be near to.")
    unlike: list[Id] = Field([], max_length=100, description="Proteins to be far from, beside like.")
    text: Text | None = Field(None, description="Words: alone they are the query; beside another, both rank.")
    query: Text | None = Field(
        None, description="Name of the query in the answer; exclude_self then leaves out the protein of that id."
    )


class Index(BaseModel):
    """How hits were found."""

    kind: str
    exact: bool
    recall: float | None
    target: float | None
    indexed: int
    pending: int
    meeting: int | None
    scoring: str
    segments: int | None
    without: str
    text: str = Field(description="The same in words.")


class HitAnswer(BaseModel):
    """A protein that was found: what every hit has, and the columns asked for."""

    model_config = ConfigDict(extra="allow")

    target: str
    rank: int
    score: float
    evalue: float | None = None
    bits: float | None = None


class SearchAnswer(BaseModel):
    """The hits of a query, best first."""

    query: str
    query_length: int | None = Field(description="Residues of the query, where it is a sequence or a protein.")
    index: Index
    chance: str = Field(description="What E-values were fitted on.")
    scoring: str
    took_ms: float
    hits: list[HitAnswer]


class ProteinAnswer(BaseModel):
    """A protein with all its columns, those of the user too."""

    model_config = ConfigDict(extra="allow")

    id: str
    sequence: str
    length: int | None = None
    vector: list[float] | None = None


class ProteinsRequest(Strict):
    """Several proteins."""

    ids: list[Id] = Field(min_length=1, examples=[[AN_ID, ANOTHER_ID]])
    vector: bool = Field(False, description="With their vectors.")


class AlignRequest(Strict):
    """Two proteins."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"query": AN_ID, "target": ANOTHER_ID}]})

    query: str = Field(min_length=1, description="The id of a protein of the database, or a sequence.")
    target: str = Field(min_length=1, description="The other.")
    dots: int | None = Field(
        None, ge=1, le=1200, description="Also how alike all residues are: rows and columns of that picture at most."
    )
    profiles: bool | None = Field(
        None, description="Choose the pairs by what the relatives of both in the database say too; null: where it can."
    )


class DotPlot(BaseModel):
    """How alike residues are: of long proteins the highest score of every few rows and columns."""

    rows: int
    columns: int
    residues_per_row: int
    residues_per_column: int
    scores: list[list[float]]


class AlignAnswer(BaseModel):
    """A local alignment: docs/alignment.md says what each is."""

    model_config = ConfigDict(extra="allow")

    query: str
    target: str
    query_length: int
    target_length: int
    query_relatives: int | None = Field(None, description="How many its profile is of; null without a profile.")
    target_relatives: int | None = Field(None, description="As many of the target.")
    score: float
    query_start: int
    query_end: int
    target_start: int
    target_end: int
    length: int
    identity: float
    cigar: str
    query_line: str
    middle: str
    target_line: str
    picture: str
    dot_plot: DotPlot | None = None


class MapGroup(BaseModel):
    """Points with a value, or a range of values, in common."""

    label: str
    color: str
    count: int


class MapAnswer(BaseModel):
    """Where the proteins lie, in columns of one length, and how the map was made."""

    record: dict[str, Any] = Field(description="Method, parameters, search space, how many sequences, when.")
    ids: list[str]
    x: list[float]
    y: list[float]
    description: list[str | None]
    gene: list[str | None]
    column: str | None = Field(description="What points are grouped by.")
    groups: list[MapGroup]
    group: list[int] = Field(description="Number of the group of each point.")


class DatabaseSummary(BaseModel):
    """A database of the server."""

    name: str
    proteins: int
    model: str
    dimension: int
    state: str = Field(description="Of its model: loading, ready, failed, or off.")


class Column(BaseModel):
    """A column of the metadata."""

    name: str
    type: str
    added: bool = Field(description="Whether it is one that a user added.")


class ExampleProtein(BaseModel):
    """A protein to begin with."""

    id: str
    description: str | None


class Examples(BaseModel):
    """What may be asked of a database by somebody who does not know it."""

    proteins: list[ExampleProtein]
    text: str | None = Field(description="Words that find something.")
    where: str | None = Field(description="A condition that some proteins meet.")


class DatabaseAnswer(DatabaseSummary):
    """What a database holds, the model of its vectors, and how its scores come about."""

    model_config = ConfigDict(extra="allow")

    sequences: int
    residues: int
    residue_arrays: int
    codec: str
    datasets: dict[str, int]
    columns: list[Column]
    model_card: dict[str, Any]
    scoring: dict[str, Any]
    indexes: list[str]
    examples: Examples
    version: int


class SearchJob(Options):
    """A batch of queries: a FASTA text, or ids of proteins of the database."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "search", "database": A_DATABASE, "ids": [AN_ID], "k": 5}]},
    )

    kind: Literal["search"]
    database: Name
    fasta: str | None = Field(None, min_length=1, description="Records.")
    ids: list[Id] | None = Field(None, min_length=1, description="Proteins of the database.")


class IngestJob(Strict):
    """Proteins to store; taken where the server was started with --allow-write."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"kind": "ingest", "database": A_DATABASE, "fasta": f">new\n{_SEQUENCE}\n"}]},
    )

    kind: Literal["ingest"]
    database: Name
    fasta: str = Field(min_length=1, description="Records.")
    dataset: Text | None = Field(None, description="Name stored with every record.")
    organism: Text | None = Field(None, description="Of records whose header names none.")
    taxid: int | None = Field(None, ge=1, lt=1 << 31, description="Of records whose header names none.")
    update: bool = Field(False, description="Replace known proteins that differ.")


JobRequest = Annotated[SearchJob | IngestJob, Discriminator("kind")]


class JobAnswer(BaseModel):
    """A job: its state, and how far it is."""

    id: str
    kind: str
    database: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    done: int = Field(description="Queries answered, or proteins stored.")
    total: int | None = Field(description="Of how many.")
    created: datetime
    started: datetime | None
    ended: datetime | None
    error: dict[str, Any] | None = Field(description="The problem of a failed one.")
    result: str | None = Field(description="The address of the result, once there is one.")


class Health(BaseModel):
    """The process answers."""

    status: str = "ok"
    version: str


class Ready(BaseModel):
    """Whether models are loaded."""

    ready: bool
    databases: dict[str, str]


class ProblemAnswer(BaseModel):
    """An error, as RFC 9457 has it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
