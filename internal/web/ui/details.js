// One container, in detail.

import { age, byID, count, date, escape, make, mark, meter, nameOf, rate, say, size, took } from "./text.js";
import { cause } from "./events.js";
import { get } from "./feed.js";
import { sparkline } from "./columns.js";

// waitingFor describes the log reader that a rotation waits for.
const waitingFor = (w, since) => w.pid
  ? `${escape(w.command)}, process ${w.pid}, for ${since}: ${size(w.unreadBytes)} unread`
  : `a process that cannot be seen, for ${since}`;

export class Details {
  #dialog = byID("details");
  #body = byID("details-body");
  #model;
  #id = null;
  #requesting = false;
  #given = null; // what it was opened with
  #more = null; // the last answer: what the status does not have
  #parts = null;

  constructor(model, onClose) {
    this.#model = model;
    byID("close").addEventListener("click", () => this.#dialog.close());
    // A click beside it closes it, too.
    this.#dialog.addEventListener("click", (e) => { if (e.target === this.#dialog) this.#dialog.close(); });
    this.#dialog.addEventListener("close", () => {
      this.#id = null;
      onClose();
    });
  }

  open(c) {
    if (!c) return;
    this.#id = c.id || c.dir;
    this.#given = c;
    this.#more = null;
    this.#build(c);
    this.refresh();
    if (!this.#dialog.open) this.#dialog.showModal();
    byID("details-title").focus();
  }

  #build(c) {
    say(byID("details-title"), nameOf(c));
    const live = meter("Live log"), total = meter("Total"), spark = sparkline({ width: 360, height: 56 });
    const facts = new Facts(), policy = new Facts("source");
    const gone = make("p", "gone", "This container is not running.");
    const findings = make("div", "findings");
    this.#parts = { live, total, spark, facts, policy, gone, findings };
    const figure = (name, m) => make("div", "bar-of", make("span", "label", name), m.el);
    const known = make("div", "", findings, figure("Live log", live), figure("Total", total),
      spark.el, facts.el, make("h3", "", "Effective policy"), policy.el);
    this.#parts.known = known;
    this.#body.replaceChildren(gone, known);
  }

  // refresh shows what is known, and requests the rest.
  refresh() {
    if (!this.#id) return;
    const c = this.#model.all.get(this.#id) ?? this.#more ?? this.#given;
    this.#show(c, this.#model.all.has(this.#id));
    if (!this.#requesting && c.namespace && c.pod && c.container) this.#request(c);
  }

  async #request(c) {
    this.#requesting = true;
    try {
      const q = new URLSearchParams({ namespace: c.namespace, pod: c.pod, container: c.container });
      const view = await get(`container?${q}`);
      const found = view.containers.find((o) => o.id === this.#id);
      if (found) {
        this.#more = found;
        this.#policy(found);
      }
    } catch { // the page shows that the daemon is unreachable
    } finally {
      this.#requesting = false;
    }
  }

  #show(c, runs) {
    const { live, total, spark, facts, gone, known } = this.#parts, now = this.#model.now();
    gone.hidden = runs;
    known.hidden = c.totalBytes === undefined; // all that is known is a name
    if (known.hidden) return;
    this.#findings(c);
    live.set(c.sizeBytes, c.limitBytes, `${size(c.sizeBytes)}, no limit`, 1.05);
    total.set(c.totalBytes, c.maxTotalBytes, `${size(c.totalBytes)}, no limit`, 1.01);
    if (c.series) spark.set(c.series);
    const w = c.waiting;
    const r = c.last ?? c.lastRotation;
    facts.show([
      ["Files", c.maxFiles ? `${count(c.files)} of ${count(c.maxFiles)}` : count(c.files)],
      ["Rate", rate(c.rate ?? c.bytesPerSecond)],
      ["Lag", c.lagBytes < 0 ? "no log reader" : `${size(c.lagBytes)} not read by the slowest log reader`],
      ["Waiting for", w ? waitingFor(w, age(now - Date.parse(w.since))) : ""],
      ["Written", `${size(c.writtenBytes)} since logwatch first saw it`],
      ["Rotations", count(c.rotations)],
      ["Last rotation", r ? `${age(now - Date.parse(r.time))} ago, ${date(Date.parse(r.time))}` : "none yet"],
      ["· to", r ? escape(r.to) : ""],
      ["· cause", r ? cause(r.cause) : ""],
      ["· size", r ? `${size(r.sizeBytes)}${r.overshootBytes > 0 ? `, ${size(r.overshootBytes)} over the limit` : ""}` : ""],
      ["· took", r ? took(r.seconds || 0) : ""],
      ["Tracking", c.skipped ? "" : c.polled ? "polled: its size is checked on a timer" : "watched: through inotify"],
      ["Log", c.dir ? escape(`${c.dir}/${c.log}`) : ""],
      ["Renamed", c.fallback ? `${c.fallback}: the live log is absent for an instant in a rotation` : ""],
      ["Container ID", escape(c.id)],
    ]);
  }

  #findings(c) {
    const lines = (c.findings ?? []).map((f) => `${f.since ? `Since ${date(Date.parse(f.since))}` : labels[f.kind]}: ${escape(f.text)}`);
    const el = this.#parts.findings, text = lines.join("\n");
    if (el.shown === text) return;
    el.shown = text;
    el.replaceChildren(...lines.map((l) => make("p", "", l)));
  }

  #policy(c) {
    this.#parts.policy.show((c.policy ?? []).map((f) => [escape(f.name), escape(f.value), escape(f.source)]));
  }
}

const labels = { skipped: "Skipped", annotation: "Annotation" };

const plain = new Set(["· to", "Log", "Container ID"]); // for machines

// Facts is a list of names and values, changed in place.
class Facts {
  #rows = [];

  constructor(third) {
    this.third = third;
    this.el = make("dl", third ? "facts policy" : "facts");
  }

  show(list) {
    const some = list.filter(([, value]) => value !== "");
    while (this.#rows.length > some.length) this.#rows.pop().el.remove();
    some.forEach(([name, value, from], i) => {
      let row = this.#rows[i];
      if (!row) {
        row = { dt: make("dt"), dd: make("dd"), from: make("dd", "from") };
        row.el = make("div", "", row.dt, row.dd, ...(this.third ? [row.from] : []));
        this.#rows.push(row);
        this.el.append(row.el);
      }
      say(row.dt, name);
      say(row.dd, value);
      mark(row.dd, "class", plain.has(name) ? "plain" : null);
      if (from !== undefined) say(row.from, from);
    });
  }
}

