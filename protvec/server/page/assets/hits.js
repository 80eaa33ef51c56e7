// The table of hits: sorts, filters, and opens alignments.

import { count, evalue, h, save, score, text } from "./dom.js";
import * as api from "./api.js";
import { detail } from "./alignment.js";

// name, heading, cell, class, whether there has to be such a value, what to sort by
const COLUMNS = [
  { name: "rank", head: "#", cell: (hit) => hit.rank, class: "number rank" },
  { name: "target", head: "Protein", cell: (hit, at) => h("a", { href: at.link({ v: "protein", id: hit.target }), class: "id" }, hit.target), class: "key" },
  { name: "description", head: "Description", cell: (hit) => h("span", { title: text(hit.description) }, text(hit.description)), class: "wide" },
  { name: "gene", head: "Gene", cell: (hit) => text(hit.gene), optional: true },
  { name: "organism", head: "Organism", cell: (hit) => h("em", { title: text(hit.organism) }, text(hit.organism)), class: "organism", optional: true },
  { name: "length", head: "Length", cell: (hit) => count(hit.length), class: "number figure" },
  { name: "score", head: "Score", cell: (hit) => score(hit.score), class: "number figure", descending: true },
  { name: "evalue", head: "E-value", cell: (hit) => evalue(hit.evalue), class: "number figure", optional: true },
  { name: "pident", head: "Ident.", cell: (hit) => `${Math.round(hit.pident)}%`, class: "number figure", optional: true, descending: true },
  { name: "qcov", head: "Aligned part of the query", cell: (hit, at) => coverage(hit, at.length), class: "cover", optional: true, descending: true },
];

// A bar as long as the query, filled where it is aligned.
function coverage(hit, length) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `residues ${hit.qstart} to ${hit.qend} of ${length}`);
  const bar = (x, width, name) => {
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    for (const [key, value] of Object.entries({ x, width, y: name === "part" ? 0 : 3, height: name === "part" ? 8 : 2, class: name })) rect.setAttribute(key, value);
    return rect;
  };
  const start = (100 * (hit.qstart - 1)) / length;
  const part = bar(start, Math.max(1, (100 * (hit.qend - hit.qstart + 1)) / length), "part");
  const share = Math.round(35 + 65 * Math.min(1, hit.pident / 60));
  part.style.fill = `color-mix(in srgb, var(--bar) ${share}%, var(--line))`; // the paler, the fewer are identical
  svg.append(bar(0, 100, "whole"), part);
  return h("span", { title: `residues ${hit.qstart} to ${hit.qend} of ${length}` }, svg);
}

export class HitTable {
  // at: {db, link(changes), query, length, open(hit or ""), opened, sort, sorted(text), columns: further ones}
  constructor(answer, at) {
    this.answer = answer;
    this.at = at;
    this.words = "";
    const there = (name) => answer.hits.some((hit) => hit[name] !== null && hit[name] !== undefined && hit[name] !== "");
    const organisms = new Set(answer.hits.map((hit) => hit.organism));
    this.organism = organisms.size === 1 && [...organisms][0]; // said once
    this.columns = COLUMNS.filter((column) => !column.optional || (there(column.name) && !(column.name === "organism" && this.organism)));
    const added = at.columns.map((name) => ({ name, head: name, cell: (hit) => text(hit[name]), class: typeof answer.hits[0]?.[name] === "number" ? "number figure" : "added" }));
    this.columns.splice(this.columns.findIndex((column) => column.name === "length"), 0, ...added);
    this.alignable = at.query.kind !== "text";
    this.body = h("tbody");
    this.head = h("tr");
    this.shown = h("span", { class: "dim", role: "status" });
    this.element = this.make();
    this.fill();
  }

  make() {
    const filter = h("input", { type: "search", placeholder: "Filter these hits", "aria-label": "Filter these hits", class: "filter", oninput: () => ((this.words = filter.value), this.fill()) });
    const table = h("table", { class: "hits", "aria-label": `Hits of ${this.answer.query}` }, h("thead", {}, this.head), this.body);
    table.addEventListener("keydown", (event) => this.key(event));
    return h("div", { class: "hitlist" },
      h("div", { class: "bar" }, filter, this.sortBy(), this.shown, this.organism ? h("span", { class: "dim" }, "all of ", h("em", {}, this.organism)) : null, h("span", { class: "spring" }),
        h("span", { class: "downloads" }, "Download ",
          h("button", { type: "button", onclick: () => this.download("tsv") }, "TSV"),
          h("button", { type: "button", onclick: () => this.download("json") }, "JSON"),
          h("button", { type: "button", onclick: () => this.download("fasta") }, "FASTA"))),
      h("p", { class: "problem", role: "alert" }),
      h("div", { class: "scroll" }, table));
  }

  // Where there is no head to click on.
  sortBy() {
    const names = this.columns.filter((column) => column.name !== "description");
    const value = (column) => `${column.name}${column.descending ? ":down" : ""}`;
    const choice = h("select", { class: "sortby", "aria-label": "Sort by", onchange: () => this.sort(choice.value) }, names.map((column) => h("option", { value: value(column) }, `by ${column.name === "rank" ? "rank" : column.head}`)));
    if (this.at.sort) choice.value = this.at.sort;
    return choice;
  }

  get hits() {
    const words = this.words.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = this.answer.hits.filter((hit) => {
      const all = Object.values(hit).map(text).join("\u0000").toLowerCase();
      return words.every((word) => all.includes(word));
    });
    const [name, direction] = (this.at.sort || "rank").split(":");
    const sign = direction === "down" ? -1 : 1;
    const value = (hit) => (hit[name] === null || hit[name] === undefined ? null : hit[name]);
    return kept.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === b) return one.rank - other.rank;
      if (a === null || b === null) return a === null ? 1 : -1;
      return sign * (typeof a === "number" ? a - b : String(a).localeCompare(String(b)));
    });
  }

  fill() {
    const [sorted, direction] = (this.at.sort || "rank").split(":");
    this.head.replaceChildren(
      ...this.columns.map((column) => {
        const down = sorted === column.name ? direction !== "down" : Boolean(column.descending);
        const state = sorted !== column.name ? "none" : direction === "down" ? "descending" : "ascending";
        const next = `${column.name}${down ? ":down" : ""}`;
        return h("th", { scope: "col", class: column.class, "aria-sort": state }, h("button", { type: "button", onclick: () => this.sort(next) }, column.head));
      }),
      ...(this.alignable ? [h("th", { scope: "col", class: "more" }, h("span", { class: "unseen" }, "Alignment"))] : []),
    );
    const hits = this.hits;
    this.shown.textContent = hits.length < this.answer.hits.length ? `${hits.length} of ${this.answer.hits.length}` : "";
    this.body.replaceChildren(...hits.flatMap((hit) => this.rows(hit)));
  }

  sort(next) {
    this.at.sort = next === "rank" ? "" : next;
    this.at.sorted(this.at.sort);
    this.fill();
    this.head.querySelector(`[aria-sort="ascending"] button, [aria-sort="descending"] button`)?.focus();
  }

  rows(hit) {
    const open = this.at.opened === hit.target;
    const toggle = this.alignable && h("button", { type: "button", class: "toggle", "aria-expanded": String(open), "aria-label": `Alignment with ${hit.target}`, onclick: (event) => (event.stopPropagation(), this.toggle(hit)) }, open ? "▾" : "▸");
    const row = h("tr", { class: open ? "hit open" : "hit", tabindex: 0, "data-id": hit.target, onclick: (event) => event.target.closest("a, button") || this.toggle(hit) },
      ...this.columns.map((column) => h("td", { class: column.class, "data-head": column.head }, hit[column.name] === null || hit[column.name] === undefined ? "" : column.cell(hit, this.at))),
      this.alignable ? h("td", { class: "more" }, toggle) : null);
    if (!open) return [row];
    const cell = h("td", { colspan: this.columns.length + 1 });
    detail(cell, hit, this.at);
    return [row, h("tr", { class: "detail" }, cell)];
  }

  toggle(hit) {
    if (!this.alignable) return this.at.open(hit.target);
    this.at.opened = this.at.opened === hit.target ? "" : hit.target;
    this.at.open(this.at.opened);
    this.fill();
    this.row(hit.target)?.focus({ preventScroll: true });
  }

  row(id) {
    return [...this.body.querySelectorAll("tr.hit")].find((row) => row.dataset.id === id);
  }

  key(event) {
    const row = event.target.closest("tr.hit");
    if (!row || event.target.closest("input")) return;
    const rows = [...this.body.querySelectorAll("tr.hit")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const hit = this.answer.hits.find((each) => each.target === row.dataset.id);
    if (step) rows[rows.indexOf(row) + step]?.focus();
    else if (event.key === "Home" || event.key === "End") rows.at(event.key === "Home" ? 0 : -1).focus();
    else if (event.key === "Enter" && event.target === row) this.toggle(hit);
    else if (event.key === "Escape" && this.at.opened) this.toggle(this.answer.hits.find((each) => each.target === this.at.opened) || hit);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  focus() {
    this.body.querySelector("tr.hit")?.focus();
  }

  async download(format) {
    const problem = this.element.querySelector(".problem");
    problem.textContent = "";
    const name = `${this.answer.query.replace(/[^\w.-]+/g, "_").slice(0, 60) || "hits"}.${format}`;
    const hits = this.hits;
    try {
      if (format === "json") save(name, JSON.stringify({ ...this.answer, hits }, null, 1), "application/json");
      else if (format === "tsv") save(name, tsv(this.answer.query, hits), "text/tab-separated-values");
      else save(name, fasta(await api.proteins(this.at.db, hits.map((hit) => hit.target))), "text/x-fasta");
    } catch (error) {
      problem.textContent = error.message;
    }
  }
}

function tsv(query, hits) {
  const names = [...new Set(hits.flatMap(Object.keys))];
  const cell = (value) => text(value).replace(/\s+/g, " ");
  const rows = hits.map((hit) => [query, ...names.map((name) => (typeof hit[name] === "number" ? String(hit[name]) : cell(hit[name])))]);
  return [["query", ...names], ...rows].map((row) => `${row.join("\t")}\n`).join("");
}

function fasta(found) {
  const wrapped = (sequence) => sequence.replace(/.{60}/g, "$&\n").trimEnd();
  return found.map(({ id, description, sequence }) => `>${[id, description].filter(Boolean).join(" ").replace(/\s+/g, " ")}\n${wrapped(sequence)}\n`).join("");
}
