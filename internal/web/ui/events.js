// The list of what happens, the newest first.

import { byID, clock, count, date, escape, make, nameOf, plural, say, size, took } from "./text.js";

const SHOWN = 100; // entries that are kept
const SPEAK = 10000; // ms between two announcements

export class Events {
  #list = byID("events");
  #waiting = []; // for the next frame, the oldest first
  #seen = new Set(); // ids of entries that are shown
  #scheduled = false;
  #unspoken = 0;
  #newest = "";
  #speaker = 0;
  #model;
  #onOpen;

  constructor(model, onOpen) {
    this.#model = model;
    this.#onOpen = onOpen;
  }

  // add adds an event; c is its container, where that is known.
  add(e, id, c) {
    if (this.#seen.has(id)) return;
    this.#seen.add(id);
    this.#wait({ e, id, c });
    if (this.#model.now() - Date.parse(e.time) > 5000) return; // of before
    this.#unspoken++;
    this.#newest = nameOf(c ?? e);
    this.#speaker ||= setTimeout(() => this.#speak(), 500);
  }

  // note adds a line of the page's own.
  note(text) { this.#wait({ text }); }

  #wait(what) {
    this.#waiting.push(what);
    if (this.#waiting.length > SHOWN) this.#drop(this.#waiting.shift());
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  #draw() {
    for (const what of this.#waiting) this.#list.prepend(what.text ? noteItem(what.text) : this.#item(what));
    this.#waiting = [];
    while (this.#list.children.length > SHOWN) {
      this.#drop(this.#list.lastElementChild);
      this.#list.lastElementChild.remove();
    }
    byID("no-events").hidden = this.#list.children.length > 0;
  }

  #drop(what) { this.#seen.delete(what.id); }

  #item({ e, id, c }) {
    const time = make("time", "", clock(Date.parse(e.time)));
    time.dateTime = e.time;
    time.title = date(Date.parse(e.time));
    const subject = make("button", "subject", make("span", "name", escape((c ?? e).container || e.dir)));
    subject.type = "button";
    subject.title = nameOf(c ?? e);
    subject.tabIndex = -1; // the table has them all
    subject.addEventListener("click", () => this.#onOpen(c ?? e));
    const item = make("li", "event", time, subject, make("span", "figure", e.kind === "rotated" ? size(e.sizeBytes) : ""),
      make("span", "where", (c ?? e).pod ? `${escape((c ?? e).namespace)} / ${escape((c ?? e).pod)}` : ""), make("span", "more", more(e)));
    item.dataset.kind = escape(e.kind);
    item.dataset.time = e.time;
    item.id = id;
    if (e.to) item.title = escape(e.to);
    return item;
  }

  // speak announces new events to screen readers, at intervals.
  #speak() {
    say(byID("announce"), `${plural(this.#unspoken, "event", "events")}, the last of ${this.#newest}`);
    this.#unspoken = 0;
    this.#speaker = setTimeout(() => {
      this.#speaker = 0;
      if (this.#unspoken) this.#speak();
    }, SPEAK);
  }
}

function more(e) {
  switch (e.kind) {
    case "rotated": return `${cause(e.cause)} · ${took(e.seconds || 0)}`;
    case "reopened": return "reopened: it was missing";
    case "failed": return `rotation failed: ${escape(e.error)}`;
    default: return `housekeeping failed: ${escape(e.error)}`;
  }
}

const causes = { write: "at its limit", startup: "found at startup", sweep: "found by the sweep", overflow: "found after lost events", retry: "retried", reload: "new limits", age: "for its age", pressure: "for disk pressure", operator: "requested" };
export const cause = (c) => causes[c] ?? escape(c);

function noteItem(text) {
  const item = make("li", "event", make("time", "", clock(Date.now())), make("span", "more", text));
  item.dataset.kind = "note";
  return item;
}

export const missed = (n) => `${count(n)} events came faster than this page could read`;
