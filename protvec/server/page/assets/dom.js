// Elements from data. Text is text: nothing here, nor anywhere on this page, makes markup of it.

// h("td", { class: "number", onclick }, "text", element): an element with attributes, listeners and children.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "hidden") element.hidden = true;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

export const count = (number) => Number(number).toLocaleString("en");

// An E-value as one reads it: 0, 3e-42, 0.0021, 4.7, 1,240.
export function evalue(value) {
  if (value === null || value === undefined) return "";
  if (value === 0) return "0";
  if (value < 0.001) return value.toExponential(0).replace("e-", "e−");
  return value < 10 ? String(Number(value.toPrecision(2))) : count(Math.round(value));
}

export function score(value) {
  if (value === null || value === undefined) return "";
  return Math.abs(value) > 1.5 ? count(Math.round(value)) : value.toFixed(3);
}

// A value of a column, whatever it is.
export function text(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(text).join(", ");
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

// Have the browser save a file.
export function save(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
