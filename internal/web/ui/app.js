// The page passes what comes from the daemon to the parts that show it.

import { byID, clock, mark, plural, say } from "./text.js";
import { Model } from "./model.js";
import { Table } from "./table.js";
import { Events, missed } from "./events.js";
import { Problems, Tiles } from "./node.js";
import { Details } from "./details.js";
import { Feed } from "./feed.js";

const model = new Model();
const open = (c) => { if (c) details.open(model.all.get(c.id) ?? c); };
const table = new Table(model, open);
const details = new Details(model, () => table.back());
const events = new Events(model, open);
const problems = new Problems(open);
const tiles = new Tiles();

const words = {
  connecting: () => "connecting …",
  live: () => "live",
  paused: (since) => `paused at ${clock(since)}`,
  stale: (since, why) => `stale since ${clock(since)}, retrying: ${why}`,
};

const feed = new Feed({
  status(view) {
    if (model.node && model.node.started !== view.node.started) events.note("logwatch was restarted");
    model.take(view, table.held);
    problems.show(view.problems);
    tiles.show(view.node, view.containers, model.now());
    table.draw();
    details.refresh();
  },
  event(e, id) {
    events.add(e, id, model.happened(e));
    table.draw();
  },
  missed(n) { events.note(missed(n)); },
  state(state, since, why) {
    const link = byID("link");
    if (link.dataset.state === "stale" && state === "connecting") return;
    mark(document.body, "data-link", state);
    mark(link, "data-state", state);
    say(link, words[state](since, why));
    document.title = state === "live" ? title() : `(${state}) logwatch`;
  },
});

function title() {
  const n = model.problems.filter((p) => p.level !== "note").length;
  return n ? `(${plural(n, "problem", "problems")}) logwatch` : "logwatch";
}

byID("pause").addEventListener("click", (e) => {
  const paused = e.currentTarget.getAttribute("aria-pressed") !== "true";
  mark(e.currentTarget, "aria-pressed", String(paused));
  say(e.currentTarget, paused ? "Resume" : "Pause");
  feed.pause(paused);
});

const filter = byID("filter");
filter.addEventListener("input", () => {
  model.filter(filter.value);
  table.draw();
});
filter.addEventListener("keydown", (e) => {
  if (e.key !== "Escape" || filter.value === "") return;
  e.preventDefault();
  filter.value = "";
  filter.dispatchEvent(new Event("input"));
});
byID("show").addEventListener("change", (e) => {
  model.show = e.target.value;
  model.arrange(false);
  table.draw();
});
byID("sort").addEventListener("change", (e) => table.order(e.target.value, false));

addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.altKey || e.ctrlKey || e.metaKey || byID("details").open) return;
  if (e.target.closest("input, select, textarea")) return;
  e.preventDefault();
  filter.focus();
});

setInterval(() => { if (!document.hidden) table.tick(); }, 1000);
feed.start();
