"""What a directory of shards says about itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from protvec.errors import ShardError
from protvec.ingest import Options, Skipped
from protvec.space import Space
from protvec.store import InputFile

VERSION = 1


@dataclass(frozen=True)
class Part:
    """A shard: rows of the table of records that belong together.

    Attributes:
        first: Its first row.
        rows: How many it has.
        sequences: Distinct sequences among them, all to be embedded.
        residues: In these sequences.
        sha256: Of the ids and the sequences' digests of its rows, in their order.
    """

    first: int
    rows: int
    sequences: int
    residues: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was cut into shards, and how.

    Attributes:
        files: The inputs, as the ledger names them.
        options: How records are treated.
        space: The embedding space.
        codec: How residue arrays are kept.
        precision: Arithmetic to embed in; None means that the first worker decides.
        shards: The shards, by number.
        rest: Records whose sequence need not be embedded.
        requested: Records read.
        repeated: Records that occur again, id and sequence alike.
        rejected: Records that cannot be stored.
        protvec: Version that cut them.
    """

    files: tuple[InputFile, ...]
    options: Options
    space: Space
    codec: str
    precision: str | None
    shards: tuple[Part, ...]
    rest: Part
    requested: int
    repeated: int
    rejected: tuple[Skipped, ...]
    protvec: str
    id: str = field(default="", compare=False)

    def named(self) -> Manifest:
        """The same with its ``id``: a digest of all that decides what is embedded, and of the inputs."""
        from dataclasses import replace

        plain = self.to_dict()
        for name in ("id", "protvec"):
            plain.pop(name)
        text = json.dumps(plain, sort_keys=True, ensure_ascii=False)
        return replace(self, id=hashlib.sha256(text.encode()).hexdigest()[:16])

    def part(self, number: int) -> Part:
        """A shard, or the rest, whose number is that of the shards."""
        return self.rest if number == len(self.shards) else self.shards[number]

    @property
    def residues(self) -> int:
        """To be embedded."""
        return sum(part.residues for part in self.shards)

    @property
    def sequences(self) -> int:
        """Distinct ones to be embedded."""
        return sum(part.sequences for part in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON can carry them."""
        return asdict(self) | {"options": self.options.to_dict(), "space": self.space.to_dict()}

    def to_json(self) -> str:
        """The JSON text."""
        return json.dumps({"version": VERSION, **self.to_dict()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, *, path: str) -> Manifest:
        """Read it.

        Raises:
            ShardError: It is damaged, or of a newer version.
        """
        try:
            values = json.loads(text)
            version = values.pop("version")
            if version > VERSION:
                raise ShardError(f"{path}: shards of protvec {values.get('protvec')}, newer than this one: upgrade it")
            options = values["options"]
            values["options"] = Options(**options | {"fix": frozenset(options["fix"])})
            values["space"] = Space(**values["space"])
            values["files"] = tuple(InputFile(**file) for file in values["files"])
            values["shards"] = tuple(Part(**part) for part in values["shards"])
            values["rest"] = Part(**values["rest"])
            values["rejected"] = tuple(Skipped(**record) for record in values["rejected"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(error, ShardError):
                raise
            raise ShardError(f"{path}: not a directory of shards, or damaged ({error!r})") from error
