// The problems, and the node's figures.

import { age, byID, count, date, escape, make, mark, meter, nameOf, plural, say, size, took } from "./text.js";

const levels = { error: "Error", warning: "Warning", note: "Note" };

export class Problems {
  #shown = "";
  #onOpen;

  constructor(onOpen) { this.#onOpen = onOpen; }

  show(list) {
    const worst = list[0]?.level ?? "none";
    mark(byID("problems"), "data-level", worst);
    say(byID("problems-title"), list.length ? plural(list.length, "problem", "problems") : "No problems");
    const now = JSON.stringify(list);
    if (now === this.#shown) return;
    this.#shown = now;
    const at = document.activeElement?.closest("#problem-list") ? document.activeElement.textContent : null;
    byID("problem-list").replaceChildren(...list.map((p) => this.#item(p)));
    if (at !== null) [...byID("problem-list").querySelectorAll("button")].find((b) => b.textContent === at)?.focus();
  }

  #item(p) {
    const item = make("li", "problem", make("p", "what", make("strong", "level", `${levels[p.level] ?? escape(p.level)}: `), escape(p.what)));
    item.dataset.level = p.level;
    if (p.since) item.firstElementChild.append(make("span", "since", ` since ${date(Date.parse(p.since))}`));
    if (p.why) item.append(make("p", "why", escape(p.why)));
    if (p.affected) {
      const affected = make("ul", "affected", ...p.affected.map((a) => {
        const open = make("button", "subject", nameOf(a));
        open.type = "button";
        open.addEventListener("click", () => this.#onOpen(a));
        return make("li", "", open, make("span", "why", escape(a.text)));
      }));
      if (p.more) affected.append(make("li", "quiet", `and ${count(p.more)} more: show those “with problems” below`));
      item.append(affected);
    }
    item.append(make("p", "do", make("strong", "", "What to do: "), escape(p.do)));
    return item;
  }
}

// since is how long ago an optional time was.
function since(time, now) {
  const at = Date.parse(time);
  return at > 0 ? `, ${age(now - at)} ago` : "";
}

const pools = { rotate: "rotating", prune: "pruning", compress: "compressing", lookup: "identifying" };

// readers lists the log readers, the one that is the furthest behind first.
function readers(list) {
  const words = [...list].sort((a, b) => b.lagBytes - a.lagBytes).map((r) => `${escape(r.command)} (${r.pid}): ${size(r.lagBytes)} behind in ${plural(r.containers, "container", "containers")}`);
  return words.join(", ") || "no log reader";
}

// Tiles are the node's figures.
export class Tiles {
  #tiles = new Map();
  #budget = meter("Logs on disk, of the node's budget");

  show(n, containers, now) {
    say(byID("about"), `${escape(n.version) || "unknown version"} · ${escape(n.podLogsDir) || "starting"} · up ${age(now - Date.parse(n.started))}`);
    const total = containers.reduce((sum, c) => sum + c.totalBytes, 0);
    this.#tile("Logs on disk", n.budget ? "" : size(total), n.budget ? "of nodeLogBudget" : "no nodeLogBudget");
    this.#showBudget(n.budget);
    this.#tile("Tracked logs", count(n.polled + n.watched), `${count(n.polled)} polled, ${count(n.watched)} watched`);
    this.#tile("Rotations", count(n.rotations), `${count(n.failures)} failed, since the start`, n.failures ? "note" : "");
    this.#tile("Runtime", n.runtime.reachable ? "ready" : n.waiting ? "none yet" : "unreachable", escape(n.runtime.endpoint) || "–", n.runtime.reachable ? "" : "error");
    const last = n.lastSweep ? Date.parse(n.lastSweep) : 0;
    this.#tile("Last sweep", last ? `${age(now - last)} ago` : "none yet", last ? `took ${took(n.sweepSeconds)}` : "", n.unhealthy ? "error" : "");
    this.#tile("Workers", (n.pools ?? []).map((p) => `${p.running}/${p.workers}`).join(" ") || "–",
      (n.pools ?? []).map((p) => `${pools[p.name] ?? escape(p.name)}${p.queued ? ` +${count(p.queued)} waiting` : ""}`).join(", "));
    this.#tile("Backlog", n.backlog.files ? plural(n.backlog.files, "file", "files") : "none", n.backlog.files ? size(n.backlog.bytes) : "to compress or remove", n.backlog.files ? "warning" : "");
    const u = n.unread ?? { limitBytes: 0 };
    this.#tile("Unread logs", u.limitBytes ? `${size(u.usageBytes)} of ${size(u.limitBytes)}` : "not kept", readers(n.readers ?? []), u.limitBytes && u.usageBytes >= 0.8 * u.limitBytes ? "warning" : "");
    this.#tile("Configuration", n.config.error ? "reload failed" : "active", `${escape(n.config.file) || "defaults"}${since(n.config.loaded, now)}`, n.config.error ? "warning" : "");
  }

  // tile adds a tile, or changes it.
  #tile(name, value, below, level = "") {
    let t = this.#tiles.get(name);
    if (!t) {
      t = { dd: make("dd", "value"), below: make("dd", "below"), value: make("span") };
      t.dd.append(t.value);
      t.el = make("div", "tile", make("dt", "", name), t.dd, t.below);
      this.#tiles.set(name, t);
      byID("tiles").append(t.el);
    }
    say(t.value, value);
    say(t.below, below);
    mark(t.below, "title", below);
    mark(t.el, "data-level", level);
  }

  #showBudget(b) {
    const t = this.#tiles.get("Logs on disk");
    if (b && !this.#budget.el.isConnected) t.dd.append(this.#budget.el);
    if (!b) this.#budget.el.remove();
    else this.#budget.set(b.usageBytes, b.limitBytes, "");
  }
}
