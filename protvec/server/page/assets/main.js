// Reads the address, shows what it says, and asks the server for what that takes.

import { byId, count, h } from "./dom.js";
import * as api from "./api.js";
import * as queries from "./query.js";
import * as state from "./state.js";
import { HitTable } from "./hits.js";
import { MapView } from "./mapview.js";
import * as protein from "./protein.js";

const STANDARD = ["length", "gene", "organism", "description"]; // columns that all hits have
const LOOK_AGAIN = 2000; // milliseconds, while a model is loading
const field = (name) => document.querySelector(`[data-field="${name}"]`);
const results = byId("results");

let known = []; // databases
let about = null; // what is known of the one that is shown
let answers = null; // {key, queries, found: [{answer} | {problem}]}
let running = null; // AbortController of what is under way
let table = null;
let view = "";

const go = (changes, how) => state.go(changes, how) && show();
const columns = () => (about ? about.columns.map((column) => column.name) : []);
const map = new MapView({ link: state.link, go, columns });

// --- databases and models

async function start() {
  try {
    known = await api.databases();
  } catch (problem) {
    return startLater(problem);
  }
  byId("key").hidden = true;
  byId("db").replaceChildren(...known.map((each) => h("option", { value: each.name }, each.name)));
  await show();
  watch();
}

function startLater(problem) {
  byId("key").hidden = problem.status !== 401;
  if (problem.status === 401) {
    byId("key").querySelector(".problem").textContent = problem.message;
    byId("secret").focus();
  } else results.replaceChildren(h("p", { class: "problem", role: "alert" }, problem.message), h("button", { type: "button", onclick: start }, "Try again"));
}

async function watch() {
  const now = known.find((each) => each.name === state.read().db) || known[0];
  if (!now) return;
  const words = { loading: "model is loading: ids and words can be searched already", ready: "", failed: "model cannot be loaded: search by id or words", off: "no model: search by id or words" };
  const state_ = words[now.state] ?? now.state;
  byId("model").textContent = `${count(now.proteins)} proteins · ${now.model}${state_ ? ` · ${state_}` : ""}`;
  byId("model").classList.toggle("busy", now.state === "loading");
  if (now.state !== "loading") return;
  await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
  try {
    known = await api.databases();
  } catch {
    // the next question says what is wrong
  }
  watch();
}

async function choose(db) {
  if (about?.name === db) return;
  about = await api.database(db);
  watch();
  byId("columns").replaceChildren(...about.columns.map(columnItem));
  const none = about.codec === "none";
  byId("align").disabled = none;
  byId("align").parentElement.title = none ? "This database keeps no residues" : "";
  byId("about").textContent = `${about.scoring.text}`;
}

// A column of the database: its name goes into the filter, its box shows it in the table.
function columnItem({ name, type }) {
  const box = h("input", { type: "checkbox", value: name, "aria-label": `Show ${name} of hits`, onchange: () => submit() });
  box.hidden = STANDARD.includes(name) || ["id", "sequence", "digest"].includes(name);
  return h("li", {}, h("button", { type: "button", title: `Put ${name} into the filter`, onclick: () => insert(name) }, name), h("small", {}, ` ${type}`), box);
}

const boxes = () => [...byId("columns").querySelectorAll("input")];

function insert(name) {
  const input = byId("where");
  input.setRangeText(name, input.selectionStart, input.selectionEnd, "end");
  input.focus();
}

// --- the form

const filled = { query: "", k: "25", evalue: "", where: "" }; // by the address; what is typed meanwhile stays

function fill(now) {
  const values = { query: now.q, k: now.k, evalue: now.evalue, where: now.where };
  for (const [id, value] of Object.entries(values)) if (filled[id] !== value) byId(id).value = filled[id] = value;
  byId("align").checked = now.align === "1" && !byId("align").disabled;
  byId("self").checked = now.self === "1";
  byId("db").value = now.db;
  for (const box of boxes()) box.checked = now.cols.split(",").includes(box.value);
  reading();
}

function reading() {
  try {
    byId("reading").textContent = queries.describe(queries.read(byId("query").value));
  } catch {
    byId("reading").textContent = "";
  }
}

function complain(name, message, near = []) {
  const place = (field(name) || field("query")).querySelector(".problem");
  const said = near.length ? `${message.split("; near:")[0]}; near:` : message; // what is near can be clicked on
  place.replaceChildren(said, ...near.slice(0, 5).map((id) => h("button", { type: "button", class: "plain", onclick: () => submit(id) }, id)));
  const input = place.parentElement.querySelector("input, textarea");
  input.setAttribute("aria-invalid", "true");
}

function calm() {
  for (const place of document.querySelectorAll(".field .problem")) place.textContent = "";
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function submit(text) {
  if (typeof text === "string") byId("query").value = text;
  const wanted = { v: "search", q: byId("query").value.trim(), k: byId("k").value || "25", evalue: byId("evalue").value.trim(), where: byId("where").value.trim() };
  Object.assign(wanted, { align: byId("align").checked || byId("align").disabled ? "1" : "0", self: byId("self").checked ? "1" : "", n: "0", hit: "", sort: "", id: "", cols: boxes().filter((box) => box.checked).map((box) => box.value).join(",") });
  if (answers) answers.key = ""; // ask again, also for the same
  if (!go(wanted)) show();
  if (matchMedia("(max-width: 760px)").matches) results.scrollIntoView();
}

// --- searching

const keyOf = (now) => JSON.stringify([now.db, now.q, now.k, now.evalue, now.where, now.align, now.self, now.cols]);

function bodyOf(query, now) {
  const common = { k: Number(now.k), ...(now.where && { where: now.where }), ...(now.cols && { columns: [...STANDARD, ...now.cols.split(",")] }) };
  if (query.kind === "text") return { text: query.value, ...common };
  const more = { ...(now.evalue && { evalue: Number(now.evalue) }), ...(now.self === "1" && { exclude_self: true }), ...(now.align === "1" && about.codec !== "none" && { align: true }) };
  return query.kind === "id" ? { id: query.value, ...common, ...more } : { sequence: query.value, query: query.name, ...common, ...more };
}

// The answer to one query. What is no id is looked for as words.
async function answerTo(query, now, options) {
  try {
    return { query, answer: await api.search(now.db, bodyOf(query, now), options) };
  } catch (problem) {
    if (query.kind !== "id" || problem.code !== "protein_not_found") throw problem;
    const words = { ...query, kind: "text" };
    const answer = await api.search(now.db, bodyOf(words, now), options);
    if (!answer.hits.length) throw problem;
    return { query: words, answer, note: `No protein has the id ${query.value}: these have it in their ids, genes or descriptions.` };
  }
}

function checked(now) {
  calm();
  let fine = true;
  const refuse = (name, message) => ((fine = false), complain(name, message));
  if (!/^\d+$/.test(now.k) || Number(now.k) < 1) refuse("k", "a whole number from 1");
  if (now.evalue && !(Number(now.evalue) > 0)) refuse("evalue", "a number above 0, such as 0.001 or 1e-5");
  try {
    const asked = queries.read(now.q);
    return fine ? asked : null;
  } catch (error) {
    refuse("query", error.message);
    return null;
  }
}

async function search(now) {
  const key = keyOf(now);
  if (answers?.key === key) return;
  running?.abort();
  const asked = checked(now);
  answers = { key, queries: asked || [], found: [] };
  table = null;
  if (!asked?.length) return;
  running = new AbortController();
  const { signal } = running;
  const mine = answers;
  const started = performance.now();
  let doing = "";
  const tell = () => (byId("progress").textContent = `${doing} ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const timer = setInterval(tell, 500);
  byId("stop").hidden = false;
  document.body.classList.add("searching");
  try {
    for (const [number, query] of asked.entries()) {
      const of = asked.length > 1 ? ` ${number + 1} of ${asked.length}` : "";
      const loading = query.kind === "sequence" && known.find((each) => each.name === now.db)?.state === "loading";
      doing = loading ? "waiting for the model…" : query.kind === "sequence" ? `embedding and searching${of}…` : `searching${of}…`;
      tell();
      const waiting = (seconds, why) => ((doing = `${why}; again in ${seconds} s…`), tell());
      try {
        mine.found[number] = await answerTo(query, now, { signal, waiting });
      } catch (problem) {
        if (signal.aborted) throw problem;
        mine.found[number] = { query, problem };
        if (asked.length === 1 || problem.field !== "query") {
          complain(problem.field, problem.message, problem.near);
          break;
        }
      }
      if (mine === answers && asked.length > 1) present(state.read());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    if (mine === answers) mine.stopped = true;
  } finally {
    clearInterval(timer);
    if (running?.signal === signal) {
      running = null;
      byId("stop").hidden = true;
      byId("progress").textContent = mine.stopped ? "stopped" : "";
      document.body.classList.remove("searching");
    }
  }
}

// --- what is shown

const chosen = (now) => answers?.found[Math.min(Number(now.n) || 0, Math.max(0, answers.found.length - 1))];

function present(now) {
  const found = chosen(now);
  const many = answers?.queries.length > 1;
  const tabs = many && h("nav", { class: "queries", "aria-label": "Queries" },
    answers.queries.map((query, number) => {
      const each = answers.found[number];
      const state_ = !each ? "…" : each.problem ? "!" : count(each.answer.hits.length);
      return h("a", { href: state.link({ n: number, hit: "", sort: "" }), "aria-current": number === Number(now.n) && "true" }, query.name, h("small", {}, ` ${state_}`));
    }));
  if (!found) return results.replaceChildren(...(tabs ? [tabs] : []), answers?.queries.length ? h("p", { class: "waiting" }, answers.stopped ? "" : "searching…") : welcome());
  if (found.problem) return results.replaceChildren(...(tabs ? [tabs, h("p", { class: "problem", role: "alert" }, `${found.query.name}: ${found.problem.message}`)] : [welcome()]));
  const { answer, query } = found;
  const at = {
    db: now.db, link: state.link, query, length: answer.query_length, opened: now.hit, sort: now.sort, columns: now.cols ? now.cols.split(",") : [],
    open: (hit) => (query.kind === "text" ? go({ v: "protein", id: hit, hit: "" }) : state.go({ hit }, { replace: false })),
    sorted: (sort) => state.go({ sort }, { replace: true }),
  };
  table = new HitTable(answer, at);
  const none = now.where || now.evalue ? "No protein meets the filter and the E-value." : "No protein was found.";
  results.replaceChildren(
    ...(tabs ? [tabs] : []),
    h("h2", {}, `${count(answer.hits.length)} ${answer.hits.length === 1 ? "hit" : "hits"}`, h("small", {}, ` of ${query.kind === "text" ? `“${query.value}”` : answer.query}`),
      h("a", { class: "tomap", href: state.link({ v: "map", hit: "" }) }, "Show on the map")),
    ...(found.note ? [h("p", { class: "dim" }, found.note)] : []),
    answer.hits.length ? table.element : h("p", {}, none),
    h("details", { class: "fine" }, h("summary", {}, `${answer.took_ms < 1000 ? `${Math.round(answer.took_ms)} ms` : `${(answer.took_ms / 1000).toFixed(1)} s`} · ${answer.index.exact ? "exact" : "approximate"}`), h("p", {}, answer.index.text), h("p", {}, answer.chance)),
  );
}

function welcome() {
  return h("div", { class: "welcome" },
    h("h2", {}, "What else looks like this protein?"),
    h("p", {}, "Paste a sequence or a FASTA text, an id, or words of a description. A protein language model compares it with all proteins of the database; what is near is aligned residue by residue."),
    ...tries());
}

// What can be asked of this very database: links, so that they are reached with Tab, opened in a new tab, or copied.
function tries() {
  const { proteins, text, where } = about.examples;
  if (!proteins.length) return [];
  const [first] = proteins;
  const ask = (q, condition = "") => state.link({ v: "search", q, where: condition, evalue: "", k: "25", n: "0", hit: "", sort: "", id: "" });
  const item = (kind, address, words, more) => h("li", {}, h("small", {}, kind), h("a", { href: address }, words), more && h("span", { class: "dim" }, more));
  return [
    h("h3", { id: "tries" }, "To begin with"),
    h("ul", { class: "tries", "aria-labelledby": "tries" },
      proteins.map(({ id, description }) => item("id", ask(id), id, description)),
      text && item("words", ask(text), text),
      item("filter", ask(first.id, where), `${first.id}, ${where}`)),
  ];
}

let shownProtein = null;

async function showProtein(now) {
  shownProtein?.abort();
  shownProtein = new AbortController();
  const { signal } = shownProtein;
  try {
    await protein.show(results, now, { link: state.link, go: (changes, how) => state.go(changes, how), signal });
  } catch (problem) {
    if (signal.aborted) return;
    const near = problem.near?.map((id) => h("li", {}, h("a", { href: state.link({ id }) }, id)));
    results.replaceChildren(h("h2", {}, now.id), h("p", { class: "problem", role: "alert" }, problem.message), near?.length ? h("ul", {}, near) : "");
  }
}

async function show() {
  const now = state.read();
  if (!known.length) return;
  if (!known.some((each) => each.name === now.db)) {
    const problem = now.db ? `There is no database ${now.db} here.` : "";
    state.go({ db: known[0].name }, { replace: true });
    await show();
    if (problem) complain("query", problem);
    return;
  }
  try {
    await choose(now.db);
  } catch (problem) {
    return startLater(problem);
  }
  if (view !== now.v) shownProtein?.abort();
  view = now.v;
  document.body.dataset.view = now.v;
  document.title = `${{ protein: now.id, map: "map" }[now.v] || now.q.split(/\s/)[0].slice(0, 40) || now.db} – protvec`;
  for (const each of document.querySelectorAll("[data-view]")) {
    each.setAttribute("href", state.link({ v: each.dataset.view, hit: "" }));
    if (each.dataset.view === now.v) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  fill(now);
  if (now.v === "protein") return showProtein(now);
  if (now.v === "map") {
    if (!results.contains(map.element)) results.replaceChildren(map.element);
    await search(now);
    if (state.read().v !== "map") return;
    const found = chosen(now);
    return map.show(now.db, { color: now.color, found: found?.answer ? found : null, hit: now.hit });
  }
  if (now.q && answers?.key !== keyOf(now)) {
    results.replaceChildren(h("p", { class: "waiting" }, ""));
    await search(now);
    const later = state.read();
    if (later.v === "search" && keyOf(later) === keyOf(now)) present(later);
    return;
  }
  if (!now.q) answers = null;
  present(now);
}

// --- keys and buttons

const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    return submit();
  }
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "/" && !typing(event.target)) {
    event.preventDefault();
    if (view === "map") map.find.focus();
    else {
      byId("query").focus();
      byId("query").select();
    }
  } else if (event.key === "Escape") {
    if (typing(event.target)) event.target.blur();
    else if (running) running.abort();
    else if (view !== "search") go({ v: "search", id: "", hit: "" });
  } else if (event.key === "ArrowDown" && view === "search" && !event.target.closest("input, textarea, select, tr")) {
    table?.focus();
    event.preventDefault();
  }
});
byId("ask").addEventListener("submit", (event) => (event.preventDefault(), submit()));
byId("query").addEventListener("input", () => (calm(), reading()));
byId("query").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.ctrlKey || event.metaKey) return;
  if (byId("query").value.includes("\n") || byId("query").value.startsWith(">")) return; // a text of several lines
  event.preventDefault();
  submit();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("db").addEventListener("change", () => go({ db: byId("db").value, hit: "", id: "", color: "", v: state.read().v === "protein" ? "search" : state.read().v }));
byId("home").addEventListener("click", (event) => {
  event.preventDefault();
  Object.assign(filled, { query: null, where: null, evalue: null });
  go({ v: "search", q: "", hit: "", id: "", sort: "", n: "0", where: "", evalue: "" }) || show();
});
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  api.useKey(byId("secret").value.trim());
  start();
});
window.addEventListener("popstate", show);
start();
