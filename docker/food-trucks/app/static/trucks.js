"use strict";
// Asks /search and draws the answer, as a list and on the map. While the search server is away it asks again by itself.
const [SCALE, HEIGHT, SHOWN] = [10000, 400, 60];
const find = (id) => document.getElementById(id);
const asked = { q: "", kind: "", near: "" };
let number = 0;

function make(parent, tag, text = "", attributes = {}) {
  const svg = parent.namespaceURI.endsWith("svg");
  const element = svg ? document.createElementNS(parent.namespaceURI, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

function choose(id, scroll) {
  for (const other of document.querySelectorAll(".chosen")) other.classList.remove("chosen");
  for (const part of document.querySelectorAll(`[data-id="${id}"]`)) part.classList.add("chosen");
  const row = document.querySelector(`li[data-id="${id}"]`);
  if (scroll && row) row.scrollIntoView({ block: "nearest" });
}

function show({ total, trucks, kinds }) {
  find("state").className = "";
  const shown = asked.kind ? trucks.length : total;
  find("state").textContent = `${shown} truck${shown === 1 ? "" : "s"}` + (asked.near ? ", the nearest first" : "");
  for (const id of ["list", "dots", "kinds"]) find(id).replaceChildren();
  for (const truck of trucks) {
    const place = { cx: (truck.location.lon * SCALE).toFixed(1), cy: (HEIGHT - truck.location.lat * SCALE).toFixed(1) };
    const dot = make(find("dots"), "circle", "", { ...place, r: 4.5, "data-id": truck.id });
    make(dot, "title", truck.name);
    dot.addEventListener("click", (event) => { event.stopPropagation(); choose(truck.id, true); });
  }
  for (const truck of trucks.slice(0, SHOWN)) {
    const row = make(find("list"), "li", "", { "data-id": truck.id });
    make(row, "span", truck.kind);
    make(row, "b", truck.name);
    make(row, "p", truck.dishes.join(", "));
    make(row, "small", `${truck.street}, ${truck.hours}`);
    row.addEventListener("mouseenter", () => choose(truck.id, false));
  }
  if (asked.near) {
    const [lat, lon] = asked.near.split(",").map(Number);
    const [x, y] = [lon * SCALE, HEIGHT - lat * SCALE];
    make(find("dots"), "path", "", { class: "here", d: `M${x - 9} ${y}h18M${x} ${y - 9}v18` });
  }
  for (const [kind, count] of Object.entries(kinds)) {
    const button = make(find("kinds"), "button", `${kind} ${count}`, { type: "button", "aria-pressed": kind === asked.kind });
    button.addEventListener("click", () => ask({ kind: kind === asked.kind ? "" : kind }));
  }
}

async function ask(change) {
  Object.assign(asked, change);
  const mine = ++number;
  let answer;
  try {
    const response = await fetch("/search?" + new URLSearchParams(asked));
    answer = response.headers.get("Content-Type").includes("json") ? await response.json() : { error: `HTTP ${response.status}` };
  } catch (error) {
    answer = { error: error.message };
  }
  if (mine !== number) return;
  if (!answer.error) return show(answer);
  find("state").className = "away";
  find("state").textContent = "The search server is away. Asking again …";
  setTimeout(() => mine === number && ask({}), 2000);
}

find("ask").addEventListener("submit", (event) => { event.preventDefault(); ask({ q: find("words").value, kind: "" }); });
find("words").addEventListener("input", () => ask({ q: find("words").value, kind: "" }));
find("map").addEventListener("click", (event) => {
  const box = find("map").getBoundingClientRect();
  const [x, y] = [((event.clientX - box.left) / box.width) * 600, ((event.clientY - box.top) / box.height) * HEIGHT];
  ask({ near: `${((HEIGHT - y) / SCALE).toFixed(5)},${(x / SCALE).toFixed(5)}` });
});
ask({});
