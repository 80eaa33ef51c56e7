"""The GA4GH refget digest: one name for a sequence, the same in every database."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NO_SEQUENCE = "NS."
"""What the digest of a protein without a sequence begins with: see ``vector_digest``."""


def digest(sequence: str) -> str:
    """The refget digest of a sequence: ``SQ.`` and the first 24 bytes of its SHA-512 in base64url.

    Source: GA4GH refget sequence collections, https://ga4gh.github.io/refget/. The sequence is taken
    as it is: upper-case letters are the caller's business.

    >>> digest("ACGT")
    'SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2'
    """
    head = hashlib.sha512(sequence.encode("ascii")).digest()[:24]
    return "SQ." + base64.urlsafe_b64encode(head).decode("ascii")


def vector_digest(id: str, vector: NDArray[np.float32]) -> str:
    """What stands in for the digest of a sequence that is not known: ``NS.`` and a digest of id and vector.

    No two proteins share one, and a protein whose vector is replaced gets another, and so other residues.

    Args:
        id: Id of the protein.
        vector: ndarray, shape=(D,), dtype=float32.
    """
    content = hashlib.sha512(id.encode() + b"\0" + vector.astype("<f4").tobytes())
    return NO_SEQUENCE + base64.urlsafe_b64encode(content.digest()[:24]).decode("ascii")
