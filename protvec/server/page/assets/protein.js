// The page of one protein: what is known of it, its sequence, and its neighbours.

import { count, h, text } from "./dom.js";
import * as api from "./api.js";
import { HitTable } from "./hits.js";

const NEIGHBOURS = 15;
const ELSEWHERE = new Set(["id", "sequence", "vector", "description", "digest"]); // shown in a place of their own, or not at all

export async function show(place, state, { link, go, signal }) {
  const waiting = h("p", { class: "waiting", role: "status" }, "loading…");
  place.replaceChildren(waiting);
  const found = await api.protein(state.db, state.id, { signal });
  const facts = Object.entries(found).filter(([name, value]) => !ELSEWHERE.has(name) && text(value));
  const near = h("section", { "aria-label": "Neighbours" }, h("h3", {}, "Neighbours"), h("p", { class: "waiting", role: "status" }, "searching…"));
  place.replaceChildren(
    h("article", { class: "protein" },
      h("h2", { tabindex: -1 }, found.id),
      h("p", { class: "lead" }, text(found.description)),
      h("p", {},
        h("a", { href: link({ v: "search", q: found.id, n: "0", hit: "", sort: "" }) }, "Search with it"), " · ",
        h("a", { href: link({ v: "map", hit: found.id }) }, "On the map")),
      h("dl", { class: "facts" }, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, name === "length" ? `${count(value)} residues` : text(value))])),
      sequence(found), near));
  place.querySelector("h2").focus({ preventScroll: true });
  try {
    const answer = await api.search(state.db, { id: found.id, k: NEIGHBOURS, exclude_self: true }, { signal, waiting: (seconds, why) => (near.lastChild.textContent = why) });
    const at = {
      db: state.db, link, query: { kind: "id", value: found.id }, length: found.sequence.length, opened: state.hit, sort: state.sort, columns: [],
      open: (hit) => go({ hit }), sorted: (sort) => go({ sort }, { replace: true }),
    };
    near.lastChild.replaceWith(answer.hits.length ? new HitTable(answer, at).element : h("p", { class: "dim" }, "No other protein here."));
  } catch (problem) {
    if (!signal.aborted) near.lastChild.replaceWith(h("p", { class: "problem", role: "alert" }, problem.message));
  }
}

// In blocks of ten, with the number of the first residue of each line.
function sequence({ id, sequence: letters }) {
  const lines = [];
  for (let from = 0; from < letters.length; from += 60)
    lines.push(h("span", { class: "dim" }, String(from + 1).padStart(6), " "), letters.slice(from, from + 60).replace(/.{10}/g, "$& ").trimEnd(), "\n");
  const said = h("span", { class: "dim", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(`>${id}\n${letters.replace(/.{60}/g, "$&\n").trimEnd()}\n`);
      said.textContent = " copied";
    } catch {
      said.textContent = " the browser does not let this page copy";
    }
  };
  return h("section", { "aria-label": "Sequence" }, h("h3", {}, "Sequence ", h("button", { type: "button", onclick: copy }, "Copy as FASTA"), said), h("pre", { class: "sequence", tabindex: 0 }, lines));
}
