// Questions to the server that this page comes from. What goes wrong is a Problem, with the server's own words.

const ROOT = new URL("api/v1/", document.baseURI);
const BUSY_TRIES = 20;

export class Problem extends Error {
  constructor(status, members) {
    super(members.detail || members.title || `the server answered ${status}`);
    this.status = status;
    this.code = members.code || "";
    this.near = members.near || [];
    this.errors = members.errors || [];
  }

  // Which field of the form it is about.
  get field() {
    const where = this.errors.map((each) => each.where.split(".").pop()).find((name) => ["k", "evalue", "where"].includes(name));
    if (where) return where;
    if (this.code === "filter") return "where";
    const named = /^(k|evalue)\b/.exec(this.message);
    return named ? named[1] : "query";
  }
}

let secret = sessionStorage.getItem("protvec.key") || "";

export function useKey(key) {
  secret = key;
  sessionStorage.setItem("protvec.key", key);
}

const pause = (seconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });

async function once(path, { body, accept, signal }) {
  const headers = { Accept: accept };
  if (secret) headers.Authorization = `Bearer ${secret}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(new URL(path, ROOT), { method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { detail: "The server does not answer: is it still running?" });
  }
  if (response.ok) return accept === "application/json" ? response.json() : response.text();
  let members = {};
  try {
    members = await response.json();
  } catch {
    members = { title: response.statusText };
  }
  const problem = new Problem(response.status, members);
  problem.after = Number(response.headers.get("Retry-After")) || 0;
  throw problem;
}

// Ask; where the server is busy, wait as it says and ask again. waiting(seconds) is told of that.
export async function ask(path, { body, accept = "application/json", signal, waiting } = {}) {
  for (let tries = 1; ; tries++) {
    try {
      return await once(path, { body, accept, signal });
    } catch (problem) {
      const lasting = ["model", "database"].includes(problem.code); // it will not be otherwise in a moment
      if (problem.status !== 503 || lasting || !problem.after || tries >= BUSY_TRIES || !waiting) throw problem;
      waiting(problem.after, problem.message);
      await pause(Math.min(problem.after, 30), signal);
    }
  }
}

const of = (db) => `databases/${encodeURIComponent(db)}`;

export const databases = () => ask("databases");
export const database = (db) => ask(of(db));
export const search = (db, body, options) => ask(`${of(db)}/search`, { body, ...options });
export const protein = (db, id, options) => ask(`${of(db)}/proteins/${encodeURIComponent(id)}`, options);
export const proteins = (db, ids, options) => ask(`${of(db)}/proteins`, { body: { ids }, ...options });
export const align = (db, body, options) => ask(`${of(db)}/align`, { body, ...options });
export const map = (db, column, options) => ask(`${of(db)}/map${column ? `?color=${encodeURIComponent(column)}` : ""}`, options);
