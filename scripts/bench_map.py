"""What a map costs: coordinates of made-up vectors by UMAP and PCA, and a frame of its drawing in Chromium.

    python scripts/bench_map.py --quick
    python scripts/bench_map.py --json map.json

Vectors are those of families, of length 1, like the search vectors of a database. Chromium runs headless and without a
graphics card, so that a frame is what a poor machine makes of it; playwright drives it (the extra ``test``).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import _bench
import numpy as np

from protvec.projection.methods import pca, umap
from protvec.projection.page import asset

DIMENSION = 256
FAMILY = 12  # proteins
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
DRAW = """
async ([n, seconds]) => {
  const canvas = document.querySelector("canvas");
  const scatter = new window.Scatter(canvas, document.querySelector("div"));
  const draw = () => Array.from({ length: n }, () => Math.random() + Math.random() + Math.random());
  const color = (i) => `hsl(${30 * i} 50% 50%)`;
  const groups = Array.from({ length: 12 }, (_, i) => ({ label: String(i), color: color(i), count: 0 }));
  scatter.setPoints({ x: draw(), y: draw(), group: Array.from({ length: n }, (_, i) => i % 12), groups });
  const [frames, hovers] = [[], []];
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
    const started = performance.now();
    scatter.pan(3, 2); // which has it painted in the next frame
    await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));
    frames.push(performance.now() - started);
    const asked = performance.now();
    scatter.at(400, 300);
    hovers.push(performance.now() - asked);
  }
  return [frames, hovers];
}
"""


def vectors(number: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Vectors of families: ndarray, shape=(number, 256)."""
    chance = np.random.default_rng(1)
    middles = chance.standard_normal((number // FAMILY + 1, DIMENSION), dtype=np.float32)
    drawn = middles[np.arange(number) // FAMILY] + chance.standard_normal((number, DIMENSION), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def computing(sizes: list[int]) -> list[dict[str, Any]]:
    """Seconds of each method at each size; UMAP has compiled before."""
    umap(vectors(100))
    rows = []
    for number in sizes:
        drawn = vectors(number)
        for name, method in (("pca", pca), ("umap", umap)):
            started = time.perf_counter()
            method(drawn)
            rows.append({"method": name, "sequences": number, "seconds": round(time.perf_counter() - started, 2)})
            print(f"{name:5} {number:>8,} sequences {rows[-1]['seconds']:>8.2f} s", flush=True)
    return rows


def drawing(sizes: list[int], seconds: float) -> list[dict[str, Any]]:
    """Milliseconds of a frame while the map is moved, and of finding the point under the pointer."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        print("draw: there is no Chromium on this machine")
        return []
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=browser, args=FLAGS)
        page = started.new_page(viewport={"width": 1280, "height": 800})
        for number in sizes:
            prepare(page)
            frames, hovers = page.evaluate(DRAW, [number, seconds])
            rows.append(
                {
                    "points": number,
                    "frame_ms": round(statistics.median(frames), 1),
                    "frame_ms_p90": round(float(np.quantile(frames, 0.9)), 1),
                    "hover_ms": round(statistics.median(hovers), 2),
                }
            )
            print("draw  {points:>8,} points {frame_ms:>8} ms a frame (p90 {frame_ms_p90}), {hover_ms} ms to find one"
                  .format(**rows[-1]), flush=True)  # fmt: skip
        started.close()
    return rows


def prepare(page: Any) -> None:  # noqa: ANN401  # of playwright
    """Have the script that draws in a page of the browser, with a canvas."""
    page.set_content('<canvas style="width:1200px;height:760px"></canvas><div hidden></div>')
    page.add_script_tag(content=f"{asset('scatter.js')}\nwindow.Scatter = Scatter;", type="module")
    page.wait_for_function("Boolean(window.Scatter)")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="2,000 sequences and 50,000 points")
    parser.add_argument("--sections", default="compute,draw", help="of compute and draw")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    if "compute" in asked.sections:
        found["compute"] = computing([2_000] if asked.quick else [2_000, 10_000, 50_000])
    if "draw" in asked.sections:
        found["draw"] = drawing([50_000] if asked.quick else [10_000, 50_000, 100_000], 2 if asked.quick else 5)
    if asked.json:
        asked.json.write_text(json.dumps({"machine": _bench.machine(), **found}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
