// What is shown is what the address says: after the #, so that sequences stay in the browser and out of logs.

const DEFAULTS = { db: "", v: "search", q: "", k: "25", evalue: "", where: "", align: "1", self: "", n: "0", hit: "", sort: "", id: "", color: "", cols: "" };

export function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, given.get(name) ?? DEFAULTS[name]]));
}

// The address of the present state with some changes.
export function link(changes = {}) {
  const state = { ...read(), ...changes };
  const told = Object.entries(state).filter(([name, value]) => name in DEFAULTS && String(value) !== DEFAULTS[name]);
  return `#${new URLSearchParams(told)}`;
}

// Go there: a step that the back button undoes, unless it replaces the present one.
export function go(changes, { replace = false } = {}) {
  const address = link(changes);
  if (address === (location.hash || "#")) return false;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  return true;
}
