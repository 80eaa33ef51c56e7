from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from protvec.errors import QueryError
from protvec.store import mean_slack
from protvec.store.codec import CODECS, bytes_per_residue, bytes_per_sequence, codec_named, compiled, kernels
from protvec.store.segments import Rule

KEEPING = [name for name, codec in CODECS.items() if codec.keeps]
LEVELS = {"int8": 256, "int4": 16}
SHAPES = st.tuples(st.integers(1, 70), st.integers(1, 9))


def matrices(largest=60_000.0):
    """Anything finite, and channels with offsets, huge outliers and constants, which random floats seldom are."""
    wild = arrays.arrays(np.float32, SHAPES, elements=st.floats(-largest, largest, width=32))
    return st.one_of(wild, st.builds(_channels, st.integers(0, 2**32), SHAPES, st.floats(0, 1)))


def _channels(seed, shape, outlier):
    rng = np.random.default_rng(seed)
    spread, middle = 10.0 ** rng.integers(-6, 2, (2, 1, shape[1])) * rng.integers(0, 2, (2, 1, shape[1]))
    array = middle + spread * rng.standard_normal(shape)
    array[rng.integers(shape[0])] *= 1 + 1000 * (outlier > 0.5)
    return array.astype(np.float32)


def stored(name, array):
    """What comes back, with the encoded bytes."""
    data, scales = CODECS[name].encode(array)
    back = CODECS[name].decode(data, scales, length=len(array))
    assert (back.dtype, back.shape) == (np.float32, array.shape)
    size = len(array) * bytes_per_residue(name, array.shape[1]) + bytes_per_sequence(name, array.shape[1])
    assert len(data) + len(scales or b"") == size
    return back


@pytest.mark.parametrize("name", KEEPING)
@given(array=matrices())
@example(array=np.array([[1, -1], [-1, 1], [1e-3, 0]], np.float32))  # residues that nearly cancel
@example(array=np.array([[-6e4, 0]] + [[1, 1e-6]] * 60, np.float32))
def test_the_mean_stays_within_the_tolerance(name, array):
    back = stored(name, array)
    distance = np.linalg.norm(back.mean(axis=0, dtype=np.float64) - array.mean(axis=0, dtype=np.float64))
    tiny = 2**-25 * array.shape[1]  # of float16: what is below its normal numbers
    assert distance <= mean_slack(CODECS[name], back) * 1.001 + tiny


@pytest.mark.parametrize("name", LEVELS)
@given(array=matrices(1e9))
def test_each_value_is_within_a_step(name, array):
    """Half a step from rounding, half at most from the offset that keeps the mean, and float32's own rounding."""
    wide = array.astype(np.float64)
    step = (wide.max(axis=0) - wide.min(axis=0)) / (LEVELS[name] - 1)
    error = np.abs(stored(name, array) - wide).max(axis=0)
    assert (error <= step * 1.001 + np.abs(wide).max(axis=0) * 2**-20 + 1e-30).all()


@pytest.mark.parametrize("name", LEVELS)
@given(
    array=arrays.arrays(np.float32, st.tuples(st.just(1), st.integers(1, 9)), elements=st.floats(-1e9, 1e9, width=32))
)
def test_one_residue_and_constant_channels_are_exact(name, array):
    np.testing.assert_array_equal(stored(name, array), array)
    constant = np.repeat(array, 5, axis=0)
    np.testing.assert_array_equal(stored(name, constant), constant)


@pytest.mark.parametrize("name", KEEPING)
def test_zeros_stay_zeros(name):
    zeros = np.zeros((7, 5), np.float32)
    np.testing.assert_array_equal(stored(name, zeros), zeros)


@pytest.mark.parametrize("name", LEVELS)
def test_an_outlier_costs_its_own_channel_alone(name):
    rng = np.random.default_rng(3)
    array = rng.standard_normal((300, 33)).astype(np.float32)
    calm = np.abs(stored(name, array) - array).max()
    array[17, 20] *= 1000
    error = np.abs(stored(name, array) - array).max(axis=0)
    assert np.delete(error, 20).max() <= calm
    assert error[20] > 10 * calm


@pytest.mark.parametrize(("name", "cosine"), [("float16", 0.9999995), ("int8", 0.99995), ("int4", 0.98)])
@pytest.mark.parametrize("dimension", [256, 769])
def test_residues_keep_their_direction(name, cosine, dimension):
    rng = np.random.default_rng(5)
    array = (rng.standard_normal(dimension) + rng.standard_normal((500, dimension))).astype(np.float32)
    back = stored(name, array)
    cosines = (array * back).sum(axis=1) / np.linalg.norm(array, axis=1) / np.linalg.norm(back, axis=1)
    assert cosines.min() > cosine


def test_the_layout_is_the_documented_one():
    """Two channels by hand: what a reader without protvec does."""
    array = np.array([[0, 10, 5], [255, 10, 5], [51, 25, 5]], np.float32)
    data, scales = CODECS["int8"].encode(array)
    assert np.frombuffer(data, "u1").reshape(3, 3).tolist() == [[0, 0, 0], [255, 0, 0], [51, 255, 0]]
    step, offset = np.frombuffer(scales, "<f4").reshape(2, 3)
    np.testing.assert_allclose(step, [1, 15 / 255, 0])
    np.testing.assert_allclose(offset, [0, 10, 5], rtol=1e-6)
    data, scales = CODECS["int4"].encode(np.array([[0, 10, 7], [15, 10, 0], [3, 25, 15]], np.float32))
    packed = np.frombuffer(data, "u1").reshape(3, 2)
    assert (packed & 15).tolist() == [[0, 0], [15, 0], [3, 15]]  # channels 0 and 1
    assert (packed >> 4).tolist() == [[7, 0], [0, 0], [15, 0]]  # channel 2


@pytest.mark.parametrize("name", KEEPING)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30])
def test_what_is_not_a_usable_number_is_refused(name, value):
    matrix = np.zeros((2, 3), np.float32)
    matrix[1, 2] = value
    with pytest.raises(OverflowError, match=f"does not fit {name}"):
        CODECS[name].encode(matrix)


@pytest.mark.parametrize("value", [65_520, -1e6])
def test_float16_never_stores_infinity(value):
    with pytest.raises(OverflowError, match="does not fit float16"):
        CODECS["float16"].encode(np.array([[0, value]], np.float32))


@given(matrices())
def test_float16_is_the_nearest_half(matrix):
    np.testing.assert_array_equal(stored("float16", matrix), matrix.astype(np.float16).astype(np.float32))


def test_every_half_is_read_as_it_is():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    for bits, length in ((halves, 1), (halves, 256), (finite, 2), (finite, len(finite))):
        back = CODECS["float16"].decode(bits.tobytes(), None, length=length)
        np.testing.assert_array_equal(back.view(np.uint32), bits.astype(np.float32).view(np.uint32).reshape(length, -1))


@pytest.mark.parametrize("name", KEEPING)
def test_threads_do_not_share_what_they_work_in(name):
    rng = np.random.default_rng(1)
    many = [rng.standard_normal((rng.integers(1, 900), 300), dtype=np.float32) for _ in range(40)]

    def both_ways(array):
        kept = CODECS[name].encode(array)
        return *kept, CODECS[name].decode(*kept, length=len(array)).tobytes()

    alone = [both_ways(array) for array in many]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(both_ways, many)) == alone


def test_float16_takes_its_largest_value():
    matrix = np.array([[65_504.0, -65_504.0]], np.float32)
    np.testing.assert_array_equal(stored("float16", matrix), matrix)


def test_names():
    assert all(codec_named(name).name == name for name in CODECS)
    assert bytes_per_residue("none", 768) == bytes_per_sequence("none", 768) == 0
    assert bytes_per_residue("int4", 7) == 4
    with pytest.raises(QueryError, match=r"'int3'.*float16, int8, int4, none"):
        codec_named("int3")


# --- The compiled loops ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled_loops():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protvec.store.codec.compiled.after", lambda _: kernels)
        yield


@pytest.mark.parametrize("name", LEVELS)
@given(array=matrices(1e9))
@example(array=np.arange(300 * 700, dtype=np.float32).reshape(300, 700) ** 1.1)  # several blocks
def test_compiled_loops_give_the_same_bytes_and_the_same_numbers(name, array):
    array = np.repeat(array, 2, axis=1)  # NumPy sums a single column in another order
    codec = CODECS[name]
    plain = codec.encode(array)
    back = codec.decode(*plain, length=len(array))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protvec.store.codec.compiled.after", lambda _: kernels)
        assert codec.encode(array) == plain
        np.testing.assert_array_equal(codec.decode(*plain, length=len(array)), back)


@pytest.mark.parametrize("length", [181, 240, 1003])
@pytest.mark.parametrize("dimension", [2, 16, 257])
def test_compiled_loops_cut_the_same_segments(length, dimension):
    residues = np.random.default_rng(length).standard_normal((length, dimension)).astype(np.float32)
    residues[:, 0] = -0.0
    residues[:, 1] *= 1e30
    expected = Rule().cut(residues)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protvec.store.codec.compiled.after", lambda _: kernels)
        for given in (residues, np.asfortranarray(residues)):
            assert Rule().cut(given).tobytes() == expected.tobytes()
    assert len(expected) == Rule().count(length)


@pytest.mark.usefixtures("compiled_loops")
@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_compiled_loops_refuse_what_a_codec_cannot_hold(name, value):
    array = np.ones((5, 4), np.float32)
    array[2, 1] = value
    with pytest.raises(OverflowError, match=f"does not fit {name}"):
        CODECS[name].encode(array)


@pytest.mark.usefixtures("compiled_loops")
@pytest.mark.parametrize("name", LEVELS)
def test_compiled_loops_take_arrays_that_are_not_in_one_piece(name):
    array = np.random.default_rng(0).standard_normal((12, 10)).astype(np.float32)
    assert CODECS[name].encode(array[::2, ::2]) == CODECS[name].encode(array[::2, ::2].copy())
    target = np.empty((24, 10), np.float32)[::2]
    data, scales = CODECS[name].encode(array)
    CODECS[name].decode(data, scales, length=12, out=target)
    np.testing.assert_array_equal(target, CODECS[name].decode(data, scales, length=12))


def test_compiled_loops_are_loaded_beside_the_work_once_there_was_enough_of_it():
    loops = compiled.Kernels(enough=1000)
    assert [loops.after(600), loops.after(400), loops.loading] == [None] * 3
    loops.after(1)
    loops.loading.join()
    assert loops.after(1) is kernels


def test_without_a_compiler_numpy_goes_on(monkeypatch):
    monkeypatch.setitem(sys.modules, "protvec.store.codec.kernels", None)
    monkeypatch.delattr("protvec.store.codec.kernels")
    loops = compiled.Kernels(enough=0)
    loops.after(1)
    loops.loading.join()
    assert loops.after(1) is None
