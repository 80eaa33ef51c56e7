"""The map of a database: every protein as a point in two dimensions, near to those that are like it.

``methods`` makes coordinates of vectors; ``nearest`` finds neighbours and places what came later; ``run`` does it for
a database; ``chart`` is the result; ``groups`` colours it; ``page`` and ``picture`` draw it. See docs/map.md.
"""

from __future__ import annotations

from protvec.projection.chart import Chart
from protvec.projection.run import METHODS, make_chart

__all__ = ["METHODS", "Chart", "make_chart"]
