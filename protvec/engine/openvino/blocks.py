"""Sequences too long for the whole graph: layer by layer, attention in blocks of queries. Exact: no window.

Of a sequence of L tokens, the whole graph needs heads x L x L numbers for the position bias alone. Here each
layer is compiled by itself when its turn comes, and let go after: projections in chunks of tokens, then, for
each block of queries, the bias against all keys, attention, and the feed-forward.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.engine.openvino.constants import FromModel
from protvec.engine.openvino.device import core
from protvec.engine.openvino.graph import T5Graph
from protvec.engine.openvino.weights import EMBEDDING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.engine.openvino.shape import Shape

# Entries of the position bias in one block: with the copies that OpenVINO makes, about 1 GB in each stream.
_BLOCK = 100_000_000
_CHUNK = 2048


class BlockEncoder:
    """Runs a converted T5 in pieces, with the memory of one layer's weights.

    Args:
        xml: The converted model.
        shape: Of the encoder.
        precision: Of the model.
        settings: How to compile each piece.
        workers: Streams among them.
    """

    def __init__(self, xml: Path, shape: Shape, *, precision: str, settings: dict[str, Any], workers: int) -> None:
        self._shape = shape
        self._constants = FromModel(core().read_model(str(xml)), precision)
        self._graph = T5Graph(shape, self._constants)
        self._settings = settings
        self._workers = workers

    def encode(self, ids: NDArray[np.int32], *, block: int | None = None) -> NDArray[np.float32]:
        """The last hidden state.

        Args:
            ids: ndarray, shape=(L,).
            block: Queries at a time; by default what keeps the bias of a block at a constant size.

        Returns:
            ndarray, shape=(L, D).
        """
        embedding = self._constants.array(EMBEDDING, (None, self._shape.d_model)).data
        x: NDArray[np.float32] = embedding[ids][None]
        size = block or max(16, min(_CHUNK, _BLOCK // (self._shape.heads * len(ids))))
        with ThreadPoolExecutor(self._workers) as pool:
            for layer in range(self._shape.layers):
                q, k, v = self._project(layer, x, min(_CHUNK, size if block else _CHUNK), pool)
                x = self._attend(layer, x, q, k, v, size, pool)
        hidden: NDArray[np.float32] = x[0]
        return hidden

    def _project(self, layer: int, x: NDArray[np.float32], size: int, pool: ThreadPoolExecutor) -> Any:  # noqa: ANN401
        """Queries, keys and values of all tokens, each ndarray, shape=(1, H, L, K)."""
        shape = (1, self._shape.heads, x.shape[1], self._shape.d_kv)
        parts = [np.empty(shape, dtype=np.float32) for _ in range(3)]

        def run(request: Any, start: int) -> None:  # noqa: ANN401
            request.infer([x[:, start : start + size]])
            for i, part in enumerate(parts):
                part[:, :, start : start + size] = request.get_output_tensor(i).data

        self._run(self._graph.projection(layer), run, range(0, x.shape[1], size), pool)
        return parts

    def _attend(
        self,
        layer: int,
        x: NDArray[np.float32],
        q: NDArray[np.float32],
        k: NDArray[np.float32],
        v: NDArray[np.float32],
        size: int,
        pool: ThreadPoolExecutor,
    ) -> NDArray[np.float32]:
        out = np.empty_like(x)

        def run(request: Any, start: int) -> None:  # noqa: ANN401
            part = slice(start, start + size)
            request.infer([x[:, part], np.ascontiguousarray(q[:, :, part]), k, v, np.int32(start)], share_inputs=True)
            out[:, part] = request.get_output_tensor(0).data

        self._run(self._graph.block(layer), run, range(0, x.shape[1], size), pool)
        return out

    def _run(self, model: Any, run: Callable[[Any, int], None], starts: range, pool: ThreadPoolExecutor) -> None:  # noqa: ANN401
        """Call ``run`` for each start, with a request that no other thread has."""
        compiled = core().compile_model(model, "CPU", self._settings)
        own = threading.local()

        def task(start: int) -> None:
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            run(own.request, start)

        for _ in pool.map(task, starts):
            pass
