// The columns of the table, from left to right. Each has a key, which also names its
// order, and a cell: elements, and show(c, now), which is also called as time passes.

import { age, count, make, mark, meter, nameOf, rate, say, size } from "./text.js";

export const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

export const columns = [
  { key: "name", title: "Container", label: "name", order: (a, b) => compare(a.key, b.key), cell: nameCell },
  {
    key: "size", title: "Live log", label: "live log size", width: "18%", order: (a, b) => b.sizeBytes - a.sizeBytes,
    cell: () => meterCell("Live log", (c) => [c.sizeBytes, c.limitBytes, c.skipped ? "not rotated" : `${size(c.sizeBytes)}, no limit`, 1.05]),
  },
  {
    key: "total", title: "Total", label: "total size", width: "18%", order: (a, b) => b.totalBytes - a.totalBytes,
    cell: () => meterCell("Total", (c) => [c.totalBytes, c.maxTotalBytes, c.skipped ? "–" : `${size(c.totalBytes)}, no limit`, 1.01]),
  },
  { key: "rate", title: "Rate", label: "rate", width: "200px", end: true, order: (a, b) => b.rate - a.rate, cell: rateCell },
  {
    key: "lag", title: "Lag", label: "lag of the log readers", width: "76px", end: true, order: (a, b) => b.lagBytes - a.lagBytes,
    cell: () => figureCell((c) => (c.lagBytes < 0 ? "–" : size(c.lagBytes))),
  },
  {
    key: "rotations", title: "Rotations", label: "rotations", width: "92px", end: true, order: (a, b) => b.rotations - a.rotations,
    cell: () => figureCell((c) => count(c.rotations)),
  },
  {
    key: "last", title: "Last", label: "last rotation", width: "106px", end: true, order: (a, b) => b.lastAt - a.lastAt,
    cell: () => figureCell((c, now) => (c.last ? `${age(now - c.lastAt)} ago` : "–")),
  },
];

export const orders = Object.fromEntries(columns.map((c) => [c.key, c.order]));

function nameCell() {
  const name = make("span", "name"), where = make("span", "where"), state = make("span", "state"), open = make("button", "open", name);
  open.type = "button";
  open.tabIndex = -1;
  open.setAttribute("aria-haspopup", "dialog");
  return {
    elements: [open, where, state], open,
    show(c) {
      say(name, c.title);
      say(where, c.where);
      say(state, c.state);
      mark(open, "aria-label", `${nameOf(c)}, ${c.state}`);
      mark(open, "title", nameOf(c));
    },
  };
}

function meterCell(label, values) {
  const m = meter(label);
  return { elements: [m.el], show(c) { m.set(...values(c)); } };
}

function figureCell(text) {
  const el = make("span", "figure");
  return { elements: [el], show(c, now) { say(el, text(c, now)); } };
}

function rateCell() {
  const figure = figureCell((c) => rate(c.rate)), spark = sparkline();
  let series, version;
  return {
    elements: [spark.el, ...figure.elements],
    show(c) {
      figure.show(c);
      if (series === c.series && version === c.series.version) return;
      ({ series } = c);
      ({ version } = series);
      spark.set(series);
    },
  };
}

export function sparkline(box = { width: 84, height: 22 }) {
  const svg = (tag, cls) => {
    const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
    el.setAttribute("class", cls);
    return el;
  };
  const el = svg("svg", "spark"), area = svg("path", "spark-area"), line = svg("path", "spark-line");
  el.setAttribute("viewBox", `0 0 ${box.width} ${box.height}`);
  el.setAttribute("preserveAspectRatio", "none");
  el.setAttribute("aria-hidden", "true");
  el.append(area, line);
  return {
    el,
    set(series) {
      const path = series.path(box.width, box.height);
      area.setAttribute("d", path.area);
      line.setAttribute("d", path.line);
    },
  };
}
