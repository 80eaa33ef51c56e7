"""Every exception that protvec raises on purpose.

::

    ProtvecError
    ├── InputError (ValueError)         what the user gave cannot be used
    │   ├── FastaError                  a sequence file, with file and line
    │   ├── ExchangeError               a file to import or to export to; carries ``file``
    │   ├── TableError                  a table of annotations, with file and line
    │   ├── ShardError                  a directory of shards, or one of them
    │   ├── QueryError                  a query sequence, vector, id or setting
    │   └── FilterError                 a ``where`` filter or a column name
    ├── ModelError                      a model or its weights
    │   ├── UnknownModelError           no such name in the table, no such directory
    │   ├── ModelUnavailableError       known, but its weights are not on this machine
    │   └── CheckpointError             weights are here, but not what they should be
    ├── EngineError                     an encoder cannot run as asked on this machine
    ├── DatabaseError                   a database as a whole
    │   ├── DatabaseNotFoundError (FileNotFoundError)
    │   ├── DatabaseExistsError (FileExistsError)
    │   ├── DatabaseLocationError       a path or URL that is mistyped, or cannot be reached
    │   ├── DatabaseFormatError         not a protvec database, damaged, or another schema version
    │   ├── ColumnGoneError             another process has removed what was being filled
    │   ├── SnapshotNotFoundError       no version of that name; carries ``near``
    │   └── SpaceMismatchError          vectors of another model; carries ``expected`` and ``actual``
    ├── ServerError                     a server cannot be started as asked, or a client gets no answer from one
    ├── ProteinNotFoundError (KeyError) an id that is not in the database; carries ``ids``, ``near``
    └── IngestInterrupted               stopped on request after a commit; carries ``report``

Each message is one line: what was found, where, and what to do. The CLI prints it after
``protvec: error:`` and exits with 1. Any other exception is a bug in protvec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class ProtvecError(Exception):
    """Base of everything that protvec raises on purpose."""


class InputError(ProtvecError, ValueError):
    """What the user gave cannot be used."""


class FastaError(InputError):
    """A sequence file that cannot be read.

    Attributes:
        file: The file as the user named it (``<stdin>`` for standard input).
        line: 1-based line number; None where the fault is of the whole file.
    """

    def __init__(self, message: str, *, file: str, line: int | None = None) -> None:
        self.file = file
        self.line = line
        where = file if line is None else f"{file}:{line}"
        super().__init__(f"{where}: {message}")


class ExchangeError(InputError):
    """A file that cannot be imported, or cannot be exported to.

    Attributes:
        file: The file as the user named it.
    """

    def __init__(self, message: str, *, file: str) -> None:
        self.file = file
        super().__init__(f"{file}: {message}")


class TableError(InputError):
    """A table of annotations that cannot be used.

    Attributes:
        place: The file and line, or the file and row, or the file alone.
    """

    def __init__(self, message: str, *, place: str) -> None:
        self.place = place
        super().__init__(f"{place}: {message}")


class ShardError(InputError):
    """A directory of shards (``protvec shard``) that is not there, is another's, or is not what it says."""


class QueryError(InputError):
    """A query sequence, vector, id or search setting that cannot be used."""


class FilterError(InputError):
    """A ``where`` filter or a list of columns that the database cannot answer."""


class ModelError(ProtvecError):
    """A model or its weights."""


class UnknownModelError(ModelError):
    """Neither a name in the model table nor a checkpoint directory."""


class ModelUnavailableError(ModelError):
    """A known model whose weights are not on this machine and cannot be fetched now."""


class CheckpointError(ModelError):
    """A checkpoint that is incomplete, malformed, or not what its name promises."""


class EngineError(ProtvecError):
    """An encoder that cannot run as asked on this machine."""


class ServerError(ProtvecError):
    """A server that cannot be started as asked, or that gives a client no answer.

    Attributes:
        status: The HTTP status of an answer that is no answer to the question; None where there was none.
        retry_after: Seconds after which to ask again, where the server says so.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        self.status = status
        self.retry_after = retry_after
        super().__init__(message)


class DatabaseError(ProtvecError):
    """A database as a whole."""


class DatabaseNotFoundError(DatabaseError, FileNotFoundError):
    """There is nothing at the path."""


class DatabaseExistsError(DatabaseError, FileExistsError):
    """There is already something at the path."""


class DatabaseLocationError(DatabaseError):
    """A path or URL where no database can be, or that cannot be reached: mistyped, no access, no network."""


class DatabaseFormatError(DatabaseError):
    """Not a protvec database, a damaged one, or one of a schema version that is not known."""


class ColumnGoneError(DatabaseError):
    """A column of a search space, or of segments, that another process has removed while it was being filled."""


class SnapshotNotFoundError(DatabaseError):
    """A database has no snapshot of that name.

    Attributes:
        near: Similar names that it has.
    """

    def __init__(self, message: str, *, near: Sequence[str] = ()) -> None:
        self.near = list(near)
        super().__init__(message)


class SpaceMismatchError(DatabaseError):
    """The database holds vectors of another embedding space.

    Attributes:
        expected: What the database holds.
        actual: What was asked for.
    """

    def __init__(self, message: str, *, expected: object, actual: object) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(message)


class ProteinNotFoundError(ProtvecError, KeyError):
    """Ids that are not in the database.

    Attributes:
        ids: The ids that were asked for and are not there.
        near: Similar ids that are there.
    """

    def __init__(self, message: str, *, ids: Sequence[str], near: Sequence[str] = ()) -> None:
        self.ids = list(ids)
        self.near = list(near)
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print its repr


class IngestInterrupted(ProtvecError):  # noqa: N818  # no failure: it stopped because it was asked to
    """An ingest that stopped on request, after a commit; nothing committed is lost.

    Attributes:
        report: The report of what was done so far.
    """

    def __init__(self, message: str, *, report: object) -> None:
        self.report = report
        super().__init__(message)
