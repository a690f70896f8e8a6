// The table of containers. Only the rows that can be seen exist, so thousands of
// containers cost what a screenful does; what a row shows is set only where it
// has changed.

import { byID, count, make, mark, say } from "./text.js";
import { columns } from "./columns.js";

const BEYOND = 6; // rows above and below what can be seen

// Row is a row of the table. The container that it shows changes.
class Row {
  #c = null;
  #cells = columns.map((column) => column.cell());

  constructor() {
    this.open = this.#cells[0].open;
    this.tr = make("tr", "row", ...columns.map((column, i) => {
      const td = make("td", `c-${column.key}${column.end ? " end" : ""}`, make("div", "in", ...this.#cells[i].elements));
      td.setAttribute("role", i ? "cell" : "rowheader");
      return td;
    }));
    this.tr.setAttribute("role", "row");
    this.tr.row = this;
  }

  get id() { return this.#c?.id; }
  get container() { return this.#c; }

  show(c, index, now) {
    this.#c = c;
    mark(this.tr, "aria-rowindex", String(index + 2));
    mark(this.tr, "data-state", c.state);
    this.tick(now);
  }

  tick(now) {
    const c = this.#c;
    if (!c) return;
    for (const cell of this.#cells) cell.show(c, now);
    mark(this.tr, "data-new", c.last && now - c.lastAt < 3000 ? "" : null);
  }
}

export class Table {
  #model;
  #onOpen;
  #rows = []; // in the order of the page
  #first = 0; // index of the first one
  #height = 44; // of a row, in px
  #at = ""; // the container that arrow keys go from, by ID
  #moved = 0; // when the pointer was last moved here
  #scheduled = false;
  #el = byID("table");
  #body = this.#el.tBodies[0];
  #above = pad();
  #below = pad();

  constructor(model, onOpen) {
    this.#model = model;
    this.#onOpen = onOpen;
    this.#body.append(this.#above, this.#below);
    addEventListener("scroll", () => this.draw(), { passive: true });
    addEventListener("resize", () => this.draw());
    this.#body.addEventListener("pointermove", () => { this.#moved = performance.now(); }, { passive: true });
    this.#body.addEventListener("click", (e) => this.#clicked(e));
    this.#body.addEventListener("keydown", (e) => this.#pressed(e));
    this.#body.addEventListener("focusin", (e) => { this.#at = e.target.closest("tr")?.row?.id ?? this.#at; });
    for (const column of columns) this.#head(column);
    this.#heads();
  }

  // head adds a column's title, and its order to the list.
  #head({ key, title, label, width, end }) {
    const button = make("button", "", title), th = make("th", end ? "end" : "", button), option = make("option", "", `by ${label}`);
    button.type = "button";
    button.addEventListener("click", () => this.order(key));
    th.setAttribute("role", "columnheader");
    th.scope = "col";
    th.dataset.sort = key;
    if (width) th.style.width = width;
    this.#el.tHead.rows[0].append(th);
    option.value = key;
    byID("sort").append(option);
  }

  // held: a row is about to be used, and must not move away.
  get held() {
    return performance.now() - this.#moved < 3000 || this.#body.contains(document.activeElement) || byID("details").open;
  }

  // order sorts, the other way round if it is sorted so already.
  order(by, turn = true) {
    const m = this.#model;
    m.reversed = turn && m.sort === by ? !m.reversed : false;
    m.sort = by;
    m.arrange(false);
    this.#heads();
    this.draw();
  }

  #heads() {
    const { sort, reversed } = this.#model;
    for (const th of this.#el.tHead.rows[0].cells) {
      const down = (th.dataset.sort !== "name") !== reversed;
      mark(th, "aria-sort", th.dataset.sort === sort ? (down ? "descending" : "ascending") : null);
    }
    byID("sort").value = sort;
  }

  // draw draws with the next frame.
  draw() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  tick() {
    const now = this.#model.now();
    for (const row of this.#rows) row.tick(now);
  }

  #draw() {
    const list = this.#model.list, now = this.#model.now(), h = this.#height;
    const top = this.#body.getBoundingClientRect().top;
    const fit = Math.ceil(innerHeight / h) + 2 * BEYOND;
    const n = Math.min(list.length, fit);
    const first = Math.max(0, Math.min(list.length - n, Math.floor(-top / h) - BEYOND));
    const focused = this.#rows.find((r) => r.open === document.activeElement)?.id;
    this.#resize(n);
    this.#shift(first - this.#first);
    this.#first = first;
    this.#rows.forEach((row, i) => row.show(list[first + i], first + i, now));
    height(this.#above, first * h);
    height(this.#below, (list.length - first - n) * h);
    mark(this.#el, "aria-rowcount", String(list.length + 1));
    this.#rove(focused);
    this.#sizes(n);
    this.#words(list.length);
  }

  #resize(n) {
    while (this.#rows.length < n) {
      const row = new Row();
      this.#rows.push(row);
      this.#below.before(row.tr);
    }
    while (this.#rows.length > n) this.#rows.pop().tr.remove();
  }

  // shift makes rows that are out of sight those that come into it, so that the
  // others stay as they are.
  #shift(by) {
    if (Math.abs(by) >= this.#rows.length) return;
    for (; by > 0; by--) {
      const row = this.#rows.shift();
      this.#below.before(row.tr);
      this.#rows.push(row);
    }
    for (; by < 0; by++) {
      const row = this.#rows.pop();
      this.#above.after(row.tr);
      this.#rows.unshift(row);
    }
  }

  // rove keeps one row in the order of tabs, and the focus on its container; where
  // that has gone out of sight, on its place.
  #rove(focused) {
    const here = this.#rows.find((r) => r.open === document.activeElement);
    if (focused && here && here.id !== focused) {
      const row = this.#rows.find((r) => r.id === focused);
      if (row) row.open.focus({ preventScroll: true });
      else this.#at = here.id;
    }
    let at = this.#rows.find((r) => r.id === this.#at);
    if (!at) at = this.#rows.find((r) => r.tr.getBoundingClientRect().top >= 0) ?? this.#rows[0];
    for (const row of this.#rows) row.open.tabIndex = row === at ? 0 : -1;
  }

  // sizes learns how high a row is: fonts and the window's width decide.
  #sizes(n) {
    const h = n ? this.#rows[0].tr.getBoundingClientRect().height : 0;
    if (h > 0 && Math.abs(h - this.#height) > 0.01) {
      this.#height = h;
      this.draw();
    }
  }

  #words(n) {
    const all = this.#model.all.size;
    say(byID("count"), n === all ? count(all) : `${count(n)} of ${count(all)}`);
    const nothing = byID("nothing");
    nothing.hidden = n > 0 || !this.#model.node;
    say(nothing, all ? "No container matches the filter." : this.#model.node?.runtime.reachable ? "No running containers." : "No containers are known yet.");
    this.#el.hidden = n === 0;
  }

  #clicked(e) {
    const row = e.target.closest("tr")?.row;
    if (!row || String(getSelection()) !== "") return;
    this.#at = row.id;
    this.#onOpen(row.container);
  }

  #pressed(e) {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const list = this.#model.list, page = Math.max(1, Math.floor(innerHeight / this.#height) - 2);
    const i = list.findIndex((c) => c.id === this.#at);
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, PageDown: i + page, PageUp: i - page, Home: 0, End: list.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    this.#go(Math.max(0, Math.min(list.length - 1, to)));
  }

  #go(i) {
    const id = this.#model.list[i].id;
    const head = this.#el.tHead.getBoundingClientRect().height, h = this.#height;
    const y = this.#body.getBoundingClientRect().top + i * h;
    if (y < head) scrollBy(0, y - head);
    else if (y + h > innerHeight) scrollBy(0, y + h - innerHeight);
    this.#draw();
    this.#at = id;
    this.#rove(null);
    this.#rows.find((r) => r.id === id)?.open.focus({ preventScroll: true });
  }

  // back takes the focus after the details, where the browser did not return it to
  // where it was.
  back() {
    if (document.activeElement !== document.body) return;
    (this.#rows.find((r) => r.id === this.#at)?.open ?? byID("filter")).focus({ preventScroll: true });
  }
}

function pad() {
  const tr = make("tr", "pad", make("td"));
  tr.setAttribute("role", "presentation");
  tr.cells[0].setAttribute("role", "presentation");
  tr.cells[0].colSpan = columns.length;
  return tr;
}

function height(el, px) {
  const v = `${px}px`;
  if (el.px === v) return;
  el.px = v;
  el.cells[0].style.height = v;
}

