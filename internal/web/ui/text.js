// Formats, and elements with text. All text goes through textContent: nothing on this
// page is parsed as HTML.

const unprintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

const short = { "\x07": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v" };

// escape makes any text safe for one line: what is not printable is written as in Go,
// \n or \u202e. This and the formats below are those of package display.
export function escape(text) {
  return String(text ?? "").replace(unprintable, (c) => {
    if (short[c]) return short[c];
    const code = c.codePointAt(0);
    if (code < 0x80) return "\\x" + code.toString(16).padStart(2, "0");
    return code > 0xffff ? "\\U" + code.toString(16).padStart(8, "0") : "\\u" + code.toString(16).padStart(4, "0");
  });
}

// nameOf is a container's full name.
export const nameOf = (c) => (c.container ? `${escape(c.namespace)}/${escape(c.pod)}/${escape(c.container)}` : escape(c.dir));

const units = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

// size is a number of bytes: 512, 9.8Mi, 104Mi.
export function size(bytes) {
  let v = Math.max(0, bytes), i = -1;
  if (v < 1000) return String(Math.floor(v));
  while (v >= 1000 && i < units.length - 1) { v /= 1024; i++; }
  return (v < 9.95 ? v.toFixed(1).replace(/\.0$/, "") : v.toFixed(0)) + units[i];
}

export const rate = (v) => `${size(v)}/s`;

export const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;

// age is a time span in ms: 3s, 5m, 2h, 14d.
export function age(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 120) return `${s}s`;
  if (s < 7200) return `${Math.floor(s / 60)}m`;
  return s < 48 * 3600 ? `${Math.floor(s / 3600)}h` : `${Math.floor(s / 86400)}d`;
}

// took is a duration: 0.38ms, 12ms, 3.1s.
export function took(seconds) {
  const v = seconds < 1 ? seconds * 1000 : seconds;
  return (v < 10 ? Number(v.toPrecision(2)) : v.toFixed(0)) + (seconds < 1 ? "ms" : "s");
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const dateFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hour12: false });
export const clock = (ms) => clockFormat.format(ms);
export const date = (ms) => dateFormat.format(ms);

export const byID = (id) => document.getElementById(id);

// make returns an element with a class, and children that are elements or text.
export function make(tag, cls, ...children) {
  const el = document.createElement(tag);
  if (cls) el.className = cls;
  el.append(...children);
  return el;
}

// say sets an element's text if it changes: otherwise nothing is drawn or read out
// again, and selected text stays selected.
export function say(el, text) {
  if (el.saying === text) return;
  el.saying = text;
  el.textContent = text;
}

// mark sets an attribute unless it has that value; null removes it.
export function mark(el, name, value) {
  const key = "is-" + name;
  if (el[key] === value) return;
  el[key] = value;
  if (value === null) el.removeAttribute(name);
  else el.setAttribute(name, value);
}

// meter is a bar with its text, which screen readers read.
export function meter(label) {
  const text = make("span", "meter-text"), fill = make("span", "meter-fill");
  const el = make("div", "meter", make("span", "meter-track", fill), text);
  el.setAttribute("role", "meter");
  el.setAttribute("aria-label", label);
  el.setAttribute("aria-valuemin", "0");
  return {
    el,
    set(value, limit, none, warnAbove = 1) {
      const share = limit > 0 ? value / limit : 0;
      const words = limit > 0 ? `${size(value)} of ${size(limit)}` : none;
      say(text, words);
      mark(el, "aria-valuetext", words);
      mark(el, "aria-valuemax", String(limit > 0 ? Math.max(limit, value) : Math.max(1, value)));
      mark(el, "aria-valuenow", String(value));
      mark(el, "data-level", limit <= 0 ? "off" : share > warnAbove ? "over" : "within");
      const width = `${(Math.min(1, share) * 100).toFixed(1)}%`;
      if (el.width !== width) fill.style.width = el.width = width;
    },
  };
}
