from __future__ import annotations

import dataclasses
import functools
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from checkpoints import (
    ANKH3_PIECES,
    ANKH_PIECES,
    PROT_T5_PIECES,
    edit_config,
    require_weights,
    write_t5,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.engine import Encoder, embed, load, pool, reference
from protvec.errors import CheckpointError, EngineError, InputError
from protvec.models import find
from protvec.models.golden import GOLDEN_OUTPUTS, GOLDEN_SEQUENCES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
LENGTHS = [1, 2, 3, 7, 8, 17, 63, 64, 65, 127, 128, 129, 255, 300, 511, 512, 513, 699, 700]


def random_sequence(length: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed + length).choice(list(RESIDUES), length))


@functools.lru_cache(maxsize=2)
def plain_model(directory: Path) -> object:
    from transformers import T5EncoderModel

    return T5EncoderModel.from_pretrained(directory).eval()


def plain_loop(directory: Path, sequence: str, pieces: list[str] = ANKH_PIECES) -> NDArray[np.float32]:
    """Upstream's way, with ids that owe nothing to protvec: fp32, one sequence, ``</s>`` dropped."""
    import torch

    mark = "" if "A" in pieces else "▁"
    ids = [pieces.index(mark + letter) for letter in sequence] + [pieces.index("</s>")]
    with torch.no_grad():
        return plain_model(directory)(input_ids=torch.tensor([ids])).last_hidden_state[0, :-1].numpy()


def one(encoder: Encoder, sequence: str) -> NDArray[np.float32]:
    (residues,) = encoder.encode([sequence])
    return residues


@pytest.fixture(scope="module")
def tiny(tiny_t5: Path) -> Encoder:
    return load(find(tiny_t5), engine="torch")


@pytest.mark.parametrize("length", LENGTHS)
def test_equal_to_the_plain_loop(tiny: Encoder, tiny_t5: Path, length: int) -> None:
    sequence = random_sequence(length)
    residues = one(tiny, sequence)
    assert residues.shape == (length, 96)
    assert residues.dtype == np.float32
    np.testing.assert_allclose(residues, plain_loop(tiny_t5, sequence), rtol=0, atol=1e-5)


@settings(max_examples=20)
@given(sequence=st.text(alphabet=RESIDUES, min_size=1, max_size=60))
def test_equal_to_the_plain_loop_on_any_sequence(tiny: Encoder, tiny_t5: Path, sequence: str) -> None:
    np.testing.assert_allclose(one(tiny, sequence), plain_loop(tiny_t5, sequence), rtol=0, atol=1e-5)


def test_the_tiny_model_tells_positions_and_neighbours_apart(tiny: Encoder) -> None:
    """The checkpoint of the tests must be one on which a mistake can be seen."""
    same = one(tiny, "AAAAAAAA")
    assert np.abs(one(tiny, "AAAAAAAW")[0] - same[0]).max() > 1e-2
    assert np.abs(one(tiny, "MKAAAAAA")[7] - one(tiny, "KMAAAAAA")[7]).max() > 1e-2
    far = one(tiny, "W" + "A" * 199)[100] - one(tiny, "A" * 30 + "W" + "A" * 169)[100]
    assert np.abs(far).max() > 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "pytorch_model.bin"},
        {"shard_size": "60KB"},
        {"shard_size": "60KB", "weights": "pytorch_model.bin"},
        {"decoder": True},
        {"decoder": True, "weights": "pytorch_model.bin"},
        {"activation": "relu", "buckets": 32, "pieces": PROT_T5_PIECES, "tokenizer": "spiece.model"},
    ],
    ids=lambda options: "-".join(map(str, options.values()))[:40],
)
def test_every_kind_of_checkpoint(
    tmp_path: Path, options: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    write_t5(tmp_path / "model", **options)
    sequence = random_sequence(50)
    residues = one(load(find(tmp_path / "model"), engine="torch"), sequence)
    assert capfd.readouterr() == ("", "")
    expected = plain_loop(tmp_path / "model", sequence, options.get("pieces", ANKH_PIECES))
    np.testing.assert_allclose(residues, expected, rtol=0, atol=1e-5)


def test_the_row_of_a_prefix_is_dropped(tmp_path: Path) -> None:
    """Ankh3 reads [NLU] in front: the rows that come out are those of the residues behind it."""
    directory = write_t5(tmp_path / "three", pieces=ANKH3_PIECES, vocabulary=256, activation="gated-silu")
    pieces = [{"[NLU]": "n", "n": "[NLU]"}.get(piece, piece) for piece in ANKH3_PIECES]
    expected = plain_loop(directory, "nMKV", pieces)[1:]
    np.testing.assert_allclose(one(load(find(directory), engine="torch"), "MKV"), expected, rtol=0, atol=1e-5)


def test_half_precision_weights_run_in_fp32(tmp_path: Path, tiny_t5: Path) -> None:
    """ProtT5 is stored in half precision."""
    from transformers import T5EncoderModel

    half = T5EncoderModel.from_pretrained(tiny_t5).half()
    half.save_pretrained(tmp_path)
    shutil.copy(tiny_t5 / "tokenizer.json", tmp_path)
    model = reference.load_t5(tmp_path)
    assert {str(p.dtype) for p in model.parameters()} == {"torch.float32"}
    assert not model.training
    residues = one(load(find(tmp_path), engine="torch"), "MKVAWC" * 5)
    np.testing.assert_allclose(residues, plain_loop(tmp_path, "MKVAWC" * 5), rtol=0, atol=1e-5)


def test_with_and_without_the_package_of_ankh(tiny_t5: Path, tiny: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past Python 3.11 ankh does not install; transformers alone must give the same."""
    for name in [name for name in sys.modules if name.split(".")[0] == "ankh"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ankh", None)
    without = load(find(tiny_t5), engine="torch")
    assert sys.modules["ankh"] is None
    np.testing.assert_array_equal(one(without, "MKVAWC"), one(tiny, "MKVAWC"))


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="ankh does not install past Python 3.11")
def test_ankh_loads_the_model_where_it_installs(tiny_t5: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ankh.models import ankh_transformers

    original, calls = ankh_transformers.get_specified_model, []

    def spy(**arguments: object) -> object:
        calls.append(arguments)
        return original(**arguments)

    monkeypatch.setattr(ankh_transformers, "get_specified_model", spy)
    reference.load_t5(tiny_t5)
    assert [call["path"] for call in calls] == [str(tiny_t5)]


def test_order_count_and_laziness(tiny: Encoder) -> None:
    sequences = [random_sequence(n, seed=n) for n in (30, 1, 200, 5, 30)] + ["MKV", "MKV"]
    embeddings = list(embed(tiny, iter(sequences)))
    assert [len(e.residues) for e in embeddings] == [len(s) for s in sequences]
    for embedding, sequence in zip(embeddings, sequences, strict=True):
        np.testing.assert_array_equal(embedding.residues, one(tiny, sequence))
        np.testing.assert_allclose(embedding.vector, embedding.residues.mean(axis=0), rtol=0, atol=1e-6)
    taken: list[str] = []
    stream = tiny.encode(taken.append(s) or s for s in sequences)
    next(stream)
    assert taken == sequences[:1]


def test_pool_is_the_plain_mean() -> None:
    residues = np.array([[1, 2], [3, 6]], dtype=np.float32)
    np.testing.assert_array_equal(pool(residues), np.array([2, 4], dtype=np.float32))


@pytest.mark.parametrize("letter", "UZOBJ")
def test_rare_letters_are_embedded_as_x(tiny: Encoder, tiny_t5: Path, letter: str) -> None:
    np.testing.assert_allclose(one(tiny, f"MK{letter}V"), plain_loop(tiny_t5, "MKXV"), rtol=0, atol=1e-5)


def test_an_empty_sequence_is_refused(tiny: Encoder) -> None:
    with pytest.raises(InputError, match="empty"):
        one(tiny, "")


def test_what_it_says_of_itself(tiny: Encoder) -> None:
    assert (tiny.dimension, tiny.precision, tiny.engine) == (96, "fp32", "torch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorflow"}, "no engine is named"),
        ({"precision": "fp16"}, "no precision is named"),
        ({"engine": "torch", "precision": "int8"}, "does not run tiny-ankh in int8"),
        ({"engine": "torch", "threads": 0}, "at least one"),
        ({"engine": "torch", "device": "gpu"}, "no device 'gpu'"),
        ({"engine": "torch", "device": "meta"}, "not on meta"),
        ({"engine": "torch", "device": "cuda:99"}, "sees no device cuda:99"),
        ({"engine": "openvino", "device": "cuda"}, "CPU alone"),
    ],
)
def test_what_cannot_run_is_refused(tiny_t5: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        load(find(tiny_t5), **options)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("lost", ["block.1.layer.1.DenseReluDense.wo.weight", "relative_attention_bias", "shared"])
def test_a_checkpoint_that_lacks_a_weight_is_refused(tmp_path: Path, weights: str, lost: str) -> None:
    """Transformers would fill it with random numbers, and say so in a warning alone."""
    import torch
    from safetensors.torch import load_file, save_file

    path = write_t5(tmp_path / "model", weights=weights) / weights
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    kept = {name: tensor for name, tensor in tensors.items() if lost not in name and "embed_tokens" not in name}
    assert len(kept) < len(tensors)
    if path.suffix == ".safetensors":
        save_file(kept, path, metadata={"format": "pt"})
    else:
        torch.save(kept, path)
    with pytest.raises(CheckpointError, match=f"lack a part of the encoder: .*{lost}"):
        load(find(path.parent), engine="torch")


def test_weights_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        directory = write_t5(tmp_path / name, weights=name)
        (directory / name).write_bytes(b"\x00" * 100)
        with pytest.raises(CheckpointError, match="cannot be loaded"):
            load(find(directory), engine="torch")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model")
    edit_config(directory, d_ff=96)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load(find(directory), engine="torch")


def test_a_config_with_more_layers_than_the_weights_is_refused(tmp_path: Path) -> None:
    directory = write_t5(tmp_path / "model", layers=2)
    edit_config(directory, num_layers=3)
    with pytest.raises(CheckpointError, match=r"encoder\.block\.2"):
        load(find(directory), engine="torch")


def test_loading_leaves_the_log_of_transformers_as_it_was(tmp_path: Path) -> None:
    import logging

    from transformers.utils import logging as transformers_logging

    logger = logging.getLogger("transformers.modeling_utils")
    before = (list(logger.filters), logger.level, transformers_logging.is_progress_bar_enabled())
    reference.load_t5(write_t5(tmp_path / "model", shard_size="60KB"))
    assert (list(logger.filters), logger.level, transformers_logging.is_progress_bar_enabled()) == before


@pytest.mark.weights
@pytest.mark.parametrize("model", GOLDEN_OUTPUTS)
def test_golden_outputs(model: str) -> None:
    """The goldens of Ankh3 were made without its [NLU]."""
    checkpoint = require_weights(model)
    bare = dataclasses.replace(checkpoint, spec=dataclasses.replace(checkpoint.spec, prefix=""))
    golden = GOLDEN_OUTPUTS[model]
    outputs = embed(load(bare, engine="torch"), GOLDEN_SEQUENCES)
    for (vector, first, last), embedding in zip(golden.rows, outputs, strict=True):
        np.testing.assert_allclose(embedding.vector[:8], vector, rtol=0, atol=0.1 * golden.scale)
        np.testing.assert_allclose(embedding.residues[0, :4], first, rtol=0, atol=0.3 * golden.scale)
        np.testing.assert_allclose(embedding.residues[-1, :4], last, rtol=0, atol=0.3 * golden.scale)
