"""What every part of ``Database`` stands on: the store, and the model that its vectors are of."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from protvec import models
from protvec.database.settings import Settings
from protvec.errors import SpaceMismatchError, UnknownModelError

if TYPE_CHECKING:
    from protvec.engine.base import Encoder
    from protvec.store import Store


class Core:
    """An open store and the model of its space, which is loaded when it is first needed."""

    def __init__(self, store: Store, settings: Settings | None = None, *, encoder: Encoder | None = None) -> None:
        self.store = store
        self.settings = settings or Settings()
        self._encoder = encoder
        self._lock = threading.Lock()

    @property
    def path(self) -> str:
        """Absolute path of the database."""
        return self.store.path

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
