package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
)

// watchEvents records when each entry appeared in the list, by the browser's clock,
// which is this machine's, and when the row of the table showed the same rotation.
const watchEvents = `(() => {
  window.came = [];
  const now = () => performance.timeOrigin + performance.now();
  const row = (li) => [...document.querySelectorAll("tr.row")].find((tr) => tr.querySelector(".open").title === li.querySelector(".subject")?.title);
  new MutationObserver((list) => {
    for (const li of list.flatMap((m) => [...m.addedNodes])) {
      const came = { kind: li.dataset.kind, at: Date.parse(li.dataset.time), listed: now(), subject: li.querySelector(".subject")?.title ?? "", row: 0 };
      window.came.push(came);
      requestAnimationFrame(() => { if (row(li)?.hasAttribute("data-new")) came.row = now() });
    }
  }).observe(document.getElementById("events"), { childList: true });
})(), null`

type came struct {
	Kind, Subject   string
	At, Listed, Row float64 // Unix timestamps in ms
}

// TestPageShowsRotation: each rotation is shown in the list and in the table within a
// second.
func TestPageShowsRotation(t *testing.T) {
	n := newWatched(t, "containerLogMaxSize: 64Ki\nminRotationInterval: 0s\n")
	n.start()
	b := browse(t, n.base)
	for i := range 4 {
		n.run(fake.ContainerSpec{Pod: fmt.Sprint("web-", i), Writer: &fake.Pattern{BytesPerSecond: 60e3}})
	}
	b.open()
	b.await(`document.querySelectorAll("tr.row").length === 4`)
	eval[any](b, watchEvents)
	n.SkipRotations() // those before
	done := n.WaitRotations(20)
	b.await(`window.came.length >= 20`)
	var listed, rows []float64
	for _, c := range eval[[]came](b, `window.came`) {
		listed = append(listed, c.Listed-c.At)
		if c.Row > 0 {
			rows = append(rows, c.Row-c.At)
		}
	}
	slices.Sort(listed)
	slices.Sort(rows)
	if len(rows) < 15 {
		t.Errorf("%d of %d rotations were seen in the table at once", len(rows), len(listed))
	}
	t.Logf("%d rotations: shown after %.0f ms (median), at most %.0f; in the table %.0f, at most %.0f",
		len(listed), listed[len(listed)/2], listed[len(listed)-1], rows[len(rows)/2], rows[len(rows)-1])
	if worst := max(listed[len(listed)-1], rows[len(rows)-1]); worst > 1000 || listed[0] < -100 {
		t.Errorf("shown after %.0f ms to %.0f ms, want within a second", listed[0], worst)
	}
	// The list has what was done, by the daemon's own account.
	for _, r := range done {
		b.await(fmt.Sprintf(`[...document.querySelectorAll("#events li")].some((li) => li.title === %q && li.querySelector(".subject").title === "default/%s/app")`, r.To, r.Container.Pod))
	}
}

// TestPageShowsProblems: the page shows a problem, its fix and its end, and that the
// daemon is unreachable and reachable again.
func TestPageShowsProblems(t *testing.T) {
	n := newWatched(t, "containerLogMaxSize: 64Ki\nminRotationInterval: 0s\ncontainerLogMonitorInterval: 1s\nruntimeRequestTimeout: 1s\n")
	c := n.run(fake.ContainerSpec{Pod: "web"})
	n.start()
	b := browse(t, n.base)
	b.open()
	title := `document.getElementById("problems-title").textContent`
	b.await(title + ` === "No problems"`)
	b.await(`document.querySelectorAll("tr.row").length === 1`)
	eval[any](b, watchEvents)

	c.Fail(fake.Failure{Mode: fake.Hang})
	if err := c.WriteNumbered("stdout", 1000, 100); err != nil {
		t.Fatal(err)
	}
	b.await(`document.querySelector('#events li[data-kind="failed"]')`)
	for _, e := range eval[[]came](b, `window.came`) {
		if e.Kind == "failed" && (e.Listed-e.At > 1000 || e.Subject != "default/web/app") {
			t.Errorf("shown after %.0f ms, of %q", e.Listed-e.At, e.Subject)
		}
	}
	b.await(`document.querySelector('.problem[data-level="error"] .affected .subject')?.textContent === "default/web/app"`)
	b.await(`document.querySelector('tr.row[data-state="failing"]')`)
	c.ClearFailures()

	if err := n.runtime.Stop(); err != nil {
		t.Fatal(err)
	}
	b.await(`[...document.querySelectorAll(".problem .what")].some((p) => p.textContent.includes("runtime is unreachable"))`)
	b.await(`document.title.startsWith("(")`)
	if got := eval[string](b, `document.querySelector(".problem .do").textContent`); !strings.Contains(got, "What to do: ") {
		t.Errorf("it does not say what to do: %q", got)
	}
	if err := n.runtime.Restart(); err != nil {
		t.Fatal(err)
	}
	b.await(`![...document.querySelectorAll(".problem .what")].some((p) => p.textContent.includes("runtime is unreachable"))`)

	n.Stop()
	b.await(`/^stale since \d\d:\d\d:\d\d, retrying: (?!no response)/.test(document.getElementById("link").textContent)`)
	n.start()
	b.await(`document.getElementById("link").textContent === "live"`)
	b.await(`[...document.querySelectorAll("#events li")].some((li) => li.textContent.includes("logwatch was restarted"))`)
	before := eval[int](b, `window.came.length`)
	if err := c.WriteNumbered("stdout", 1000, 100); err != nil {
		t.Fatal(err)
	}
	b.await(fmt.Sprintf(`window.came.slice(%d).some((c) => c.kind === "rotated" && c.listed - c.at < 1000)`, before))
}

// TestPageShowsStrangePaths: the runtime reports a directory whose name is markup, to
// a real daemon.
func TestPageShowsStrangePaths(t *testing.T) {
	n := newWatched(t, "containerLogMaxSize: 64Ki\nminRotationInterval: 0s\ncontainerLogMonitorInterval: 1s\n")
	const pod = "<img src=x onerror=alert(1)>\u202e\x1b[2J"
	c := n.run(fake.ContainerSpec{Namespace: `"><script>alert(2)<`, Pod: pod, Name: "app"})
	n.start()
	b := browse(t, n.base)
	b.open()
	b.await(`document.querySelectorAll("tr.row").length === 1`)
	if err := c.WriteNumbered("stdout", 1000, 100); err != nil {
		t.Fatal(err)
	}
	b.await(`document.querySelectorAll("#events li").length === 1`)
	const want = `"><script>alert(2)</<img src=x onerror=alert(1)>\u202e\x1b[2J/app`
	if got := eval[string](b, `document.querySelector("#events .subject").title`); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), "0.log")); err != nil {
		t.Error(err)
	}
	eval[any](b, `document.querySelector("tr.row .open").click(), null`)
	b.await(`document.querySelectorAll(".policy dt").length > 5`)
	// It goes while it is shown; what was known of it stays.
	c.Exit()
	b.await(`document.querySelector(".gone").checkVisibility() && document.querySelectorAll(".policy dt").length > 5`)
	eval[any](b, `document.getElementById("close").click(), document.querySelector("#events .subject").click(), null`)
	b.await(`document.getElementById("details").open && document.querySelector(".gone").checkVisibility()`)
}
