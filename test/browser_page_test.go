package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/internal/web"
)

// press sends keys to the element with the focus.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// focus returns the element with the focus as a screen reader names it, as "button: name".
func (b *tab) focus() string {
	b.t.Helper()
	return eval[string](b, `(() => { const e = document.activeElement; return e.tagName.toLowerCase() + ": " + (e.getAttribute("aria-label") || e.textContent.trim() || e.id) })()`)
}

func (b *tab) wantFocus(want string) {
	b.t.Helper()
	if got := b.focus(); !strings.HasPrefix(got, want) {
		b.t.Fatalf("the focus is on %q, want %q", got, want)
	}
	if eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) == "none" && !strings.HasPrefix(want, "h2") {
		b.t.Errorf("nobody sees that the focus is on %q", want)
	}
}

// tabTo presses Tab until an element has the focus.
func (b *tab) tabTo(want string) {
	b.t.Helper()
	for range 30 {
		b.press(kb.Tab)
		if strings.HasPrefix(b.focus(), want) {
			b.wantFocus(want)
			return
		}
	}
	b.t.Fatalf("no %q is in the order of tabs; the focus is on %q", want, b.focus())
}

// TestPageKeyboard: the whole page is usable without a pointer.
func TestPageKeyboard(t *testing.T) {
	s, change := crowd(300)
	st := newStage(t, s, change)
	b := browse(t, st.url)
	b.open()
	b.await(`document.querySelectorAll("tr.row").length > 10`)
	b.press(kb.Tab)
	b.wantFocus("a: Skip")
	b.press(kb.Enter)
	b.wantFocus("input: Filter")
	b.press("0", "0", "1", "7")
	b.await(`document.getElementById("count").textContent === "1 of 300"`)
	b.press(kb.Escape)
	b.await(`document.getElementById("count").textContent === "300"`)
	b.wantFocus("input: Filter")
	b.tabTo("button: Rate")
	b.press(kb.Enter)
	b.await(`document.querySelector("[data-sort=rate]").getAttribute("aria-sort") === "descending"`)
	b.press(" ")
	b.await(`document.querySelector("[data-sort=rate]").getAttribute("aria-sort") === "ascending"`)
	b.tabTo("button: Last")
	b.press(kb.Tab)                                                                                             // one stop for all rows
	eval[any](b, `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))`) // drawn
	if got := b.focus(); !strings.HasPrefix(got, "button: team-") {
		t.Fatalf("behind the heads comes %q", got)
	}
	row := `document.activeElement.closest("tr").getAttribute("aria-rowindex")`
	first := eval[string](b, row)
	b.press(kb.ArrowDown, kb.ArrowDown, kb.ArrowUp)
	if got := eval[string](b, "String("+row+" - 1)"); got != first {
		t.Errorf("arrows went from row %s to the one after %s", first, got)
	}
	b.press(kb.End)
	if got := eval[string](b, row); got != "301" {
		t.Errorf("End goes to row %s of 301", got)
	}
	if !eval[bool](b, `(() => { const r = document.activeElement.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight })()`) {
		t.Error("the row with the focus cannot be seen")
	}
	b.press(kb.PageUp)
	at := b.focus()
	b.press(kb.Enter)
	b.await(`document.getElementById("details").open && document.getElementById("details").contains(document.activeElement)`)
	b.press(kb.Tab)
	b.wantFocus("button: Close")
	b.press(kb.Escape)
	b.await(`!document.getElementById("details").open`)
	b.wantFocus(at)
	b.press("/")
	b.wantFocus("input: Filter")
	// What is in use stays where it is, whatever the rates are by then.
	b.tabTo("button: team-")
	at = b.focus()
	was := eval[string](b, row)
	looks := st.count()
	testutil.Eventually(t, "three more looks", func() bool { return st.count() > looks+3 })
	if got, is := b.focus(), eval[string](b, row); got != at || is != was {
		t.Errorf("the focus went from %q in row %s to %q in row %s", at, was, got, is)
	}
	eval[any](b, `document.getElementById("pause").focus(), null`)
	b.press(" ")
	b.await(`document.getElementById("link").textContent.startsWith("paused at")`)
	b.press(" ")
	b.await(`document.getElementById("link").textContent === "live"`)
}

// TestPageAccessible: all controls have a role and a name, and a screen reader gets the
// size of the table, of which only a few rows exist.
func TestPageAccessible(t *testing.T) {
	s, change := crowd(300)
	s.Node.Backlog = api.Backlog{Files: 3, Bytes: 1 << 20}
	s.Node.Budget = &api.Budget{Limit: 10 << 30, Usage: 1 << 30}
	st := newStage(t, s, change)
	b := browse(t, st.url)
	b.open()
	b.await(`document.querySelectorAll("tr.row").length > 10 && document.querySelector(".problem")`)
	st.hub.Publish(web.Event{Time: time.Now(), Kind: web.KindRotated, Names: api.Names{Namespace: "n", Pod: "p", Container: "c"}, ID: "x", Dir: "d", Size: 1})
	b.await(`document.getElementById("announce").textContent === "1 event, the last of n/p/c"`)
	for _, width := range []int64{1440, 360} {
		b.size(width, 800)
		eval[any](b, `document.getElementById("logs-title").scrollIntoView(), null`)
		b.await(`document.querySelectorAll("tr.row").length > 10`)
		roles := b.roles()
		for role, least := range map[string]int{
			"heading": 3, "button": 12, "searchbox": 1, "combobox": 1, "table": 1, "row": 12, "rowheader": 11, "cell": 55, "meter": 22, "status": 4,
			"main": 1, "banner": 1, "contentinfo": 1, "region": 3, "link": 3, "list": 2,
		} {
			if len(roles[role]) < least {
				t.Errorf("%d px: %d of role %s, want %d: %q", width, len(roles[role]), role, least, roles[role])
			}
		}
		for _, role := range []string{"button", "searchbox", "combobox", "table", "meter", "region", "link", "heading", "columnheader", "rowheader"} {
			if slices.Contains(roles[role], "") {
				t.Errorf("%d px: one of role %s has no name: %q", width, role, roles[role])
			}
		}
		if got := eval[string](b, `document.getElementById("table").getAttribute("aria-rowcount")`); got != "301" {
			t.Errorf("%d px: the table says that it has %s rows", width, got)
		}
	}
	if got := b.roles()["meter"]; !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "Live log") }) {
		t.Errorf("meters: %q", got)
	}
	eval[any](b, `document.querySelector("tr.row .open").click(), null`)
	b.await(`document.querySelectorAll(".policy dt").length > 0`)
	if got := b.roles()["dialog"]; len(got) != 1 || !strings.HasPrefix(got[0], "team-") {
		t.Errorf("dialogs: %q", got)
	}
}

// roles returns the names that a screen reader gets, by role.
func (b *tab) roles() map[string][]string {
	b.t.Helper()
	value := func(v *accessibility.Value) string {
		if v == nil {
			return ""
		}
		return strings.Trim(string(v.Value), `"`)
	}
	call(b, accessibility.Enable, cdp.Empty{})
	out := map[string][]string{}
	for _, n := range call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if !n.Ignored {
			out[value(n.Role)] = append(out[value(n.Role)], value(n.Name))
		}
	}
	return out
}

// contrast finds the text on the page with the lowest contrast to its background, as
// defined by WCAG.
const contrast = `(() => {
  const rgb = (c) => c.match(/[\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c } return [255, 255, 255] };
  let worst = [99, ""];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".unseen, .skip, noscript")) continue;
    const [a, b] = [lum(rgb(getComputedStyle(e).color)), lum(ground(e))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    if (ratio < worst[0]) worst = [ratio, e.className + " " + e.textContent.slice(0, 40)];
  }
  return { ratio: worst[0], what: worst[1], ground: getComputedStyle(document.body).backgroundColor };
})()`

// TestPageLooks: light and dark schemes have enough contrast, and the page is never
// wider than the window, from 320 px on.
func TestPageLooks(t *testing.T) {
	s, change := crowd(50)
	s.Node.Unhealthy = "no sweep has begun for 1m, which should be at most 33s"
	s.Node.Config = api.Config{File: "/etc/logwatch.yaml", Loaded: time.Now(), Error: "f:1: no", Failed: time.Now()}
	s.Node.Budget = &api.Budget{Limit: 10 << 30, Usage: 9 << 30}
	s.Containers[0].Skipped = "its log path is not below podLogsDir"
	s.Containers[1].LastError = &api.Problem{Time: time.Now(), Text: "open: permission denied"}
	s.Containers[2].Rejected = []api.RejectedAnnotation{{Annotation: "logwatch/max-size", Value: "lots", Reason: "no size"}}
	s.Containers[3].Limit = 0
	st := newStage(t, s, change)
	b := browse(t, st.url)
	b.open()
	for i := range 8 {
		st.hub.Publish(web.Event{Time: time.Now(), Kind: []string{web.KindRotated, web.KindFailed}[i%2], Names: s.Containers[i].Names, ID: s.Containers[i].ID, Dir: s.Containers[i].Dir, Size: 10 << 20, Error: "no"})
	}
	b.await(`document.querySelectorAll("#events li").length === 8`)
	grounds := map[string]bool{}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		for _, width := range []int64{320, 360, 780, 1024, 1440, 2200} {
			b.size(width, 800)
			got := eval[struct {
				Ratio        float64
				What, Ground string
			}](b, contrast)
			if got.Ratio < 4.5 {
				t.Errorf("%s, %d px: a contrast of %.2f: %q", scheme, width, got.Ratio, got.What)
			}
			t.Logf("%s, %d px: least contrast %.2f: %q", scheme, width, got.Ratio, got.What)
			grounds[got.Ground] = true
			if w := eval[int64](b, `document.documentElement.scrollWidth`); w > width {
				t.Errorf("%s: %d px wide in a window of %d", scheme, w, width)
			}
		}
	}
	if len(grounds) != 2 {
		t.Errorf("grounds in light and dark: %v", grounds)
	}
}

// TestPageFormats: the page has the formats of the commands.
func TestPageFormats(t *testing.T) {
	b := browse(t, newStage(t, api.Status{}, nil).url)
	b.open()
	got := func(f string, arg any) string {
		return eval[string](b, fmt.Sprintf(`import("/ui/text.js").then((m) => m.%s(%v))`, f, arg))
	}
	for _, n := range []int64{0, 999, 1000, 1536, 10188, 10189, 10 << 20, 1023 << 20, 5 << 40} {
		if s := got("size", n); s != display.Bytes(n) {
			t.Errorf("size(%d) is %s, want %s", n, s, display.Bytes(n))
		}
	}
	for _, seconds := range []float64{0, 0.00038, 0.003, 0.0123, 0.25, 3.14159, 12.6, 119, 120, 7199, 7200, 172799, 172800} {
		d := time.Duration(seconds * float64(time.Second))
		if s := got("took", seconds); s != display.Took(seconds) {
			t.Errorf("took(%v) is %s, want %s", seconds, s, display.Took(seconds))
		}
		if s := got("age", 1000*seconds); s != display.Age(d) {
			t.Errorf("age(%v) is %s, want %s", d, s, display.Age(d))
		}
	}
	const hostile = "<b>\x1b[2J\u009b\u202e\x7f\n\U000e0041é日"
	arg, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if s := got("escape", string(arg)); s != display.Escape(hostile) {
		t.Errorf("escape gives %q, want %q", s, display.Escape(hostile))
	}
}
