"""A map as one HTML file: its points, our own script, and nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from protvec.projection.chart import Chart

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style>
<header>
<h1>{title}</h1>
<form id="find" role="search">
<input id="text" type="search" placeholder="id, gene or description" aria-label="Find proteins" autocomplete="off">
<button>Find</button>
<button type="button" id="reset">Reset</button>
</form>
<p id="status" role="status"></p>
</header>
<main>
<canvas id="map" tabindex="0" role="img" aria-label="{about}"></canvas>
<div id="tip" hidden></div>
</main>
<aside{no_legend}><h2>{column}</h2><ul id="legend"></ul></aside>
<script type="application/json" id="data">{data}</script>
<script type="module">{script}</script>
</html>
"""


def asset(name: str) -> str:
    """A file of this package's own: ``scatter.js`` is what draws, here and on the page of the server."""
    return files("protvec.projection").joinpath("assets", name).read_text(encoding="utf-8")


def page(chart: Chart) -> str:
    """The file. Its script runs in any browser, without a network; its policy lets nothing else run in it."""
    style = asset("file.css")
    script = asset("scatter.js") + asset("file.js")
    # What is in <script> ends at the first "</script", wherever that stands.
    data = json.dumps(chart.to_dict(), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}"
    title = f"{len(chart):,} proteins"
    return _PAGE.format(
        policy=policy,
        title=html.escape(title),
        about=html.escape(f"Map of {title}: {chart.record}. Arrows move, + and - zoom, 0 shows all."),
        style=style,
        column=html.escape(chart.column or ""),
        no_legend="" if chart.column else " hidden",
        data=data,
        script=script,
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
