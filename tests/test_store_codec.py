from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protvec.errors import QueryError
from protvec.store.codec import CODECS, bytes_per_residue, codec_named

MATRICES = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.floats(-60_000, 60_000, width=32),
)


@given(MATRICES)
def test_float16_is_the_nearest_half(matrix):
    codec = CODECS["float16"]
    encoded, scales = codec.encode(matrix)
    back = codec.decode(encoded, scales, length=len(matrix))
    assert len(encoded) == len(matrix) * bytes_per_residue("float16", matrix.shape[1])
    assert (back.dtype, back.shape) == (np.float32, matrix.shape)
    np.testing.assert_array_equal(back, matrix.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("value", [65_520, -1e6, np.inf, -np.inf, np.nan])
def test_float16_never_stores_infinity(value):
    matrix = np.zeros((2, 3), np.float32)
    matrix[1, 2] = value
    with pytest.raises(OverflowError, match="does not fit float16"):
        CODECS["float16"].encode(matrix)


def test_float16_takes_its_largest_value():
    matrix = np.array([[65_504.0, -65_504.0]], np.float32)
    encoded, scales = CODECS["float16"].encode(matrix)
    np.testing.assert_array_equal(CODECS["float16"].decode(encoded, scales, length=1), matrix)


def test_names():
    assert all(codec_named(name).name == name for name in CODECS)
    assert bytes_per_residue("none", 768) == 0
    with pytest.raises(QueryError, match="'int3'"):
        codec_named("int3")
