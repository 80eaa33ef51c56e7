"""How a database gets and runs its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from protvec import models
from protvec.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from protvec.engine.base import Encoder


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a database gets and runs its model.

    Attributes:
        model: A name of the model table or a checkpoint directory; None means the one recorded in the database.
        offline: Never fetch weights.
        engine: ``auto``, ``openvino`` or ``torch``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``int8``.
        threads: Threads to embed with; None means all that this process may use.
        device: ``cpu`` or a torch device such as ``cuda``.
        latency: Have the answer to one query sooner, at the cost of the rate of many.
        notify: Called with a line of text where the user should know something, such as a licence.
    """

    model: str | Path | None = None
    offline: bool = False
    engine: str = "auto"
    precision: str = "auto"
    threads: int | None = None
    device: str = "cpu"
    latency: bool = False
    notify: Callable[[str], None] | None = None

    def checkpoint(self, recorded: str | None = None) -> models.Checkpoint:
        """The weights, fetched if they are not here and may be.

        Raises:
            ModelError: there is no such model, or its weights cannot be had.
        """
        wanted = self.model or recorded or models.DEFAULT_MODEL
        return models.obtain(wanted, offline=self.offline, notify=self.notify)

    def encoder(self, checkpoint: models.Checkpoint, *, recorded: str | None = None) -> Encoder:
        """An engine that runs the weights.

        Args:
            checkpoint: The weights.
            recorded: The precision of the vectors to compare with: ``auto`` takes it where this machine can.

        Raises:
            EngineError: it cannot run as asked on this machine.
        """
        say = self.notify or (lambda _: None)
        if recorded is None or recorded == self.precision:
            return self._load(checkpoint, self.precision)
        if self.precision != "auto":
            say(f"the database's vectors were made in {recorded}, these are in {self.precision}")
            return self._load(checkpoint, self.precision)
        try:
            return self._load(checkpoint, recorded)
        except EngineError as error:
            encoder = self._load(checkpoint, "auto")
            say(f"the database's vectors were made in {recorded}, these are in {encoder.precision}: {error}")
            return encoder

    def _load(self, checkpoint: models.Checkpoint, precision: str) -> Encoder:
        from protvec import engine

        return engine.load(
            checkpoint,
            engine=self.engine,
            precision=precision,
            threads=self.threads,
            device=self.device,
            latency=self.latency,
            notify=self.notify,
        )


class SettingsOptions(TypedDict, total=False):
    """The fields of ``Settings`` as keywords of ``open`` and ``create``."""

    model: str | Path | None
    offline: bool
    engine: str
    precision: str
    threads: int | None
    device: str
    latency: bool
    notify: Callable[[str], None] | None
