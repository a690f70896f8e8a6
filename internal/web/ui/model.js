// What is known of the containers: the last status, and the rates since this page
// has been open.

import { escape } from "./text.js";
import { compare, orders } from "./columns.js";

const POINTS = 60; // of a rate's line: two minutes
const GAP = 15000; // ms without a status after which a line is broken

// Series are the last rates, NaN where they are unknown.
class Series {
  values = new Float32Array(POINTS).fill(NaN);
  end = 0;
  version = 0;

  add(v) {
    this.values[this.end] = v;
    this.end = (this.end + 1) % POINTS;
    this.version++;
  }

  // path is the line in a box, oldest left, and the area below it.
  path(width, height) {
    let top = 1, line = "", area = "", pen = false, from = 0, x = 0;
    for (const v of this.values) if (v > top) top = v;
    for (let i = 0; i < POINTS; i++) {
      const v = this.values[(this.end + i) % POINTS];
      if (Number.isNaN(v)) {
        if (pen) area += `L${x} ${height}H${from}Z`;
        pen = false;
        continue;
      }
      x = Math.round((i * width * 10) / (POINTS - 1)) / 10;
      const at = `${x} ${Math.round((height - 1.5 - (v / top) * (height - 3)) * 10) / 10}`;
      line += (pen ? "L" : "M") + at;
      area += (pen ? "L" : `M${x} ${height}L`) + at;
      if (!pen) from = x;
      pen = true;
    }
    return { line, area: pen ? `${area}L${x} ${height}H${from}Z` : area };
  }
}

const shows = {
  "": () => true,
  problems: (c) => Boolean(c.findings),
  polled: (c) => c.polled,
  watched: (c) => !c.polled && !c.skipped,
  off: (c) => Boolean(c.skipped) || !c.limitBytes,
};

export class Model {
  node = null;
  problems = [];
  time = 0; // ms, the daemon's clock
  all = new Map(); // by ID
  byDir = new Map();
  list = []; // what is shown, in its order
  sort = "name";
  reversed = false;
  words = [];
  show = "";
  #skew = 0;

  // now is the daemon's clock, in ms.
  now() { return Date.now() + this.#skew; }

  // take takes in a status. held: the order is kept.
  take(view, held) {
    const at = Date.parse(view.time);
    if (at === this.time) return;
    const elapsed = this.time && at > this.time ? (at - this.time) / 1000 : 0;
    const restarted = this.node && this.node.started !== view.node.started;
    if (restarted) this.all.clear();
    const gap = elapsed * 1000 > GAP;
    this.#skew = at - Date.now();
    this.time = at;
    this.node = view.node;
    this.problems = view.problems;
    const before = this.all;
    this.all = new Map();
    this.byDir = new Map();
    for (const c of view.containers) {
      const old = before.get(c.id);
      this.all.set(c.id, fill(c, old, at, elapsed, gap));
      if (c.dir) this.byDir.set(c.dir, c);
    }
    this.arrange(held);
  }

  // happened puts an event into the container that it is of, ahead of the next
  // status. It returns that container; undefined: it is not known.
  happened(e) {
    const c = this.all.get(e.id) ?? this.byDir.get(e.dir);
    if (!c || e.kind !== "rotated" || Date.parse(e.time) <= Math.max(this.time, c.lastAt)) return c;
    c.rotations++;
    c.last = e;
    c.lastAt = Date.parse(e.time);
    return c;
  }

  // arrange filters and sorts the list; held: in the order that it had.
  arrange(held) {
    const found = [];
    const shown = shows[this.show];
    for (const c of this.all.values()) {
      if (shown(c) && this.words.every((w) => c.search.includes(w))) found.push(c);
    }
    if (held) {
      const place = new Map(this.list.map((c, i) => [c.id, i]));
      const where = (c) => place.get(c.id) ?? Infinity;
      found.sort((a, b) => compare(where(a), where(b)) || orders.name(a, b));
    } else {
      const order = orders[this.sort], sign = this.reversed ? -1 : 1;
      found.sort((a, b) => sign * order(a, b) || orders.name(a, b));
    }
    this.list = found;
  }

  filter(text) {
    this.words = text.toLowerCase().split(/[\s/]+/).filter(Boolean);
    this.arrange(false);
  }
}

// fill adds what the page wants to know to a container.
function fill(c, old, at, elapsed, gap) {
  if (old) {
    c.key = old.key;
    c.search = old.search;
    c.title = old.title;
    c.where = old.where;
    c.series = old.series;
    c.rate = old.rate;
  } else {
    c.title = escape(c.container);
    c.where = `${escape(c.namespace)} / ${escape(c.pod)}`;
    c.key = `${c.namespace}\0${c.pod}\0${c.container}\0${c.id}`;
    c.search = `${c.where} ${c.title}`.toLowerCase();
    c.series = new Series();
    c.rate = c.bytesPerSecond;
  }
  c.last = c.lastRotation ?? null;
  c.lastAt = c.last ? Date.parse(c.last.time) : 0;
  c.counted = c.rotations;
  if (old && old.lastAt > at) { // known from an event, and this status is older
    c.last = old.last;
    c.lastAt = old.lastAt;
    c.rotations = Math.max(c.rotations, old.rotations);
  }
  if (old && gap) c.series.add(NaN);
  if (old && elapsed > 0) {
    c.rate = Math.max(0, written(c, old) / elapsed);
    c.series.add(c.rate);
  }
  return c;
}

// written is about how much came since the last status. Only the last rotation's
// size is known: more than one since then had about as much each.
function written(c, old) {
  const rotations = c.counted - old.counted;
  return rotations > 0 && c.lastRotation ? rotations * c.lastRotation.sizeBytes - old.sizeBytes + c.sizeBytes : c.sizeBytes - old.sizeBytes;
}
