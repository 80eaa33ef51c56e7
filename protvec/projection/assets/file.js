// What makes of the data in this file a map. Comes after scatter.js, in one script.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const status = byId("status");
const describe = (i) => [
  data.ids[i],
  ...(data.column ? [`${data.column}: ${data.groups[data.group[i]].label}`] : []),
  ...[data.gene[i], data.description[i]].filter(Boolean),
];
const say = (text) => (status.textContent = text);
const scatter = new Scatter(byId("map"), byId("tip"), { describe, pick: (i) => show([i], describe(i).join(" · ")) });
scatter.setPoints(data);
legend(byId("legend"), scatter);

function show(found, text) {
  scatter.light(new Map(found.map((i) => [i, "found"])));
  say(text);
}

function search(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return show([], "");
  const ids = data.ids.map((id, i) => [id.toLowerCase(), i]);
  let found = ids.filter(([id]) => id === wanted);
  if (!found.length) found = ids.filter(([id]) => id.startsWith(wanted));
  if (!found.length)
    found = ids.filter(([id, i]) => [id, data.gene[i], data.description[i]].some((each) => each && each.toLowerCase().includes(wanted)));
  const points = found.map(([, i]) => i);
  show(points, points.length === 1 ? describe(points[0]).join(" · ") : `${points.length.toLocaleString("en")} found`);
  scatter.focus(points.slice(0, 5000));
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  search(byId("text").value);
});
byId("reset").addEventListener("click", () => {
  byId("text").value = "";
  show([], "");
  scatter.fit();
  scatter.draw();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== byId("text")) {
    event.preventDefault();
    byId("text").focus();
  } else if (event.key === "Escape") byId("reset").click();
});
