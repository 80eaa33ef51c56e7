"""Figures of the official checkpoints: what a right set of weights must give for three sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN_SEQUENCES = (
    "MPAGFRQVCKAFMAEPMFNTATQHEYHCCTPTRMYINTPVNRAFGCFDGPIIFGWPPEREI",
    "MYPNQTSFAHGFWVHQIWLGFNGNVIFYM",
    "MCADPSKCIYMYV",
)


class Golden(NamedTuple):
    """Figures of an official checkpoint, from a run in bf16; those of Ankh3 without its ``[NLU]``.

    Attributes:
        scale: Standard deviation of all residues' numbers.
        rows: For each sequence the first 8 numbers of the pooled vector, the first 4 of the first residue and
            the first 4 of the last.
    """

    scale: float
    rows: tuple[tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]], ...]


GOLDEN_OUTPUTS: Mapping[str, Golden] = {
    "ankh-base": Golden(
        scale=0.067,
        rows=(
            (
                (-0.01397, 0.01047, -0.01642, 0.01170, 0.01807, -0.12369, -0.04959, -0.01852),
                (0.02271, 0.05688, -0.02832, 0.04932),
                (0.00757, 0.10938, -0.03223, -0.00610),
            ),
            (
                (-0.00717, 0.01502, 0.00644, 0.03192, 0.01083, -0.11209, -0.02136, 0.00298),
                (0.03833, -0.00479, -0.04346, 0.05420),
                (-0.00071, 0.07129, -0.04956, -0.00922),
            ),
            (
                (-0.00748, 0.02590, -0.02895, 0.02134, -0.00276, -0.11242, -0.10152, 0.00467),
                (0.01031, 0.05615, -0.02551, 0.03833),
                (0.01611, 0.11133, 0.04443, -0.00269),
            ),
        ),
    ),
    "ankh-large": Golden(
        scale=0.020,
        rows=(
            (
                (0.02790, -0.00301, 0.00540, -0.00043, -0.00143, 0.00623, -0.00285, 0.00340),
                (0.03394, 0.00134, 0.03491, -0.00562),
                (0.05371, 0.03320, 0.00662, 0.01514),
            ),
            (
                (0.02372, -0.00889, -0.00389, 0.00134, -0.00217, 0.01200, -0.00334, 0.00807),
                (0.03198, -0.02051, 0.01202, -0.00665),
                (0.01099, -0.01306, 0.00751, 0.02783),
            ),
            (
                (0.02271, -0.00951, 0.00629, 0.00756, -0.02378, -0.00503, -0.00611, 0.01334),
                (0.03784, -0.00340, 0.02539, 0.00989),
                (0.01831, 0.01941, 0.01453, 0.00934),
            ),
        ),
    ),
    "ankh3-large": Golden(
        scale=0.105,
        rows=(
            (
                (0.01088, -0.00166, 0.04564, 0.03304, -0.02020, 0.01361, -0.04513, 0.00000),
                (-0.03345, 0.09717, 0.07227, -0.01855),
                (0.03247, -0.06738, 0.08350, 0.03101),
            ),
            (
                (-0.03881, 0.01685, 0.02795, 0.02107, 0.01943, 0.00459, -0.03009, 0.00000),
                (-0.12451, 0.06445, -0.03564, 0.03833),
                (0.01514, -0.00705, 0.00330, 0.05591),
            ),
            (
                (-0.13494, -0.03764, 0.03694, 0.17145, 0.01629, 0.02751, -0.04712, -0.00002),
                (-0.08984, 0.06689, 0.00043, 0.10205),
                (-0.04980, -0.09521, -0.10352, 0.11768),
            ),
        ),
    ),
}
