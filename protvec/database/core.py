"""What every part of ``Database`` stands on: the store, and the model that its vectors are of."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from protvec import models
from protvec.database.settings import Settings
from protvec.errors import DatabaseError, SpaceMismatchError, UnknownModelError

if TYPE_CHECKING:
    from typing_extensions import Self

    from protvec.engine.base import Encoder
    from protvec.store import Store


class Core:
    """An open store and the model of its space, which is loaded when it is first needed."""

    def __init__(self, store: Store, settings: Settings | None = None, *, encoder: Encoder | None = None) -> None:
        self._path = store.path
        self._store: Store | None = store
        self.settings = settings or Settings()
        self._encoder = encoder
        self._lock = threading.Lock()

    @property
    def store(self) -> Store:
        """The open store.

        Raises:
            DatabaseError: this is closed.
        """
        store = self._store
        if store is None:
            raise DatabaseError(f"{self._path} is closed: open it again")
        return store

    @property
    def path(self) -> str:
        """Absolute path of the database."""
        return self._path

    def close(self) -> None:
        """Let the model, the tables and what is held in memory of them go. Again, it does nothing.

        Nothing has to be saved: every change is on the disk when its call returns. A program that ends needs no
        ``close``; one that opens many databases does, and ``with`` calls it. What runs in other threads meanwhile ends
        as it would have, but for iterators, whose next step says that the database is closed.
        """
        with self._lock:
            self._store = self._encoder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def encoder(self) -> Encoder:
        """The model of this database, loaded once.

        Raises:
            ModelError: its weights cannot be had.
            SpaceMismatchError: the weights are not those that this database's vectors were made with.
            EngineError: it cannot run as asked on this machine.
        """
        with self._lock:
            if self._encoder is None:
                checkpoint = self._checkpoint()
                self._encoder = self.settings.encoder(checkpoint, recorded=self.store.precision)
            return self._encoder

    def _checkpoint(self) -> models.Checkpoint:
        """The weights of this database's space. Of imported vectors only the model's name is known: it is trusted."""
        space = self.store.space
        if space.verified:
            checkpoint = self.settings.checkpoint(space.model)
            self.store.check_space(checkpoint.space)
            return checkpoint
        if self.settings.model is None and space.model not in models.MODELS:
            raise UnknownModelError(
                f"{self.path} holds imported vectors of {space.model}, whose weights are not known: "
                "search by id or by vector, not by sequence"
            )
        checkpoint = self.settings.checkpoint(space.model)
        if checkpoint.space.dimension != space.dimension:
            raise SpaceMismatchError(
                f"{self.path} holds vectors of {space}, not of {checkpoint.space}",
                expected=space,
                actual=checkpoint.space,
            )
        say = self.settings.notify or (lambda _: None)
        say(f"the database's vectors were imported: that they are of {checkpoint.space} is not checked")
        return checkpoint
