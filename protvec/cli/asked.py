"""Which queries a command line of ``protvec search`` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from protvec.cli.queries import Source
    from protvec.database import Database


@dataclass(frozen=True)
class Asked:
    """The options that say what to search with."""

    query: str | None
    id: tuple[str, ...]
    ids: str | None
    all: bool
    against: str | None
    vectors: str | None
    like: tuple[str, ...]
    unlike: tuple[str, ...]
    text: str | None
    where: str | None
    align: bool = False

    @property
    def option(self) -> str:
        """The option that needs no model, for messages."""
        given = {
            "--id": self.id,
            "--ids": self.ids,
            "--all": self.all,
            "--vectors": self.vectors,
            "--like": self.like,
            "--against": self.against,
        }
        return next((name for name, value in given.items() if value), "--text")

    @property
    def only_text(self) -> bool:
        """Whether the text is the only query."""
        return self.text is not None and not self._kinds

    @property
    def both(self) -> bool:
        """Whether hits are ranked by vector and by text."""
        return self.text is not None and not self.only_text

    @property
    def _kinds(self) -> int:
        """How many kinds of queries there are, beside the text."""
        stored = bool(self.id or self.ids)
        return (self.query is not None) + stored + self.all + (self.vectors is not None) + bool(self.like)

    def check(self, *, exclude_self: bool | None, min_score: float | None, evalue: float | None = None) -> None:
        """Refuse options that do not go together.

        Raises:
            BadParameter: They do not.
        """
        if self.unlike and not self.like:
            raise typer.BadParameter("needs --like: say what to be near to", param_hint="--unlike")
        if self._kinds > 1 or not (self._kinds or self.against or self.text is not None):
            raise typer.BadParameter(
                "give a query, --id or --ids, --all or --against, --vectors, --like, or --text: one of them",
                param_hint="SEQ|FASTA|-",
            )
        for option, reason in self._useless(exclude_self, min_score, evalue):
            raise typer.BadParameter(reason, param_hint=option)

    def _useless(
        self, exclude_self: bool | None, min_score: float | None, evalue: float | None
    ) -> list[tuple[str, str]]:
        """Options that mean nothing beside the others, and why."""
        sequence, file = self.query is not None, self.vectors is not None
        nobody = exclude_self is not None and (file or self.like or self.only_text)
        some = sequence or self.id or self.ids or file or self.like or self.only_text
        whole = self.all or (self.against and not (self.id or self.ids))
        rules = {
            ("--against", "searches with stored proteins; for others, name it with --db"): self.against
            and (sequence or file or self.like),
            ("--text", "is for one query or some, not for a whole database: --where limits its hits"): self.text
            is not None
            and whole,
            ("--exclude-self", "has no use with --against: it is another database"): self.against
            and exclude_self is not None,
            ("--exclude-self", f"has no use with {self.option}, which is no protein of the database"): nobody,
            ("--min-score", "is a cosine: it has no use with --text alone"): self.only_text and min_score is not None,
            ("--evalue", "is of scores by vector: it has no use with --text alone"): self.only_text
            and evalue is not None,
            ("--align", f"needs the residues of a query: it has no use with {self.option}"): self.align
            and (file or self.like or self.only_text),
            ("--align", "ranks by alignment, --text by vector and text: choose one"): self.align and self.both,
            ("--query-where", "is for --all and --against"): self.where is not None and some,
        }
        return [rule for rule, broken in rules.items() if broken]

    def source(self, database: Database, against: Database | None) -> Source:
        """The queries."""
        from protvec.cli.other_queries import Like, Vectors, Words
        from protvec.cli.queries import Sequences, Stored, Whole, read_ids

        if self.query is not None:
            return Sequences(database, self.query)
        if self.vectors is not None:
            return Vectors(database, self.vectors)
        if self.like:
            return Like(database, self.like, self.unlike)
        if self.id or self.ids:
            ids = [*self.id, *(read_ids(self.ids) if self.ids else ())]
            return Stored(database, database if against is None else against, ids)
        if self.only_text:
            return Words(database, str(self.text))
        return Whole(database, against, self.where)

    def settings(self) -> dict[str, Any]:
        """What kind of search it is."""
        from protvec import __version__

        stored = "ids" if self.id or self.ids else "a whole database"
        kind = "sequences" if self.query is not None else stored
        kind = "vectors" if self.vectors else "like" if self.like else "text" if self.only_text else kind
        return {"protvec": __version__, "queries": kind}
