from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from checkpoints import (
    ANKH3_PIECES,
    ANKH_PIECES,
    PROT_T5_PIECES,
    require_weights,
    with_extra_ids,
    write_spiece_model,
    write_tokenizer_json,
)
from hypothesis import given
from hypothesis import strategies as st

from protvec.errors import CheckpointError, InputError
from protvec.models import MODELS, TokenTable, find
from protvec.models.golden import GOLDEN_SEQUENCES
from protvec.models.tokens import read_vocabulary

if TYPE_CHECKING:
    from pathlib import Path

# The ids that the official tokenizers give to the golden sequences (Ankh3 without its [NLU]).
GOLDEN_ANKH = [
    "19 13 3 5 15 8 16 6 22 14 3 15 19 3 9 13 19 15 17 11 3 11 16 20 9 18 20 22 22 11 13 11 8 19 18 "
    "12 17 11 13 6 17 8 3 15 5 22 15 10 5 13 12 12 15 5 21 13 13 9 8 9 12 1",
    "19 18 13 17 16 11 7 15 3 20 5 15 21 6 20 16 12 21 4 5 15 17 5 17 6 12 15 18 19 1",
    "19 22 3 10 13 7 14 22 12 18 19 18 6 1",
]
GOLDEN_ANKH3 = [
    "24 17 8 9 20 13 21 11 25 18 8 20 24 8 12 17 24 20 19 14 8 14 21 23 12 22 23 25 25 14 17 14 13 24 "
    "22 15 19 14 17 11 19 13 8 20 9 25 20 16 9 17 15 15 20 9 26 17 17 12 13 12 15 1",
    "24 22 17 19 21 14 10 20 8 23 9 20 26 11 23 21 15 26 7 9 20 19 9 19 11 15 20 22 24 1",
    "24 25 8 16 17 10 18 25 15 22 24 22 11 1",
]

letters = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=80)


def table_of(pieces: list[str], prefix: str = "") -> TokenTable:
    return TokenTable.from_vocabulary({piece: i for i, piece in enumerate(pieces)}, prefix=prefix, where="test")


@pytest.mark.parametrize(
    ("model", "pieces", "golden"),
    [
        ("ankh-base", ANKH_PIECES, GOLDEN_ANKH),
        ("ankh-large", ANKH_PIECES, GOLDEN_ANKH),
        ("ankh3-large", ANKH3_PIECES, GOLDEN_ANKH3),
    ],
)
def test_golden_ids(model: str, pieces: list[str], golden: list[str]) -> None:
    table = table_of(pieces)
    table.check_known(MODELS[model].known_ids, model=model, where="test")
    assert [table.encode(s).tolist() for s in GOLDEN_SEQUENCES] == [[int(i) for i in g.split()] for g in golden]


@pytest.mark.weights
@pytest.mark.parametrize(
    ("model", "golden"),
    [("ankh-base", GOLDEN_ANKH), ("ankh-large", GOLDEN_ANKH), ("ankh3-large", GOLDEN_ANKH3)],
)
def test_golden_ids_of_the_official_vocabulary(model: str, golden: list[str]) -> None:
    checkpoint = require_weights(model)
    bare = dataclasses.replace(checkpoint, spec=dataclasses.replace(checkpoint.spec, prefix=""))
    table = TokenTable.from_checkpoint(bare)
    assert [table.encode(s).tolist() for s in GOLDEN_SEQUENCES] == [[int(i) for i in g.split()] for g in golden]


@given(letters)
def test_one_id_for_each_residue_and_one_for_the_end(sequence: str) -> None:
    ids = table_of(ANKH_PIECES).encode(sequence)
    assert ids.dtype == np.int64
    assert ids.shape == (len(sequence) + 1,)
    assert ids[-1] == ANKH_PIECES.index("</s>")
    assert ANKH_PIECES.index("<unk>") not in ids
    read = "".join(ANKH_PIECES[i] for i in ids[:-1])
    assert read == "".join("X" if letter in "UZOBJ" else letter for letter in sequence)


@given(letters)
def test_the_prefix_is_in_front_and_its_row_is_cropped(sequence: str) -> None:
    table = table_of(ANKH3_PIECES, prefix="[NLU]")
    ids = table.encode(sequence)
    assert ids[0] == ANKH3_PIECES.index("[NLU]")
    np.testing.assert_array_equal(ids[1:], table_of(ANKH3_PIECES).encode(sequence))
    np.testing.assert_array_equal(table.residues(ids[:, None])[:, 0], ids[1:-1])


def test_near_has_no_end_token() -> None:
    table = TokenTable.from_checkpoint(find("near"))
    assert table.encode("XARNDCEQGHILKMFPSTWYV").tolist() == list(range(21))
    assert table.encode("UZOBJ").tolist() == [0] * 5


@pytest.mark.parametrize("sequence", ["", "MK*", "MK-V", "mkv", "MK V", "MK1", "MKé", "MK\n", "M\u03b1"])
def test_what_is_no_upper_case_letter_is_refused(sequence: str) -> None:
    with pytest.raises(InputError):
        table_of(ANKH_PIECES).encode(sequence)


def test_the_refusal_names_the_place() -> None:
    with pytest.raises(InputError, match=r"residue 3 of a sequence is '\*'"):
        table_of(ANKH_PIECES).encode("MK*V")


@pytest.mark.parametrize(
    ("pieces", "size"),
    [(ANKH_PIECES, 144), (ANKH3_PIECES, 256), (PROT_T5_PIECES, 128)],
    ids=["ankh", "3", "prot"],
)
def test_both_kinds_of_vocabulary_file_read_the_same(tmp_path: Path, pieces: list[str], size: int) -> None:
    full = with_extra_ids(pieces, size)
    expected = {piece: i for i, piece in enumerate(full)}
    write_spiece_model(tmp_path, full)
    assert read_vocabulary(tmp_path) == expected
    (tmp_path / "spiece.model").unlink()
    write_tokenizer_json(tmp_path, full)
    assert read_vocabulary(tmp_path) == expected
    assert table_of(full).encode("MCUA").tolist() == table_of(pieces).encode("MCUA").tolist()


def test_a_dictionary_vocabulary_is_read(tmp_path: Path) -> None:
    content = {
        "model": {"vocab": {piece: i for i, piece in enumerate(ANKH_PIECES)}},
        "added_tokens": [{"id": 99, "content": "[NLU]"}],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert read_vocabulary(tmp_path) == {**{p: i for i, p in enumerate(ANKH_PIECES)}, "[NLU]": 99}


def test_tokens_that_were_added_to_a_spiece_model_are_read(tmp_path: Path) -> None:
    write_spiece_model(tmp_path, ANKH_PIECES)
    (tmp_path / "added_tokens.json").write_text('{"[NLU]": 30}')
    (tmp_path / "tokenizer_config.json").write_text('{"added_tokens_decoder": {"31": {"content": "[S2S]"}}}')
    vocabulary = read_vocabulary(tmp_path)
    assert (vocabulary["[NLU]"], vocabulary["[S2S]"], vocabulary["A"]) == (30, 31, 3)


@pytest.mark.parametrize("letter", ["W", "X"])
def test_a_vocabulary_without_a_residue_is_refused(letter: str) -> None:
    with pytest.raises(CheckpointError, match=f"lacks {letter}"):
        table_of([piece for piece in ANKH_PIECES if piece != letter])


def test_a_vocabulary_without_an_end_or_without_the_prefix_is_refused() -> None:
    with pytest.raises(CheckpointError, match="</s>"):
        table_of([piece for piece in ANKH_PIECES if piece != "</s>"])
    with pytest.raises(CheckpointError, match="NLU"):
        table_of(ANKH_PIECES, prefix="[NLU]")


@pytest.mark.parametrize("shared", ["A", "<unk>"])
def test_a_vocabulary_that_confuses_residues_is_refused(shared: str) -> None:
    vocabulary = {piece: i for i, piece in enumerate(ANKH_PIECES)}
    with pytest.raises(CheckpointError, match="one id"):
        TokenTable.from_vocabulary(vocabulary | {"W": vocabulary[shared]}, where="test")


def test_ids_other_than_the_known_ones_are_refused() -> None:
    with pytest.raises(CheckpointError, match="has L at 7, but ankh-base has it at 4"):
        table_of(ANKH3_PIECES).check_known({"L": 4}, model="ankh-base", where="test")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model": {"vocab": 3}}', '{"model": {"vocab": [["A"]]}}'])
def test_a_malformed_tokenizer_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read_vocabulary(tmp_path)


def test_a_malformed_spiece_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "spiece.model").write_bytes(b"no protobuf")
    with pytest.raises(CheckpointError, match=r"spiece\.model"):
        read_vocabulary(tmp_path)


def test_the_official_way_of_the_readme_would_be_wrong(tiny_t5: Path) -> None:
    """Why protvec has a table of its own: split words get an <unk> in front of each residue."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tiny_t5 / "tokenizer.json"))
    ids = tokenizer.encode(list("MKV"), is_pretokenized=True).ids
    assert ids != TokenTable.from_checkpoint(find(tiny_t5)).encode("MKV").tolist()
    assert ids.count(2) == 3
