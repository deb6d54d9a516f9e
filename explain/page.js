"use strict";
// Draws the report. All that stands in the data is put in as text, never as markup.

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

// ---------------------------------------------------------------- the graph

const view = byId("view");
const canvas = byId("canvas");
const LEAST_SCALE = 0.62; // at which nodes can be read
const camera = { x: 0, y: 0, scale: 1 };
let graph = data.graph.folded;
let elements = new Map(); // node id -> its element
let chosen = null;

function drawGraph() {
  const lines = draw("svg", { width: graph.width, height: graph.height });
  for (const edge of graph.edges) {
    const names = edge.is_quiet ? `${edge.kind} quiet` : edge.kind;
    const path = draw("path", { d: edge.path, class: names });
    edge.element = path;
    lines.append(path);
  }
  elements = new Map();
  const boxes = document.createDocumentFragment();
  boxes.append(lines);
  for (const node of graph.nodes) boxes.append(drawNode(node)); // a group before what it holds
  canvas.replaceChildren(boxes);
  choose(null);
}

function drawNode(node) {
  const [x, y, width, height] = node.box;
  const names = ["node", node.is_group ? "group" : node.stage, node.kind];
  const element = make("div", { class: names.join(" "), "data-node": node.id });
  Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  element.append(make("b", {}, make("em", {}, heading(node)), node.title === node.kind ? "" : ` ${node.title}`));
  if (node.is_group) {
    const isCounted = typeof node.times === "number" && node.times !== 1; // then the title says it
    element.firstChild.append(node.detail && !isCounted ? make("em", {}, ` ${node.detail}`) : "");
  } else {
    const options = node.options.join(" ");
    const [some, more] = node.lines;
    for (const [name, text, clamp] of [["detail", node.detail, some], ["options", options, more]]) {
      if (!text) continue;
      const lines = make("span", { class: name }, text);
      lines.style.webkitLineClamp = clamp;
      element.append(lines);
    }
  }
  element.addEventListener("click", (event) => { event.stopPropagation(); choose(node); });
  elements.set(node.id, element);
  return element;
}

function heading(node) {
  if (node.kind === "arm") return "";
  if (node.times !== 1 && node.times !== null && node.kind !== "repeat") return `${node.kind} x ${node.times}`;
  return node.kind;
}

/** Show all about a node, and what leads to it and from it. */
function choose(node) {
  for (const element of canvas.querySelectorAll(".hot")) element.classList.remove("hot");
  chosen = node;
  const card = byId("chosen");
  if (node === null) {
    card.replaceChildren(
      make("h3", {}, "What is what"),
      make("p", {}, "Thick lines continue a context: its KV is shared. Dashed ones use a value. What several lines leave is a fork of its KV."),
      make("p", { class: "quiet" }, "Click a node for its whole text. Drag to move, scroll to zoom."),
    );
    return;
  }
  elements.get(node.id).classList.add("hot");
  for (const edge of graph.edges) {
    if (edge.source === node.id || edge.target === node.id) edge.element.classList.add("hot");
  }
  const facts = make("dl");
  const tell = (name, text) => facts.append(make("dt", {}, name), make("dd", {}, text));
  tell("kind", node.kind);
  tell("known", { const: "when compiling", input: "when rows are bound", gen: "while running" }[node.stage]);
  if (node.times !== 1) tell("runs", node.times === null ? "as often as the row says" : `${node.times} times`);
  if (node.place) tell("place", node.place);
  for (const option of node.options) tell("with", option);
  if (node.needed_until !== null) {
    const last = graph.nodes.find((each) => each.id === node.needed_until);
    tell("KV freed after", last.id === node.id ? "itself" : `${last.kind} ${last.title}`);
  }
  card.replaceChildren(make("h3", {}, node.title), facts, make("pre", {}, node.detail));
}

function moveCamera() {
  canvas.style.transform = `translate(${camera.x}px, ${camera.y}px) scale(${camera.scale})`;
}

function zoom(factor, x, y) {
  const scale = Math.max(0.03, Math.min(3, camera.scale * factor));
  camera.x = x - ((x - camera.x) * scale) / camera.scale;
  camera.y = y - ((y - camera.y) * scale) / camera.scale;
  camera.scale = scale;
  moveCamera();
}

/** All of the graph; with `least`, from its top, no smaller than that. */
function fit(least = 0) {
  const { clientWidth: width, clientHeight: height } = view;
  const whole = Math.min(width / (graph.width + 40), height / (graph.height + 40), 1.2);
  camera.scale = Math.max(whole, least);
  const isWide = graph.width * camera.scale > width;
  camera.x = isWide ? 20 : (width - graph.width * camera.scale) / 2;
  camera.y = Math.max(16, (height - graph.height * camera.scale) / 2);
  if (graph.height * camera.scale > height) camera.y = 16;
  moveCamera();
}

function handleView() {
  let from = null;
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const corner = view.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 500), event.clientX - corner.left, event.clientY - corner.top);
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX - camera.x, y: event.clientY - camera.y };
  });
  view.addEventListener("pointermove", (event) => {
    if (from === null || !(event.buttons & 1)) return;
    view.classList.add("dragged");
    camera.x = event.clientX - from.x;
    camera.y = event.clientY - from.y;
    moveCamera();
  });
  addEventListener("pointerup", () => { from = null; view.classList.remove("dragged"); });
  view.addEventListener("click", () => choose(null));
  view.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
    if (event.key in steps) {
      event.preventDefault();
      camera.x += steps[event.key][0];
      camera.y += steps[event.key][1];
      moveCamera();
    } else if (event.key === "+" || event.key === "-") {
      zoom(event.key === "+" ? 1.25 : 0.8, view.clientWidth / 2, view.clientHeight / 2);
    }
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      const how = button.dataset.zoom;
      if (how === "fit") fit();
      else zoom(how === "in" ? 1.25 : 0.8, view.clientWidth / 2, view.clientHeight / 2);
    });
  }
  if (data.graph.full !== null) {
    byId("unfold").hidden = false;
    byId("unfold").firstChild.addEventListener("change", (event) => {
      graph = event.target.checked ? data.graph.full : data.graph.folded;
      drawGraph();
      fit(LEAST_SCALE);
    });
  }
}

function showGraph() {
  legend("stages", [["known when compiling", "const"], ["known when rows are bound", "input"], ["known while running", "gen"]]);
  drawGraph();
  handleView();
  // a small graph as high as it is
  view.style.height = `${Math.max(320, Math.min(innerHeight * 0.85, 900, graph.height + 60))}px`;
  fit(LEAST_SCALE);
}

// ---------------------------------------------------------------- the trie

const MOST_DEPTH = 30;
const SLAB = 24;
let trie = null; // a tree of {node, own, weight, children}

function growTrie(nodes) {
  const top = { node: null, own: 0, weight: 0, children: [], parent: null };
  const found = nodes.map((node) => ({ node, own: node.tokens * node.sharers, weight: 0, children: [] }));
  found.forEach((each) => {
    each.parent = each.node.parent < 0 ? top : found[each.node.parent];
    each.parent.children.push(each);
  });
  for (const each of [...found].reverse()) { // a child comes after its parent
    each.weight += each.own;
    each.parent.weight += each.weight;
  }
  return top;
}

function trieText({ node, own }) {
  const copies = node.copies === 1 ? "one for all" : `${number(node.copies)} distinct`;
  const lines = [
    `${node.kind}${node.name ? ` ${node.name}` : ""}`,
    `${number(node.tokens)} tokens, ${copies}, under ${number(node.sharers)} requests`,
    `${number(node.tokens * node.copies)} tokens of KV in place of ${number(own)}`,
  ];
  if (node.text) lines.push("", node.text);
  return lines.join("\n");
}

function drawFlame(top) {
  const flame = byId("flame");
  const width = flame.clientWidth;
  const slabs = document.createDocumentFragment();
  let deepest = 0;
  const put = (each, x, wide, depth) => {
    if (wide < 1.5 || depth > MOST_DEPTH) return;
    deepest = Math.max(deepest, depth);
    if (each.node !== null) {
      const { node } = each;
      const slab = make("div", { class: `slab ${node.kind}` }, node.name || node.text.trim() || node.kind);
      Object.assign(slab.style, { left: `${x}px`, top: `${depth * SLAB}px`, width: `${wide}px` });
      explainOnHover(slab, () => trieText(each));
      slab.addEventListener("click", () => { tip.hidden = true; drawFlame(each === top ? trie : each); });
      slabs.append(slab);
    }
    let at = x;
    for (const child of each.children) {
      const share = (wide * child.weight) / Math.max(each.weight, 1);
      put(child, at, share, each.node === null ? depth : depth + 1);
      at += share;
    }
  };
  put(top, 0, width, 0);
  flame.style.height = `${(deepest + 1) * SLAB + 4}px`;
  flame.replaceChildren(slabs);
}

function showTrie(batch) {
  byId("trie").hidden = false;
  legend("kinds", [["the same in all rows", "const"], ["from inputs", "input"], ["generated", "gen"], ["a select's choices", "choice"]]);
  byId("trie-help").textContent =
    "As wide as the tokens times the requests that have them before them, with all that follows: what a system that shares nothing would run. Hover for tokens and sharers, click to zoom.";
  trie = growTrie(batch.trie);
  byId("trie-top").addEventListener("click", () => drawFlame(trie));
  addEventListener("resize", () => drawFlame(trie));
  drawFlame(trie);
}

// ---------------------------------------------------------------- the steps

const SERIES = [["prefill_tokens", "prefill", "input"], ["recomputed_tokens", "recomputed", "bad"], ["scored_tokens", "scored", "choice"], ["decode_rows", "decode", "gen"]];

function showSteps(steps) {
  byId("timeline").hidden = false;
  legend("series", [["prefilled", "input"], ["recomputed", "bad"], ["scored", "choice"], ["decoded", "gen"], ["KV in use", "good"]]);
  const count = steps.kv_tokens.length;
  const [width, left, right] = [1200, 60, 12];
  const [top, high, gap, low] = [18, 150, 34, 90];
  const chart = draw("svg", { viewBox: `0 0 ${width} ${top + high + gap + low + 26}` });
  // what is recomputed is part of what is prefilled
  const prefilled = steps.prefill_tokens.map((value, k) => value - steps.recomputed_tokens[k]);
  const columns = SERIES.map(([name]) => (name === "prefill_tokens" ? prefilled : steps[name]));
  const totals = columns[0].map((_, k) => columns.reduce((sum, column) => sum + column[k], 0));
  const most = Math.max(...totals, 1);
  const mostKV = Math.max(...steps.kv_tokens, 1);
  const x = (k) => left + ((width - left - right) * k) / count;
  const axis = (y, height, largest, title) => {
    for (const part of [0, 0.5, 1]) {
      const at = y + height * (1 - part);
      chart.append(draw("line", { x1: left, x2: width - right, y1: at, y2: at, class: "grid" }));
      chart.append(draw("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, number(largest * part)));
    }
    chart.append(draw("text", { x: left, y: y - 6 }, title));
  };
  const per = steps.steps_per_bin === 1 ? "of each step" : `of ${steps.steps_per_bin} steps at a time`;
  axis(top, high, most, `tokens through the model, ${per}`);
  const kvTop = top + high + gap;
  axis(kvTop, low, mostKV, "tokens of KV in use");
  const wide = Math.max(0.5, (width - left - right) / count - (count < 200 ? 1 : 0));
  for (let k = 0; k < count; k += 1) {
    let y = top + high;
    columns.forEach((column, s) => {
      const tall = (high * column[k]) / most;
      if (tall <= 0) return;
      y -= tall;
      chart.append(draw("rect", { x: x(k), y, width: wide, height: tall, class: SERIES[s][1] }));
    });
  }
  const outline = steps.kv_tokens.map((value, k) => {
    const y = kvTop + low * (1 - value / mostKV);
    return `L${x(k).toFixed(1)} ${y.toFixed(1)}L${x(k + 1).toFixed(1)} ${y.toFixed(1)}`;
  });
  const floor = kvTop + low;
  chart.append(draw("path", { class: "kv", d: `M${left} ${floor}${outline.join("")}L${x(count)} ${floor}Z` }));
  chart.append(draw("text", { x: width - right, y: floor + 18, "text-anchor": "end" }, `step ${number(steps.num_steps)}`));
  explainChart(chart, steps, columns, (event) => {
    const corner = chart.getBoundingClientRect();
    const at = ((event.clientX - corner.left) / corner.width) * width;
    return Math.floor(((at - left) / (width - left - right)) * count);
  });
  byId("chart").append(chart);
}

function explainChart(chart, steps, columns, place) {
  chart.addEventListener("pointerleave", () => { tip.hidden = true; });
  chart.addEventListener("pointermove", (event) => {
    const k = place(event);
    if (k < 0 || k >= steps.kv_tokens.length) { tip.hidden = true; return; }
    const first = k * steps.steps_per_bin + 1;
    const last = Math.min(first + steps.steps_per_bin - 1, steps.num_steps);
    const lines = [first === last ? `step ${number(first)}` : `steps ${number(first)} to ${number(last)}`];
    SERIES.forEach(([, title], s) => { if (columns[s][k]) lines.push(`${number(columns[s][k])} ${title}`); });
    lines.push(`${number(steps.kv_tokens[k])} tokens of KV`);
    showTip(event, lines.join("\n"));
  });
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

showHead();
showTiles();
showGraph();
if (data.batch !== null) {
  showTrie(data.batch);
  if (data.batch.steps.kv_tokens.length) showSteps(data.batch.steps);
}
showTables();
