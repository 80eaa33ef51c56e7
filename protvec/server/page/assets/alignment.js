// What is under a hit that is opened: the alignment in three lines, and a dot plot of all residues.

import { count, h } from "./dom.js";
import * as api from "./api.js";

const DOTS = 400; // rows and columns of the picture at most
const MOST_KEPT = 20; // answers
const kept = new Map(); // by what was asked
let repaint = () => {};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint());

export async function detail(place, hit, at) {
  place.replaceChildren(h("p", { class: "waiting", role: "status" }, "aligning…"));
  const asked = { query: at.query.value, target: hit.target, dots: DOTS };
  const key = JSON.stringify([at.db, asked]);
  try {
    if (!kept.has(key)) kept.set(key, await api.align(at.db, asked, { waiting: (seconds, why) => (place.firstChild.textContent = `${why} (in ${seconds} s)`) }));
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value);
    place.replaceChildren(...picture(kept.get(key), hit, at));
  } catch (problem) {
    place.replaceChildren(h("p", { class: "problem", role: "alert" }, problem.message));
  }
}

function picture(found, hit, at) {
  if (!found.length) return [h("p", { class: "dim" }, "No residues of the two are alike enough to be aligned.")];
  const percent = (part) => `${Math.round(100 * part)}%`;
  const facts = [
    ["Score", count(Math.round(found.score))],
    ["Identical", `${found.identical} of ${found.length} columns (${percent(found.identity)})`],
    ["Gaps", found.gaps ? `${found.gaps} in ${found.gap_opens}` : "none"],
    ["Query", `${found.query_start}–${found.query_end} of ${count(found.query_length)} (${percent(found.query_coverage)})`],
    ["Target", `${found.target_start}–${found.target_end} of ${count(found.target_length)} (${percent(found.target_coverage)})`],
    ...(found.query_relatives === null ? [] : [["Relatives", `${found.query_relatives} of the query and ${found.target_relatives} of the target helped to choose the pairs`]]),
  ];
  const canvas = h("canvas", { role: "img", "aria-label": `Dot plot: residues of the query across, of ${hit.target} down` });
  repaint = () => paint(canvas, found);
  repaint();
  const lines = h("pre", { class: "lines", tabindex: 0, "aria-label": `Alignment of the query with ${hit.target}` });
  new ResizeObserver(() => write(lines, found)).observe(lines);
  write(lines, found);
  return [h("div", { class: "alignment" },
    h("div", { class: "text" },
      h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      lines,
      h("p", {}, h("a", { href: at.link({ v: "protein", id: hit.target }) }, "This protein"), " · ", h("a", { href: at.link({ v: "map", hit: hit.target }) }, "On the map"))),
    found.dot_plot && h("figure", {}, canvas, h("figcaption", {}, h("span", {}, `query 1–${found.query_length} →`), h("span", {}, `${hit.target} 1–${found.target_length} ↓`))))];
}

// As many columns as there is room for, with the numbers of the residues at both ends.
function write(place, found) {
  const numbers = String(Math.max(found.query_end, found.target_end)).length;
  const probe = h("span", {}, "M".repeat(20));
  place.append(probe);
  const letter = probe.getBoundingClientRect().width / 20 || 8;
  probe.remove();
  const width = Math.max(10, Math.min(120, 10 * Math.floor(((place.clientWidth || 600) / letter - 10 - 2 * numbers) / 10)));
  if (place.dataset.width === String(width)) return;
  place.dataset.width = String(width);
  const parts = [];
  let [query, target] = [found.query_start, found.target_start];
  for (let from = 0; from < found.query_line.length; from += width) {
    const [one, middle, other] = [found.query_line, found.middle, found.target_line].map((line) => line.slice(from, from + width));
    const ends = [query + one.replaceAll("-", "").length - 1, target + other.replaceAll("-", "").length - 1];
    const margin = (name, number) => h("span", { class: "dim" }, `${name} ${String(number).padStart(numbers)} `);
    parts.push(margin("query ", query), one, h("span", { class: "dim" }, ` ${ends[0]}\n`));
    parts.push(" ".repeat(numbers + 8), ...matches(middle, one, other), "\n");
    parts.push(margin("target", target), other, h("span", { class: "dim" }, ` ${ends[1]}\n\n`));
    [query, target] = [ends[0] + 1, ends[1] + 1];
  }
  place.replaceChildren(...parts);
}

// The line between: identical residues stand out.
function matches(middle, one, other) {
  const runs = [];
  for (let i = 0; i < middle.length; i++) {
    const same = one[i] === other[i];
    const last = runs.at(-1);
    if (last && last.same === same) last.text += middle[i];
    else runs.push({ same, text: middle[i] });
  }
  return runs.map((run) => h("span", { class: run.same ? "same" : "alike" }, run.text));
}

// Darker where residues are more alike; the alignment is a line.
function paint(canvas, found) {
  const plot = found.dot_plot;
  if (!plot) return;
  const style = getComputedStyle(document.documentElement);
  const ink = rgb(style.getPropertyValue("--fg"));
  const [width, height] = [plot.rows, plot.columns]; // the query goes across
  [canvas.width, canvas.height] = [width, height];
  const top = quantile(plot.scores.flat(), 0.995);
  const paper = canvas.getContext("2d");
  const image = paper.createImageData(width, height);
  for (let x = 0; x < width; x++)
    for (let y = 0; y < height; y++) {
      const at = 4 * (y * width + x);
      image.data.set(ink, at);
      image.data[at + 3] = Math.round(255 * Math.min(1, Math.max(0, plot.scores[x][y] / top)) ** 2.2);
    }
  paper.putImageData(image, 0, 0);
  paper.strokeStyle = style.getPropertyValue("--hit");
  paper.lineWidth = Math.max(1, width / 200);
  paper.beginPath();
  let [query, target] = [found.query_start - 1, found.target_start - 1];
  for (let i = 0; i < found.query_line.length; i++) {
    const [x, y] = [(query + 0.5) / plot.residues_per_row, (target + 0.5) / plot.residues_per_column];
    if (i) paper.lineTo(x, y);
    else paper.moveTo(x, y);
    query += found.query_line[i] !== "-";
    target += found.target_line[i] !== "-";
  }
  paper.stroke();
  canvas.style.aspectRatio = `${found.query_length} / ${found.target_length}`;
}

function rgb(color) {
  const paper = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  paper.fillStyle = color.trim();
  paper.fillRect(0, 0, 1, 1);
  return [...paper.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  return Math.max(sorted[Math.floor(share * (sorted.length - 1))] || 0, 1e-6);
}
