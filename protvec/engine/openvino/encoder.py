"""The fast engine: a converted model on OpenVINO's CPU plugin."""

from __future__ import annotations

import functools
import math
import queue
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino.constants import activation_group
from protvec.engine.openvino.convert import MODEL_FILE, convert
from protvec.engine.openvino.device import compile_files, properties
from protvec.engine.openvino.run import ordered
from protvec.engine.threads import available_cpus
from protvec.errors import EngineError
from protvec.models.tokens import TokenTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.engine.openvino.shape import Shape
    from protvec.models import Checkpoint

# What is read ahead of the result that is due, so that long sequences can start early.
_WINDOW_SEQUENCES, _WINDOW_RESIDUES = 256, 65_536
# Entries of the position bias that one request may hold; longer sequences run in blocks. Ankh-base: from
# 4,729 residues on.
_WHOLE_BIAS = 1 << 28
# Residues that short sequences of one length may have together in one request. All weights pass through the cache
# for each request, however short: for ten residues that is half of the time.
_SHORT = 64
# NEAR has none; its memory grows with the length alone.
_NO_LIMIT = 1 << 62


def load(
    checkpoint: Checkpoint, *, precision: str, threads: int | None = None, latency: bool = False
) -> OpenVinoEncoder:
    """The fast engine of a checkpoint; the first time converts it.

    Args:
        checkpoint: From ``protvec.models.find``.
        precision: ``fp32``, ``bf16`` or ``int8``.
        threads: How many to use; None for all CPUs that this process may use.
        latency: Use all of them for each sequence, one after the other: sooner for one, later for many. The
            vectors are the same.

    Raises:
        CheckpointError: The weights are not what they should be.
        EngineError: This machine cannot run it so.
    """
    tokens = TokenTable.from_checkpoint(checkpoint)
    xml = convert(checkpoint, precision).directory / MODEL_FILE
    shape = None
    if checkpoint.spec.architecture == "t5":
        from protvec.engine.openvino.shape import Shape

        shape = Shape.read(checkpoint.directory)
    return OpenVinoEncoder(
        xml,
        tokens,
        shape,
        precision=precision,
        dimension=checkpoint.spec.dimension,
        threads=threads,
        latency=latency,
    )


class OpenVinoEncoder:
    """A converted model, ready to run. May be used from several threads at once.

    Each sequence runs on one thread, and as many run at once as there are threads; or, for latency, one runs on
    all of them. Nothing is padded: short sequences share a request with others of the same length alone. So its
    vectors depend on nothing but the sequence.

    Args:
        xml: The converted model.
        tokens: From residues to ids.
        shape: Of a T5; None for NEAR.
        precision: Of the model.
        dimension: D.
        threads: How many to use; None for all CPUs that this process may use.
        latency: Use all of them for each sequence.
    """

    engine = "openvino"

    def __init__(
        self,
        xml: Path,
        tokens: TokenTable,
        shape: Shape | None,
        *,
        precision: str,
        dimension: int,
        threads: int | None = None,
        latency: bool = False,
    ) -> None:
        if threads is not None and threads < 1:
            raise EngineError(f"threads is {threads}, but at least one is needed")
        self.precision = precision
        self.dimension = dimension
        self.threads = threads or available_cpus()
        self._xml, self._tokens, self._shape = xml, tokens, shape
        self._streams = 1 if latency else self.threads
        self._settings = properties(precision, group=_group(shape), streams=self._streams, threads=self.threads)
        self._compiled = compile_files(xml, self._settings)
        self._idle: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._limit = math.isqrt(_WHOLE_BIAS // shape.heads) if shape else _NO_LIMIT
        self._one_long_at_a_time = threading.Lock()

    def encode(self, sequences: Iterable[str]) -> Iterator[NDArray[np.float32]]:
        """See ``Encoder.encode``."""
        return ordered(
            sequences,
            self._encode,
            cost=len,
            workers=self._streams,
            window=_WINDOW_SEQUENCES,
            room=_WINDOW_RESIDUES,
            together=lambda length: max(1, _SHORT // max(1, length)),
        )

    def _encode(self, sequences: list[str]) -> list[NDArray[np.float32]]:
        """Sequences of one length."""
        ids = np.stack([self._tokens.encode(sequence) for sequence in sequences]).astype(np.int32)
        if ids.shape[1] <= self._limit:
            return self._whole(ids)
        with self._one_long_at_a_time:  # it uses all threads by itself
            return [self._tokens.residues(self._blocks.encode(row)) for row in ids]

    def _whole(self, ids: NDArray[np.int32]) -> list[NDArray[np.float32]]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:  # made when it is needed: a lone query needs one, and it takes a while
            request = self._compiled.create_infer_request()
        try:
            request.infer([ids])
            return [self._tokens.residues(hidden).copy() for hidden in request.get_output_tensor(0).data]
        finally:
            self._idle.put(request)

    @functools.cached_property
    def _blocks(self) -> Any:  # noqa: ANN401
        from protvec.engine.openvino.blocks import BlockEncoder

        assert self._shape is not None
        return BlockEncoder(
            self._xml, self._shape, precision=self.precision, settings=self._settings, workers=self._streams
        )


def _group(shape: Shape | None) -> int:
    if shape is None:
        return 0
    return activation_group(shape.widths)
