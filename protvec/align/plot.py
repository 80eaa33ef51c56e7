"""A picture of two proteins: how alike their residues are, and where they are aligned. Needs matplotlib."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from protvec.align.matrix import Scores
from protvec.errors import QueryError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from protvec.align.alignment import Alignment
    from protvec.align.matrix import Chain
    from protvec.align.scoring import Scoring

FORMATS = ("png", "svg")
_DOTS = 1200  # in a row or a column of the picture at most
_DARKEST = 99.9  # percentile of the scores that is black


def check_plot(file: str) -> str:
    """The format that a file's name asks for, if it can be drawn.

    Raises:
        QueryError: it is neither .png nor .svg, or matplotlib is not installed.
    """
    name = file.lower().rpartition(".")[2]
    if name not in FORMATS or name == file.lower():
        raise QueryError(f"{file}: a plot is .png or .svg")
    if importlib.util.find_spec("matplotlib") is None:
        raise QueryError("a plot needs matplotlib: pip install 'protvec[plot]'")
    return name


def dot_plot(
    query: Chain,
    target: Chain,
    scoring: Scoring,
    alignment: Alignment,
    file: BinaryIO,
    *,
    format: str = "png",
    names: tuple[str, str] = ("query", "target"),
) -> None:
    """Draw the scores of all pairs of residues, darker for higher ones, and the alignment as a line.

    Pairs that score no more than 0 are white. Of proteins longer than 1,200 residues a dot is the highest score of
    several pairs.

    Args:
        query: Across.
        target: Down.
        scoring: What residues score.
        alignment: The line.
        file: Where to write.
        format: ``png`` or ``svg``.
        names: Of the query and of the target.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    dots = thumbnail(query, target, scoring).T
    width, height = len(query), len(target)
    figure = Figure(figsize=_size(width, height), layout="constrained")
    axes = figure.add_subplot()
    edges = (0.5, width + 0.5, height + 0.5, 0.5)
    top = max(float(np.percentile(dots, _DARKEST)), 1e-6)
    image = axes.imshow(dots, cmap="Greys", vmin=0, vmax=top, extent=edges, aspect="equal", interpolation="nearest")
    paired = alignment.pairs() + 1
    for part in np.split(paired, np.flatnonzero((np.diff(paired, axis=0) != 1).any(axis=1)) + 1):
        axes.plot(part[:, 0], part[:, 1], color="#d62728", linewidth=1.2)
    axes.set(xlabel=names[0], ylabel=names[1], xlim=edges[:2], ylim=edges[2:])
    axes.set_title(
        f"score {alignment.score:.1f}, {alignment.length} columns, {100 * alignment.identity:.0f}% identical",
        fontsize="medium",
    )
    figure.colorbar(image, label="score of a pair of residues", shrink=0.7)
    with mpl.rc_context({"svg.hashsalt": "protvec"}):  # the same bytes for the same picture
        figure.savefig(file, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)


def thumbnail(query: Chain, target: Chain, scoring: Scoring, *, dots: int = _DOTS) -> NDArray[np.float32]:
    """The residue scores, or of long proteins the highest of every few rows and columns, in bounded memory.

    Returns:
        ndarray, shape=(at most dots, at most dots), dtype=float32.
    """
    scores = Scores(query, target, scoring)
    step, stride = (-(-length // dots) for length in scores.shape)
    columns = np.arange(0, scores.shape[1], stride)
    rows = max(1, scores.block_rows // step) * step
    parts = []
    for start in range(0, scores.shape[0], rows):
        part = scores.rows(start, min(start + rows, scores.shape[0]))
        narrow = np.maximum.reduceat(part, columns, axis=1)
        parts.append(np.maximum.reduceat(narrow, np.arange(0, len(part), step), axis=0))
    return np.concatenate(parts)


def _size(width: int, height: int) -> tuple[float, float]:
    """Of the picture in inches, of the shape of the plot but never a thin strip."""
    longest = max(width, height)
    return 2 + 5.5 * max(width / longest, 0.3), 1 + 5.5 * max(height / longest, 0.3)
