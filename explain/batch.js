"use strict";
// The batch: its prompts as a trie, and its steps.

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
