"""The GA4GH refget digest: one name for a sequence, the same in every database."""

from __future__ import annotations

import base64
import hashlib


def digest(sequence: str) -> str:
    """The refget digest of a sequence: ``SQ.`` and the first 24 bytes of its SHA-512 in base64url.

    Source: GA4GH refget sequence collections, https://ga4gh.github.io/refget/. The sequence is taken
    as it is: upper-case letters are the caller's business.

    >>> digest("ACGT")
    'SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2'
    """
    head = hashlib.sha512(sequence.encode("ascii")).digest()[:24]
    return "SQ." + base64.urlsafe_b64encode(head).decode("ascii")
