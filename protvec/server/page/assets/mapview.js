// The map of all proteins, with the query and its hits lit.

import { Scatter, legend } from "./scatter.js";
import { count, h, text } from "./dom.js";
import * as api from "./api.js";

const NEAREST = 5; // hits that a query without a place of its own is put among

export class MapView {
  // link(changes), go(changes): see state.js; columns(): those of the database
  constructor({ link, go, columns }) {
    Object.assign(this, { link, go, columns });
    this.charts = new Map(); // by database and colour
    this.color = h("select", { id: "color", onchange: () => this.go({ color: this.color.value }) });
    this.find = h("input", { type: "search", placeholder: "Find an id, gene or word", "aria-label": "Find on the map", class: "filter" });
    this.canvas = h("canvas", { tabindex: 0, role: "img" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.list = h("ul", { class: "legend" });
    this.status = h("p", { class: "dim", role: "status" });
    this.problem = h("p", { class: "problem", role: "alert" });
    this.card = h("aside", { class: "card", hidden: true, "aria-label": "Chosen protein" });
    this.toHits = h("button", { type: "button", onclick: () => this.scatter.focus([...this.scatter.lit.keys()]) }, "To the hits");
    const form = h("form", { role: "search", onsubmit: (event) => (event.preventDefault(), this.search()) }, this.find);
    this.element = h("div", { class: "mapview" },
      h("div", { class: "bar" }, h("label", { class: "inline" }, "Colour ", this.color), form,
        h("button", { type: "button", onclick: () => (this.scatter.fit(), this.scatter.draw()) }, "Show all"), this.toHits, h("span", { class: "spring" }), this.status),
      this.problem,
      h("div", { class: "chart" }, h("div", { class: "plane" }, this.canvas, this.tip, this.card), this.list));
    this.scatter = new Scatter(this.canvas, this.tip, { describe: (i) => this.describe(i), pick: (i) => this.choose(i) });
  }

  describe(i) {
    const { chart } = this;
    const colored = chart.column ? [`${chart.column}: ${chart.groups[chart.group[i]].label}`] : [];
    const rank = this.ranks?.get(i);
    return [chart.ids[i], ...(rank ? [rank] : []), ...[chart.gene[i], chart.description[i]].filter(Boolean), ...colored];
  }

  // Show the map of a database. found: {answer, query} or null; hit: the id of a protein to point out.
  async show(db, { color, found, hit }) {
    this.db = db;
    this.problem.textContent = "";
    const key = JSON.stringify([db, color]);
    try {
      if (!this.charts.has(key)) {
        this.status.textContent = "loading the map…";
        this.charts.set(key, await api.map(db, color, { waiting: (seconds, why) => (this.status.textContent = why) }));
      }
    } catch (problem) {
      this.status.textContent = "";
      this.problem.textContent = problem.message;
      return;
    }
    if (db !== this.db) return; // another was asked for meanwhile
    const other = this.chart?.db !== db;
    this.chart = Object.assign(this.charts.get(key), { db });
    this.index = new Map(this.chart.ids.map((id, i) => [id, i]));
    this.fillColors(color);
    if (other) this.scatter.view = null;
    if (this.shown !== key) {
      this.scatter.hidden.clear();
      this.scatter.setPoints(this.chart);
      legend(this.list, this.scatter);
      this.list.hidden = !this.chart.column;
    }
    this.shown = key;
    this.canvas.setAttribute("aria-label", `Map of ${count(this.chart.ids.length)} proteins. Arrows move, + and − zoom, 0 shows all.`);
    this.light(found, hit);
  }

  fillColors(color) {
    const names = ["", ...this.columns().filter((name) => !["id", "sequence", "header", "digest"].includes(name))];
    this.color.replaceChildren(...names.map((name) => h("option", { value: name }, name || "nothing")));
    this.color.value = color;
  }

  light(found, hit) {
    const lit = new Map();
    this.ranks = new Map();
    let mark = null;
    const query = found && this.index.get(found.query.value);
    if (found) {
      if (query !== undefined && found.query.kind === "id") [lit.set(query, "query"), this.ranks.set(query, "the query")];
      for (const each of found.answer.hits) {
        const i = this.index.get(each.target);
        if (i === undefined || lit.has(i)) continue;
        lit.set(i, "hit");
        this.ranks.set(i, `hit ${each.rank}`);
      }
      if (!lit.size || [...lit.values()].includes("query") || found.query.kind === "text") mark = null;
      else mark = this.among([...lit.keys()].slice(0, NEAREST));
    }
    const chosen = hit ? this.index.get(hit) : undefined;
    if (chosen !== undefined && !lit.has(chosen)) lit.set(chosen, "found");
    this.scatter.light(lit, mark);
    this.toHits.hidden = !lit.size;
    const record = this.chart.record;
    const where = mark ? "; the cross is the query, among its nearest hits" : "";
    const lacking = this.chart.unplaced ? `; ${count(this.chart.unplaced)} proteins have no place yet` : "";
    this.status.textContent = `${record.method.toUpperCase()} of ${count(record.sequences)} sequences${lit.size && found ? `, ${lit.size} lit` : ""}${where}${lacking}`;
    this.choose(chosen);
  }

  among(points) {
    const mean = (axis) => points.reduce((sum, i) => sum + axis[i], 0) / points.length;
    return { x: mean(this.scatter.x), y: mean(this.scatter.y) };
  }

  search() {
    const wanted = this.find.value.trim().toLowerCase();
    const { ids, gene, description } = this.chart;
    const all = ids.map((_, i) => i);
    const tests = [(i) => ids[i].toLowerCase() === wanted, (i) => ids[i].toLowerCase().startsWith(wanted), (i) => [ids[i], gene[i], description[i]].some((each) => each && each.toLowerCase().includes(wanted))];
    const found = wanted ? tests.map((test) => all.filter(test)).find((some) => some.length) || [] : [];
    this.ranks = new Map();
    this.scatter.light(new Map(found.slice(0, 5000).map((i) => [i, "found"])));
    this.scatter.focus(found.slice(0, 5000));
    this.toHits.hidden = !found.length;
    this.status.textContent = wanted ? `${count(found.length)} found` : "";
    this.choose(found.length === 1 ? found[0] : undefined);
  }

  choose(i) {
    this.card.hidden = i === undefined;
    if (i === undefined) return;
    const id = this.chart.ids[i];
    this.card.replaceChildren(
      h("strong", {}, id),
      ...[this.chart.gene[i], this.chart.description[i]].filter(Boolean).map((line) => h("p", {}, text(line))),
      h("p", {}, h("a", { href: this.link({ v: "protein", id }) }, "Open"), " · ", h("a", { href: this.link({ v: "search", q: id, n: "0", hit: "", sort: "" }) }, "Search with it"), " · ",
        h("button", { type: "button", class: "plain", onclick: () => this.choose(undefined) }, "Close")),
    );
  }
}
