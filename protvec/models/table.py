"""The table of models that protvec knows by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODEL = "ankh-base"

STANDARD_RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


@dataclass(frozen=True)
class ModelSpec:
    """What is known of a model before its weights are here.

    Attributes:
        name: What the user writes; upstream's name where there is one.
        repository: The upstream repository; None where the weights do not come from a hub.
        revision: The upstream commit to use; None means ``main`` as it is when the model is fetched.
        dimension: D, the length of a vector.
        layers: Layers of the encoder.
        parameters: Parameters of the encoder.
        download_bytes: What a fetch transfers, about; 0 where nothing is fetched.
        licence: Of the weights.
        prefix: Tokens in front of the residues, as text: ``""`` or ``"[NLU]"``.
        residues: The letters it knows. Any other letter is embedded as ``X``.
        architecture: ``t5`` or ``near``.
        summary: One line for people.
        weights_sha256: SHA-256 of the weights file, where it is known.
        known_ids: Token ids of residues that a right checkpoint must have.
    """

    name: str
    repository: str | None
    revision: str | None
    dimension: int
    layers: int
    parameters: int
    download_bytes: int
    licence: str
    prefix: str
    residues: str
    architecture: Literal["t5", "near"]
    summary: str
    weights_sha256: str | None = None
    known_ids: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def non_commercial(self) -> bool:
        """Whether the licence of the weights forbids commercial use."""
        return "-NC-" in self.licence


def _ids(letters: str, *, first: int) -> Mapping[str, int]:
    return MappingProxyType({letter: first + i for i, letter in enumerate(letters)})


_ANKH_IDS = _ids("ALGVSREDTIPKFQNYMHWC", first=3)
_ANKH3_IDS = _ids("LAGSVERTIDPKNFQYHMCW", first=7)

# Parameters are those of the encoder. A fetch of Ankh is larger than that: its file holds a decoder too.
_SPECS = (
    ModelSpec(
        name="ankh-base",
        repository="ElnaggarLab/ankh-base",
        revision="d99cb6b966530dfc2ae96bc69d9255c2a07308b0",
        dimension=768,
        layers=48,
        parameters=453_000_000,
        download_bytes=2_950_000_000,
        licence="CC-BY-NC-SA-4.0",
        prefix="",
        residues=STANDARD_RESIDUES,
        architecture="t5",
        summary="Ankh base: the best of its family at nearest-neighbour search, and the cheapest",
        weights_sha256="9b2a886374f0ff4a893f4e7a989deed76bb2458c8998bd5202ea8e97d92ddcc3",
        known_ids=_ANKH_IDS,
    ),
    ModelSpec(
        name="ankh-large",
        repository="ElnaggarLab/ankh-large",
        revision=None,
        dimension=1536,
        layers=48,
        parameters=1_150_000_000,
        download_bytes=7_520_000_000,
        licence="CC-BY-NC-SA-4.0",
        prefix="",
        residues=STANDARD_RESIDUES,
        architecture="t5",
        summary="Ankh large",
        known_ids=_ANKH_IDS,
    ),
    ModelSpec(
        name="ankh3-large",
        repository="ElnaggarLab/ankh3-large",
        revision=None,
        dimension=1536,
        layers=48,
        parameters=1_150_000_000,
        download_bytes=7_520_000_000,
        licence="CC-BY-NC-SA-4.0",
        prefix="[NLU]",
        residues=STANDARD_RESIDUES,
        architecture="t5",
        summary="Ankh3 large: Ankh trained on two tasks; reads [NLU] in front of a sequence",
        known_ids=_ANKH3_IDS,
    ),
    ModelSpec(
        name="prot-t5",
        repository="Rostlab/prot_t5_xl_half_uniref50-enc",
        revision=None,
        dimension=1024,
        layers=24,
        parameters=1_200_000_000,
        download_bytes=2_420_000_000,
        licence="AFL-3.0",
        prefix="",
        residues=STANDARD_RESIDUES,
        architecture="t5",
        summary="ProtT5-XL-U50, encoder only, stored in half precision",
    ),
    ModelSpec(
        name="near",
        repository=None,
        revision=None,
        dimension=256,
        layers=8,
        parameters=7_350_528,
        download_bytes=0,
        licence="GPL-3.0-or-later",
        prefix="",
        residues=STANDARD_RESIDUES,
        architecture="near",
        summary="NEAR, a small convolution network whose weights come with a package; it is not Ankh",
    ),
)

MODELS: Mapping[str, ModelSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})
