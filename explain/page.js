"use strict";
// What all of the report uses, its numbers and tables. Whatever the data holds is put in as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const number = (value) => Math.round(value).toLocaleString("en-US");

/** An element with attributes and children; strings become text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, text = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== null) element.textContent = text;
  return element;
}

function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let k = 0;
  while (count >= 1024 && k < units.length - 1) { count /= 1024; k += 1; }
  return `${k ? count.toFixed(1) : count} ${units[k]}`;
}

function legend(place, entries) {
  for (const [name, color] of entries) {
    const mark = make("i");
    mark.style.background = `var(--${color})`;
    byId(place).append(make("span", {}, mark, name));
  }
}

// ---------------------------------------------------------------- what floats beside the pointer

const tip = byId("tip");

function showTip(event, text) {
  tip.textContent = text;
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8))}px`;
  const below = event.clientY + 16;
  tip.style.top = `${below + height > innerHeight ? event.clientY - height - 10 : below}px`;
}

function explainOnHover(element, text) {
  element.addEventListener("pointermove", (event) => showTip(event, text()));
  element.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// ---------------------------------------------------------------- numbers and tables

function showTiles() {
  for (const { title, value, note } of data.tiles) {
    const tile = make("div", { class: "tile card" }, make("b", {}, value), make("span", {}, title));
    if (note) explainOnHover(tile, () => note);
    byId("tiles").append(tile);
  }
}

/** A cell is a text, or {"text", "kind"} with kind "number", "code" or a stage's name. */
function cell(tag, content) {
  const { text, kind } = typeof content === "object" ? content : { text: content, kind: "" };
  if (kind === "number") return make(tag, { class: "number" }, text);
  if (kind === "") return make(tag, {}, text);
  return make(tag, {}, make("span", { class: kind === "code" ? "code" : `stage ${kind}` }, text));
}

function showTables() {
  for (const table of data.tables) {
    const head = make("tr", {}, ...table.columns.map((name) => cell("th", name)));
    const rows = table.rows.map((row) => make("tr", {}, ...row.map((content) => cell("td", content))));
    const shown = make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
    byId("tables").append(make("h2", {}, table.title), shown);
  }
  for (const { title, text } of data.listings) {
    byId("tables").append(make("details", {}, make("summary", {}, title), make("pre", { class: "listing card" }, text)));
  }
}

function showHead() {
  byId("signature").textContent = data.plan.signature;
  byId("doc").textContent = data.plan.doc || "";
  byId("model").textContent = `compiled by sglc ${data.plan.compiler} for ${data.plan.model.reference} (${data.plan.model.architecture})`;
}
