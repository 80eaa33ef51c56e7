"""Where a database lies: a local directory, or a URL of an object store."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from protvec.errors import DatabaseError, DatabaseLocationError
from protvec.store.remote import QUICK, explain_remote

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMES = {"s3": "s3://BUCKET/PATH", "gs": "gs://BUCKET/PATH", "az": "az://CONTAINER/PATH"}
# What other programs call the same stores, and what people try.
_MEANT = {"s3a": "s3", "s3n": "s3", "gcs": "gs"} | dict.fromkeys(["azure", "abfs", "abfss", "wasb", "wasbs"], "az")
_FOREIGN = ("file", "hdfs", "http", "https", "ftp", "memory")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # lance refuses these, and says so in four lines


@dataclass(frozen=True)
class Location:
    """A place for a database, or for a table of one. In text it is its path.

    Attributes:
        path: An absolute path, or a URL without a slash at its end.
        options: Lance's storage options for an object store, secrets among them: never shown.
    """

    path: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def __str__(self) -> str:
        return self.path

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine."""
        return "://" not in self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """What it lies in; of an object store at least the bucket."""
        if self.is_local:
            return Location(str(Path(self.path).parent))
        return Location(self.path.rpartition("/")[0], self.options)

    def join(self, name: str) -> Location:
        """What has that name in it."""
        path = str(Path(self.path) / name) if self.is_local else f"{self.path}/{name}"
        return Location(path, self.options)

    @property
    def storage(self) -> dict[str, str] | None:
        """The options as lance takes them."""
        return None if self.is_local else dict(self.options)

    def exists(self) -> bool:
        """Whether there is a file or a directory; in an object store, whether anything is in it.

        Raises:
            DatabaseLocationError: That cannot be told: no permission, no such bucket, no network.
        """
        if not self.is_local:
            return bool(self.entries())
        try:
            return Path(self.path).exists()
        except OSError as error:
            raise DatabaseLocationError(f"{self}: cannot be looked at: {error.strerror or error}") from error

    def is_file(self) -> bool:
        """Whether it is something local that is not a directory."""
        return self.is_local and self.exists() and not Path(self.path).is_dir()

    def entries(self) -> set[str]:
        """Names of what is directly in it; none if it is not there or a file.

        Raises:
            DatabaseLocationError: See ``exists``.
        """
        if not self.is_local:
            return self._listed()
        try:
            return {entry.name for entry in Path(self.path).iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as error:
            raise DatabaseLocationError(f"{self}: cannot be read: {error.strerror or error}") from error

    def make(self) -> list[Path]:
        """Make the directory and its parents, which are returned, outermost first; an object store needs none.

        Raises:
            DatabaseError: It cannot be made.
        """
        if not self.is_local:
            return []
        path = Path(self.path)
        try:
            missing = [parent for parent in (path, *path.parents) if not parent.exists()]
            path.mkdir(parents=True, exist_ok=True)
            return missing[::-1]
        except OSError as error:
            raise DatabaseError(f"{self}: cannot be created: {error.strerror or error}") from error

    def _listed(self) -> set[str]:
        """One listing, which fails within seconds where lance would try for minutes."""
        from lance.file import LanceFileSession

        try:
            found = LanceFileSession(f"{self.path}/", storage_options={**QUICK, **self.options}).list_with_delimiter()
        except (OSError, ValueError, RuntimeError) as error:
            raise DatabaseLocationError(f"{self}: cannot be reached: {explain_remote(error)}") from error
        return {entry.rpartition("/")[2] for entry in [*found.common_prefixes, *found.objects]}


def locate(path: str | Path, options: Mapping[str, str] | None = None) -> Location:
    """The location that a user means.

    Args:
        path: A local path, ``~`` and relative ones too, or ``s3://…``, ``gs://…``, ``az://…``.
        options: Storage options for an object store.

    Raises:
        DatabaseLocationError: No such place can be: an empty or mistyped name, options for a local path.
    """
    text = str(path)
    if not text.strip():
        raise DatabaseLocationError("the name of the database is empty: give a directory, or a URL such as s3://…")
    if _CONTROL.search(text):
        raise DatabaseLocationError(f"{text!r}: the name of a database cannot have control characters in it")
    if _is_url(text):
        return Location(_checked(text), dict(options or {}))
    if options:
        raise DatabaseLocationError(f"{text}: storage options are for object stores ({', '.join(SCHEMES)}://…)")
    try:
        return Location(str(Path(text).expanduser().absolute()))
    except (OSError, RuntimeError) as error:  # no such user, or the working directory is gone
        raise DatabaseLocationError(f"{text}: not a path: {error}") from error


def free_bytes(path: str | Path) -> int | None:
    """Bytes free on the disk of a database that is there or will be; None for an object store, which has no end."""
    import shutil

    where = locate(path)
    if not where.is_local:
        return None
    while not where.exists():
        where = where.parent
    return shutil.disk_usage(where.path).free


def _is_url(text: str) -> bool:
    """Whether it is, or is meant to be, a URL. A directory of such a name is ``./s3:…``."""
    scheme, colon, rest = text.partition(":")
    known = scheme.lower() in {*SCHEMES, *_MEANT}
    return bool(colon) and (known or (rest.startswith("/") and scheme.lower() in _FOREIGN) or rest.startswith("//"))


def _checked(url: str) -> str:
    scheme, _, rest = url.partition(":")
    meant = _MEANT.get(scheme.lower(), scheme.lower())
    if meant not in SCHEMES:
        others = f"use a directory, or {', '.join(SCHEMES.values())}"
        hint = "a directory needs no scheme" if meant == "file" else others
        raise DatabaseLocationError(f"{url}: no database can be at {scheme}: URLs: {hint}")
    bucket, _, key = rest.lstrip("/").rstrip("/").partition("/")
    right = f"{meant}://{bucket or 'BUCKET'}/{key or 'PATH'}"
    if scheme != meant or not rest.startswith("//") or rest.startswith("///") or not bucket or not key:
        raise DatabaseLocationError(f"{url}: not the URL of a database: did you mean {right}")
    if set(key) & set("?#%\\") or {"", ".", ".."} & set(key.split("/")):
        raise DatabaseLocationError(f"{url}: the URL of a database has no ?, #, %, \\, nor empty or dotted parts")
    return right
