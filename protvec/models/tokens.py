"""Residues to token ids, by a table read from the checkpoint's own vocabulary.

A tokenizer is not needed for single letters, and is a trap: ``tokenizer(list(sequence),
is_split_into_words=True)``, as Ankh's README has it, puts ``<unk>`` in front of every residue with current
versions of transformers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.errors import CheckpointError, InputError
from protvec.models.config import read_config, read_json
from protvec.models.table import STANDARD_RESIDUES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.models.checkpoint import Checkpoint

_END = "</s>"
_UNKNOWN = "<unk>"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# The order of NEAR's embedding table. Its rows past these are for letters that it never saw in training.
_NEAR_ORDER = "XARNDCEQGHILKMFPSTWYV"


@dataclass(frozen=True, eq=False)
class TokenTable:
    """From residue letters to the ids that a model reads.

    Attributes:
        lookup: ndarray, shape=(256,), dtype=int64; the id of each byte, -1 where it is no residue letter.
        prefix: Ids in front of the residues.
        suffix: Ids after them: T5's ``</s>``; NEAR has none.
    """

    lookup: NDArray[np.int64]
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint) -> TokenTable:
        """The table of a checkpoint, read from its vocabulary and verified.

        Raises:
            CheckpointError: The vocabulary is missing, malformed, or not that of the model's name.
        """
        spec = checkpoint.spec
        if spec.architecture == "near":
            return cls(_lookup({letter: i for i, letter in enumerate(_NEAR_ORDER)}), (), ())
        vocabulary = read_vocabulary(checkpoint.directory)
        where = str(checkpoint.directory)
        table = cls.from_vocabulary(vocabulary, prefix=spec.prefix, where=where)
        table.check_known(spec.known_ids, model=spec.name, where=where)
        size = read_config(checkpoint.directory)["vocab_size"]
        if max(*table.lookup, *table.prefix, *table.suffix) >= size:
            raise CheckpointError(f"{where}: its vocabulary has ids past {size - 1}, the end of vocab_size")
        return table

    @classmethod
    def from_vocabulary(cls, vocabulary: Mapping[str, int], *, prefix: str = "", where: str) -> TokenTable:
        """The table of a vocabulary that holds each residue as ``A`` or as ``▁A``.

        Args:
            vocabulary: Pieces and their ids.
            prefix: A piece to put in front of every sequence; empty for none.
            where: What error messages call the vocabulary.

        Raises:
            CheckpointError: A residue, ``X``, ``</s>`` or the prefix is not in it, or residues share an id.
        """
        mark = max("", "▁", key=lambda mark: sum(mark + letter in vocabulary for letter in STANDARD_RESIDUES))
        letters = STANDARD_RESIDUES + "X"
        missing = [letter for letter in letters if mark + letter not in vocabulary]
        missing += [piece for piece in (_END, prefix) if piece and piece not in vocabulary]
        if missing:
            raise CheckpointError(f"{where}: its vocabulary lacks {', '.join(missing)}: this is no protein T5")
        ids = {letter: vocabulary[mark + letter] for letter in letters}
        if len(set(ids.values())) < len(letters) or vocabulary.get(_UNKNOWN) in ids.values():
            raise CheckpointError(f"{where}: its vocabulary gives residues one id, or that of <unk>")
        return cls(_lookup(ids), (vocabulary[prefix],) if prefix else (), (vocabulary[_END],))

    def check_known(self, known: Mapping[str, int], *, model: str, where: str) -> None:
        """Compare with ids that are known of a model.

        Raises:
            CheckpointError: One differs.
        """
        for letter, expected in known.items():
            actual = int(self.lookup[ord(letter)])
            if actual != expected:
                raise CheckpointError(
                    f"{where}: its vocabulary has {letter} at {actual}, but {model} has it at {expected}; "
                    f"fetch it again, or name the directory as a model of its own"
                )

    def encode(self, sequence: str) -> NDArray[np.int64]:
        """Token ids of one sequence.

        Args:
            sequence: Upper-case letters, at least one. U, Z, O, B, J and X get the id of X.

        Returns:
            ndarray, shape=(len(prefix) + L + len(suffix),), dtype=int64.

        Raises:
            InputError: It is empty, or holds something that is no upper-case letter.
        """
        if not sequence:
            raise InputError("an empty sequence cannot be embedded: it has no residue")
        ids = self.lookup[np.frombuffer(sequence.encode("ascii", "replace"), dtype=np.uint8)]
        if ids.min() < 0:
            at = int(np.argmin(ids))
            raise InputError(f"residue {at + 1} of a sequence is {sequence[at]!r}, not an upper-case letter")
        return np.concatenate([self.prefix, ids, self.suffix], dtype=np.int64, casting="unsafe")

    def residues(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows of a model's output that are residues.

        Args:
            hidden: ndarray, shape=(len(prefix) + L + len(suffix), D).

        Returns:
            ndarray, shape=(L, D): a view.
        """
        return hidden[len(self.prefix) : len(hidden) - len(self.suffix)]


def _lookup(ids: Mapping[str, int]) -> NDArray[np.int64]:
    """The 256-entry table; letters of no own id, and U, Z, O, B, J in any case, read as X."""
    table = np.full(256, -1, dtype=np.int64)
    for letter in _LETTERS:
        table[ord(letter)] = ids[letter] if letter in STANDARD_RESIDUES else ids["X"]
    table.flags.writeable = False
    return table


def read_vocabulary(directory: Path) -> dict[str, int]:
    """Pieces and ids of ``tokenizer.json`` or ``spiece.model``, with tokens that were added later.

    Raises:
        CheckpointError: Neither is there, or it cannot be read.
    """
    if (directory / "tokenizer.json").is_file():
        return _read_tokenizer_json(directory / "tokenizer.json")
    if (directory / "spiece.model").is_file():
        return _read_spiece(directory / "spiece.model") | _read_added(directory)
    raise CheckpointError(f"{directory}: there is neither tokenizer.json nor spiece.model in it")


def _read_tokenizer_json(path: Path) -> dict[str, int]:
    content = read_json(path)
    try:
        vocab = content["model"]["vocab"]
        if isinstance(vocab, list):  # Unigram: [piece, score] in the order of ids
            vocab = {str(piece): i for i, (piece, _score) in enumerate(vocab)}
        added = {str(token["content"]): int(token["id"]) for token in content.get("added_tokens") or ()}
        return {str(piece): int(i) for piece, i in vocab.items()} | added
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: no vocabulary of a kind that is known ({error!r})") from error


def _read_spiece(path: Path) -> dict[str, int]:
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor()
    try:
        processor.Load(str(path))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a SentencePiece model; fetch it again") from error
    return {processor.IdToPiece(i): i for i in range(processor.GetPieceSize())}


def _read_added(directory: Path) -> dict[str, int]:
    """Tokens that transformers keeps beside a ``spiece.model``."""
    added: dict[str, int] = {}
    try:
        if (path := directory / "added_tokens.json").is_file():
            added |= {str(piece): int(i) for piece, i in read_json(path).items()}
        if (path := directory / "tokenizer_config.json").is_file():
            entries: Any = read_json(path).get("added_tokens_decoder") or {}
            added |= {str(entry["content"]): int(i) for i, entry in entries.items()}
    except (KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: no list of added tokens ({error!r})") from error
    return added
