// A map of points on a canvas: pan, zoom, point, pick. Draws tens of thousands of points without a graphics card
// (scripts/bench_map.py), and needs no more of a Content-Security-Policy than script-src and style-src 'self'.

const NEAR = 14; // pixels from the pointer to the point it means
const MARGIN = 24; // pixels around all points

export class Scatter {
  // tip: an element that follows the point that is pointed at; describe(index) gives its lines of text.
  constructor(canvas, tip, { describe, pick } = {}) {
    this.canvas = canvas;
    this.tip = tip;
    this.describe = describe || (() => []);
    this.pick = pick || (() => {});
    this.count = 0;
    this.lit = new Map(); // index -> "hit" | "query" | "found"
    this.mark = null; // {x, y}: a query that is no point
    this.hidden = new Set(); // groups
    this.hovered = -1;
    this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  // x, y: arrays of numbers; group: for each point the number of its group; groups: [{label, color, count}].
  setPoints({ x, y, group, groups }) {
    this.x = Float32Array.from(x);
    this.y = Float32Array.from(y);
    this.group = Uint8Array.from(group);
    this.groups = groups;
    this.count = this.x.length;
    this.hovered = -1;
    const sizes = groups.map(() => 0);
    for (const number of this.group) sizes[number] += 1;
    const starts = sizes.map(((sum) => (size) => (sum += size) - size)(0));
    this.order = new Uint32Array(this.count); // points by group, the rarest drawn last
    const next = starts.slice();
    for (let i = 0; i < this.count; i++) this.order[next[this.group[i]]++] = i;
    this.ranges = groups.map((_, g) => [starts[g], starts[g] + sizes[g]]);
    this.index();
    if (!this.view) this.fit();
    this.draw();
  }

  // A grid of cells, each with the points in it, for finding what is near the pointer.
  index() {
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let i = 0; i < this.count; i++) {
      left = Math.min(left, this.x[i]);
      right = Math.max(right, this.x[i]);
      low = Math.min(low, this.y[i]);
      high = Math.max(high, this.y[i]);
    }
    if (!this.count) [left, right, low, high] = [0, 1, 0, 1];
    this.bounds = { left, right, low, high, width: right - left || 1, height: high - low || 1 };
    this.side = Math.max(1, Math.min(512, Math.ceil(Math.sqrt(this.count / 4))));
    this.cells = new Map();
    for (let i = 0; i < this.count; i++) {
      const cell = this.cell(this.x[i], this.y[i]);
      const there = this.cells.get(cell);
      if (there) there.push(i);
      else this.cells.set(cell, [i]);
    }
  }

  column(x) {
    return Math.min(this.side - 1, Math.max(0, Math.floor(((x - this.bounds.left) / this.bounds.width) * this.side)));
  }

  row(y) {
    return Math.min(this.side - 1, Math.max(0, Math.floor(((y - this.bounds.low) / this.bounds.height) * this.side)));
  }

  cell(x, y) {
    return this.row(y) * this.side + this.column(x);
  }

  // Show all points.
  fit() {
    const { width, height } = this.size();
    const { left, low, width: w, height: h } = this.bounds;
    const scale = Math.min((width - 2 * MARGIN) / w, (height - 2 * MARGIN) / h);
    this.least = scale;
    this.view = { scale: Math.max(scale, 1e-9), x: left + w / 2, y: low + h / 2 };
    this.fitted = true;
  }

  size() {
    return { width: Math.max(this.canvas.clientWidth, 60), height: Math.max(this.canvas.clientHeight, 60) };
  }

  resize() {
    if (this.fitted && this.count) this.fit();
    this.draw();
  }

  toScreen(x, y) {
    const { width, height } = this.size();
    return [width / 2 + (x - this.view.x) * this.view.scale, height / 2 - (y - this.view.y) * this.view.scale];
  }

  toMap(px, py) {
    const { width, height } = this.size();
    return [this.view.x + (px - width / 2) / this.view.scale, this.view.y - (py - height / 2) / this.view.scale];
  }

  // lit: Map of index -> kind; mark: {x, y} of a query that is no point of the map.
  light(lit, mark = null) {
    this.lit = lit;
    this.mark = mark;
    this.draw();
  }

  // Move to a point, or to all that are lit.
  focus(indexes) {
    if (!indexes.length) return;
    const xs = indexes.map((i) => this.x[i]);
    const ys = indexes.map((i) => this.y[i]);
    if (this.mark) [xs.push(this.mark.x), ys.push(this.mark.y)];
    const { width, height } = this.size();
    const [w, h] = [Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)];
    const scale = Math.min((width - 6 * MARGIN) / (w || 1e-9), (height - 6 * MARGIN) / (h || 1e-9), this.least * 12);
    this.view = { scale, x: Math.min(...xs) + w / 2, y: Math.min(...ys) + h / 2 };
    this.fitted = false;
    this.draw();
  }

  toggle(group) {
    if (!this.hidden.delete(group)) this.hidden.add(group);
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    if (!this.count || !this.canvas.clientWidth) return;
    const { width, height } = this.size();
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) [this.canvas.width, this.canvas.height] = [w, h];
    const paper = this.canvas.getContext("2d");
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.clearRect(0, 0, width, height);
    const zoom = Math.sqrt(this.view.scale / this.least);
    const size = Math.min(9, Math.max(1.6, (220 / Math.sqrt(this.count + 400)) * Math.min(zoom, 3)));
    paper.globalAlpha = this.lit.size || this.mark ? Number(this.ink("--dimmed", 0.35)) : 0.8;
    for (let g = 0; g < this.groups.length; g++) if (!this.hidden.has(g)) this.points(paper, g, size, width, height);
    paper.globalAlpha = 1;
    this.paintLit(paper, size);
    if (this.hovered >= 0) this.ring(paper, ...this.toScreen(this.x[this.hovered], this.y[this.hovered]), size + 3, this.ink("--fg", "#222"));
  }

  points(paper, g, size, width, height) {
    const { scale, x: cx, y: cy } = this.view;
    const [dx, dy] = [width / 2 - cx * scale - size / 2, height / 2 + cy * scale - size / 2];
    paper.fillStyle = this.groups[g].color;
    const round = size > 3.5 && this.count < 20000;
    for (let k = this.ranges[g][0]; k < this.ranges[g][1]; k++) {
      const i = this.order[k];
      const px = this.x[i] * scale + dx;
      const py = dy - this.y[i] * scale;
      if (px < -size || py < -size || px > width || py > height) continue;
      if (round) {
        paper.beginPath();
        paper.arc(px + size / 2, py + size / 2, size / 2, 0, 6.3);
        paper.fill();
      } else paper.fillRect(px, py, size, size);
    }
  }

  paintLit(paper, size) {
    const radius = Math.max(4, size / 2 + 2);
    for (const [i, kind] of [...this.lit].reverse()) {
      const [px, py] = this.toScreen(this.x[i], this.y[i]);
      paper.beginPath();
      paper.arc(px, py, kind === "query" ? radius + 2 : radius, 0, 6.3);
      paper.fillStyle = this.ink(kind === "hit" ? "--hit" : "--query", kind === "hit" ? "#d9480f" : "#111");
      paper.fill();
      this.ring(paper, px, py, kind === "query" ? radius + 2 : radius, this.ink("--bg", "#fff"));
    }
    if (!this.mark) return;
    const [px, py] = this.toScreen(this.mark.x, this.mark.y);
    paper.strokeStyle = this.ink("--query", "#111");
    paper.lineWidth = 2.5;
    paper.beginPath();
    for (const [a, b] of [[-8, 0], [8, 0], [0, -8], [0, 8]]) {
      paper.moveTo(px + a / 4, py + b / 4);
      paper.lineTo(px + a, py + b);
    }
    paper.stroke();
    this.ring(paper, px, py, 5, this.ink("--query", "#111"));
  }

  ring(paper, px, py, radius, color) {
    paper.beginPath();
    paper.arc(px, py, radius, 0, 6.3);
    paper.lineWidth = 1.5;
    paper.strokeStyle = color;
    paper.stroke();
  }

  ink(name, other) {
    return getComputedStyle(this.canvas).getPropertyValue(name).trim() || other;
  }

  // The point nearest to a place on the screen; those that are lit before others; -1 where there is none.
  at(px, py) {
    if (!this.count) return -1;
    let [best, distance] = [-1, NEAR];
    const consider = (i, bonus) => {
      if (this.hidden.has(this.group[i])) return;
      const [sx, sy] = this.toScreen(this.x[i], this.y[i]);
      const apart = Math.hypot(sx - px, sy - py) - bonus;
      if (apart < distance) [best, distance] = [i, apart];
    };
    const [left, top] = this.toMap(px - NEAR, py - NEAR);
    const [right, bottom] = this.toMap(px + NEAR, py + NEAR);
    for (let r = this.row(bottom); r <= this.row(top); r++)
      for (let c = this.column(left); c <= this.column(right); c++)
        for (const i of this.cells.get(r * this.side + c) || []) consider(i, 0);
    for (const i of this.lit.keys()) consider(i, 4);
    return best;
  }

  hover(px, py) {
    const index = px === null ? -1 : this.at(px, py);
    if (index !== this.hovered) {
      this.hovered = index;
      this.draw();
    }
    this.tip.hidden = index < 0;
    this.canvas.style.cursor = index < 0 ? "grab" : "pointer";
    if (index < 0) return;
    this.tip.replaceChildren(
      ...this.describe(index).map((line, number) => {
        const element = document.createElement(number ? "div" : "strong");
        element.textContent = line;
        return element;
      }),
    );
    const { width, height } = this.size();
    const [sx, sy] = this.toScreen(this.x[index], this.y[index]);
    const left = Math.min(sx + 14, width - this.tip.offsetWidth - 4);
    const above = sy + 14 + this.tip.offsetHeight > height;
    this.tip.style.transform = `translate(${Math.max(4, left)}px, ${above ? sy - 12 - this.tip.offsetHeight : sy + 14}px)`;
  }

  zoom(factor, px, py) {
    const [x, y] = this.toMap(px, py);
    const scale = Math.min(Math.max(this.view.scale * factor, this.least / 2), this.least * 2000);
    const ratio = this.view.scale / scale;
    this.view = { scale, x: x + (this.view.x - x) * ratio, y: y + (this.view.y - y) * ratio };
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x - dx / this.view.scale, y: this.view.y + dy / this.view.scale };
    this.fitted = false;
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (this.count) this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), ...place(event));
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, place(event));
      this.moved = this.pointers.size > 1;
    });
    canvas.addEventListener("pointermove", (event) => {
      const now = place(event);
      const before = this.pointers.get(event.pointerId);
      if (!this.count) return;
      if (!before) return this.hover(...now);
      const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      if (Math.hypot(now[0] - before[0], now[1] - before[1]) < 3 && !this.moved) return;
      this.moved = true;
      this.tip.hidden = true;
      this.pointers.set(event.pointerId, now);
      if (!others.length) return this.pan(now[0] - before[0], now[1] - before[1]);
      const [other] = others;
      const apart = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
      this.zoom(apart(now) / apart(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    });
    const up = (event) => {
      const known = this.pointers.delete(event.pointerId);
      if (!known || this.moved || event.type !== "pointerup" || !this.count) return;
      const index = this.at(...place(event));
      this.hover(...place(event));
      if (index >= 0) this.pick(index);
    };
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, up);
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", () => this.count && (this.fit(), this.draw()));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (!this.count || event.ctrlKey || event.metaKey || event.altKey) return;
    const { width, height } = this.size();
    const moves = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (moves[event.key]) this.pan(...moves[event.key]);
    else if ("+=".includes(event.key)) this.zoom(1.4, width / 2, height / 2);
    else if ("-_".includes(event.key)) this.zoom(1 / 1.4, width / 2, height / 2);
    else if (event.key === "0") [this.fit(), this.draw()];
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

// A legend: a button for each group, which hides and shows it.
export function legend(list, scatter) {
  list.replaceChildren(
    ...scatter.groups.map((group, number) => {
      const [item, button, swatch, label, count] = ["li", "button", "i", "span", "small"].map((name) => document.createElement(name));
      button.type = "button";
      button.setAttribute("aria-pressed", String(!scatter.hidden.has(number)));
      swatch.style.background = group.color;
      label.textContent = group.label;
      count.textContent = group.count.toLocaleString("en");
      button.append(swatch, label, count);
      button.title = group.label;
      button.addEventListener("click", () => {
        scatter.toggle(number);
        button.setAttribute("aria-pressed", String(!scatter.hidden.has(number)));
      });
      item.append(button);
      return item;
    }),
  );
}
