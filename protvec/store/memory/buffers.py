"""Arrays that grow at their end while others read their beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_T = TypeVar("_T", bound=np.generic)

# So that a commit of a few rows is not a copy of all.
_HEADROOM = 1.25


def grown(array: NDArray[_T], length: int) -> NDArray[_T]:
    """The array, longer: with the room behind it, where there is enough, else a copy with more room.

    The new values are anything. Of two arrays grown from the same one, only the later may be used.
    """
    buffer = array.base if isinstance(array.base, np.ndarray) else array
    if len(buffer) < length:
        buffer = np.empty((int(length * _HEADROOM) if len(array) else length, *array.shape[1:]), array.dtype)
        buffer[: len(array)] = array
    longer: NDArray[_T] = buffer[:length]
    return longer
