// Where the page gets what it shows: a status every now and then, and events as
// they happen. It stops while the page is hidden, and retries while the daemon is
// unreachable.

const EVERY = 2000; // ms between two statuses
const PATIENCE = 8000; // ms for one answer
const RETRY = 1000; // ms, after a failure
const SILENT = 5000; // ms after which what is shown is old

// Relative to the page, so that it may lie behind a proxy's path; without a name
// and password that the address may have.
export const api = (path) => new URL(`api/v1/${path}`, location.origin + location.pathname);

export async function get(path) {
  const answer = await fetch(api(path), { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(body.error ?? `${answer.status} ${answer.statusText}`);
  }
  return answer.json();
}

export class Feed {
  #on;
  #timer = 0;
  #stream = null;
  #again = 0;
  #after = ""; // the last event that came
  #running = false;
  #requesting = false;
  #last = 0; // when a status last came, in performance's time
  #paused = false;

  // on has status(view), event(e), missed(n) and state(state, since, why).
  constructor(on) {
    this.#on = on;
    document.addEventListener("visibilitychange", () => this.#turn());
    setInterval(() => this.#watch(), 1000);
  }

  start() { this.#turn(); }

  pause(paused) {
    this.#paused = paused;
    this.#turn();
  }

  #turn() {
    const run = !this.#paused && !document.hidden;
    if (this.#paused) this.#on.state("paused", Date.now());
    if (run === this.#running) return;
    this.#running = run;
    clearTimeout(this.#timer);
    clearTimeout(this.#again);
    this.#stream?.close();
    this.#stream = null;
    if (!run) return;
    this.#last = performance.now();
    this.#on.state("connecting");
    this.#poll();
    this.#listen();
  }

  async #poll() {
    if (this.#requesting) return; // one is under way
    this.#requesting = true;
    clearTimeout(this.#timer);
    const begin = performance.now();
    let view = null, why = "";
    try {
      view = await get("status");
      this.#last = performance.now();
    } catch (err) {
      why = err.message;
    }
    this.#requesting = false;
    if (!this.#running) return;
    // What takes long (thousands of containers, a slow line) is requested less often.
    const took = performance.now() - begin;
    this.#timer = setTimeout(() => this.#poll(), view ? Math.max(EVERY - took, 3 * took) : RETRY);
    if (view) this.#on.status(view);
    this.#on.state(view ? "live" : "stale", this.#shownAt(), why);
  }

  #shownAt() { return Date.now() - (performance.now() - this.#last); }

  // watch notices an answer that does not come.
  #watch() {
    if (this.#running && performance.now() - this.#last > SILENT) this.#on.state("stale", this.#shownAt(), "no response");
  }

  #listen() {
    const stream = new EventSource(api(`events?after=${encodeURIComponent(this.#after)}`));
    this.#stream = stream;
    stream.onmessage = (m) => {
      this.#after = m.lastEventId;
      this.#on.event(JSON.parse(m.data), m.lastEventId);
    };
    stream.addEventListener("missed", (m) => this.#on.missed(Number(m.data)));
    stream.onerror = () => {
      // Browsers try again by themselves after some errors and not after others.
      stream.close();
      if (this.#stream === stream) this.#again = setTimeout(() => this.#listen(), RETRY);
    };
  }
}
