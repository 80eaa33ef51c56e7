"""A map as a picture, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from protvec.errors import QueryError

if TYPE_CHECKING:
    from protvec.projection.chart import Chart

_RASTER = 5_000  # points beyond which those of an SVG are an image in it: it would take long to open


def check_matplotlib() -> None:
    """Check that pictures can be drawn.

    Raises:
        QueryError: They cannot.
    """
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise QueryError("a picture needs matplotlib: pip install 'protvec[map]', or write .html")


def draw(chart: Chart, file: BinaryIO, format: str) -> None:
    """Draw every point in the colour of its group, with a legend.

    Args:
        chart: The map.
        file: Where to write.
        format: ``png`` or ``svg``.

    Raises:
        QueryError: matplotlib is not installed.
    """
    check_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 6.5), layout="constrained")
    axes = figure.add_subplot()
    size = max(1.0, min(20.0, 30_000 / max(1, len(chart))))
    for number, group in reversed(list(enumerate(chart.groups.groups))):  # the most frequent on top of the rest
        points = chart.coordinates[chart.groups.members == number]
        label = f"{group.label[:40]} ({group.count:,})"
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=size,
            c=group.color,
            linewidths=0,
            label=label,
            rasterized=len(chart) > _RASTER,
        )
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_title(str(chart.record), fontsize="medium")
    for side in axes.spines.values():
        side.set_color("#cccccc")
    if chart.column is not None:
        handles, labels = axes.get_legend_handles_labels()
        where = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "frameon": False, "fontsize": "small"}
        axes.legend(handles[::-1], labels[::-1], title=chart.column, markerscale=max(1, 4 / size**0.5), **where)
    with mpl.rc_context({"svg.hashsalt": "protvec"}):  # the same bytes for the same picture
        figure.savefig(file, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
