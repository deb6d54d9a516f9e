"use strict";
// The dataflow: boxes and curves whose places are in the data, to move about in.

const view = byId("view");
const canvas = byId("canvas");
const LEAST_SCALE = 0.62; // at which nodes can be read
const camera = { x: 0, y: 0, scale: 1 };
let graph = data.graph.folded;
let elements = new Map(); // node id -> its element

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
