"""Points by the value of a column: groups with a label and a colour."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from protvec.store import kind_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

# Of values without an order, told apart on white and on black; after Okabe & Ito and Tol, told apart by most eyes.
COLORS = (
    "#4477aa", "#ee6677", "#228833", "#ccaa33", "#66ccee", "#aa3377",
    "#ee7733", "#009988", "#bb5588", "#7788dd", "#99aa44",
)  # fmt: skip
# Of numbers: viridis, from low to high.
RAMP = ("#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b")
OTHER, NOTHING, PLAIN = "#9a9a9a", "#b8b8b8", "#4477aa"
_FEW = 12  # different whole numbers that are groups each


@dataclass(frozen=True)
class Group:
    """Points alike.

    Attributes:
        label: What they have in common.
        color: As ``#rrggbb``.
        count: How many they are.
    """

    label: str
    color: str
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Groups:
    """The groups, in the order of a legend, and of each point the number of its group: ndarray, shape=(N,)."""

    groups: list[Group]
    members: NDArray[np.int64]


def group(column: pa.ChunkedArray | None, number: int) -> Groups:
    """Group points by a column; all alike without one.

    Numbers make eight groups of about as many points; of other values the eleven most frequent have a group each,
    and the rest is one. Of a list its first element counts.

    Args:
        column: Of the points, or None.
        number: How many points.
    """
    if column is None:
        return Groups([Group("proteins", PLAIN, number)], np.zeros(number, np.int64))
    values = [value[0] if isinstance(value, list) and value else value for value in column.to_pylist()]
    values = [None if value in ("", []) else value for value in values]
    if kind_of(column.type) in ("int", "float") and len(set(values)) > _FEW:
        return _of_numbers(values)
    return _of_labels(["none" if value is None else _text(value) for value in values])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_labels(labels: list[str]) -> Groups:
    counts = Counter(labels)
    nothing = counts.pop("none", 0)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    top = ranked[: len(COLORS)]
    groups = [Group(label, color, counts[label]) for label, color in zip(top, COLORS, strict=False)]
    rest = sum(counts[label] for label in ranked[len(top) :])
    if rest:
        groups.append(Group(f"{len(ranked) - len(top):,} others", OTHER, rest))
    row = {label: number for number, label in enumerate(top)}
    last = len(groups)
    if nothing:
        groups.append(Group("none", NOTHING, nothing))
    row["none"] = last
    return Groups(groups, np.array([row.get(label, len(top)) for label in labels], np.int64))


def _of_numbers(values: list[Any]) -> Groups:
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    known = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, len(RAMP) + 1)[1:-1], method="lower"))
    members = np.searchsorted(edges, numbers, side="left")  # an edge belongs to those below it
    groups = []
    used = [number for number in range(len(edges) + 1) if (members[np.isfinite(numbers)] == number).any()]
    for number in used:
        inside = numbers[(members == number) & np.isfinite(numbers)]
        color = RAMP[round(number * (len(RAMP) - 1) / max(1, len(edges)))]
        groups.append(Group(_span(inside.min(), inside.max()), color, len(inside)))
    row = np.zeros(len(edges) + 2, np.int64)
    row[used] = range(len(used))
    members = row[members]
    if nothing := len(numbers) - len(known):
        members[~np.isfinite(numbers)] = len(groups)
        groups.append(Group("none", NOTHING, nothing))
    return Groups(groups, members)


def _span(low: float, high: float) -> str:
    texts = [f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" for value in (low, high)]
    return texts[0] if texts[0] == texts[1] else " to ".join(texts)
