package test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/web"
)

// frames are the times between a page's frames, in ms, while it is scrolled.
type frames struct {
	Count          int
	P50, P95, Max  float64
	Tasks, Longest float64 // the main thread's tasks over 50 ms
	Updates        int     // of the table in that time
}

// measureFrames scrolls through the table for ms and records each frame.
const measureFrames = `(ms) => new Promise((done) => {
  const gaps = [], tasks = [];
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration)));
  watch.observe({ entryTypes: ["longtask"] });
  let updates = 0, last = performance.now(), down = 40;
  const changes = new MutationObserver(() => updates++);
  changes.observe(document.querySelector("tbody") ?? document.body, { subtree: true, childList: true, characterData: true });
  const end = last + ms;
  const frame = (now) => {
    gaps.push(now - last);
    last = now;
    if (now < end) {
      if (scrollY + innerHeight >= document.documentElement.scrollHeight - 50) down = -40;
      else if (scrollY <= 0) down = 40;
      scrollBy(0, down);
      requestAnimationFrame(frame);
      return;
    }
    watch.disconnect();
    changes.disconnect();
    gaps.sort((a, b) => a - b);
    const at = (q) => gaps[Math.min(gaps.length - 1, Math.floor(gaps.length * q))];
    done({ count: gaps.length, p50: at(.5), p95: at(.95), max: at(1), tasks: tasks.length, longest: Math.max(0, ...tasks), updates });
  };
  requestAnimationFrame(frame);
})`

// smooth reports whether 19 of 20 frames take at most 50 ms, three frames at 60 Hz, and
// no task of the page blocks it for 250 ms. A busy machine may miss that without the
// page's fault, so the best of three counts; a slow page misses it each time.
func (f frames) smooth() bool { return f.P95 <= 50 && f.Longest <= 250 && f.Updates > 0 }

func (b *tab) frames(d time.Duration) (best frames) {
	b.t.Helper()
	for range 3 {
		f := eval[frames](b, fmt.Sprintf("(%s)(%d)", measureFrames, d.Milliseconds()))
		b.t.Logf("%+v", f)
		if best.Count == 0 || f.P95 < best.P95 {
			best = f
		}
		if best.smooth() {
			break
		}
	}
	return best
}

// TestPageSmooth scrolls the page with 1000 containers of a real daemon, some of which
// rotate all the time.
func TestPageSmooth(t *testing.T) {
	n := newWatched(t, "containerLogMaxSize: 64Ki\n")
	for i := range 1000 {
		spec := fake.ContainerSpec{Namespace: fmt.Sprint("team-", i%20), Pod: fmt.Sprintf("service-%04d", i)}
		if i%50 == 0 {
			spec.Writer = &fake.Pattern{BytesPerSecond: 60e3}
		}
		n.run(spec)
	}
	n.start()
	b := browse(t, n.base)
	b.open()
	b.await(`document.getElementById("count").textContent.replace(/\D/g, "") === "1000" && document.querySelectorAll("#events li").length > 5`)
	if rows := eval[int](b, `document.querySelectorAll("tr.row").length`); rows > 60 {
		t.Errorf("%d rows exist, which are more than can be seen", rows)
	}
	if f := b.frames(5 * time.Second); !f.smooth() {
		t.Errorf("1000 containers are not smooth: %+v", f)
	}
	// The measure would tell: the same page with work that blocks it.
	eval[any](b, `window.jam = setInterval(() => { const end = performance.now() + 120; while (performance.now() < end); }, 150), null`)
	if f := eval[frames](b, fmt.Sprintf("(%s)(2000)", measureFrames)); f.smooth() {
		t.Errorf("a page that is blocked most of the time counts as smooth: %+v", f)
	}
	eval[any](b, `clearInterval(window.jam), null`)
}

// TestPageOf5000: the page is usable with more containers than a node has, all of which
// write and many of which rotate.
func TestPageOf5000(t *testing.T) {
	s, change := crowd(5000)
	list := slices.Clone(s.Containers)
	st := newStage(t, s, change)
	b := browse(t, st.url)
	b.open()
	b.await(`document.getElementById("count").textContent.replace(/\D/g, "") === "5000"`)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				c := list[i%len(list)]
				st.hub.Publish(web.Event{Time: time.Now(), Kind: web.KindRotated, Names: c.Names, ID: c.ID, Dir: c.Dir, Cause: "write", To: "0.log.20260102-030405", Size: 10 << 20})
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	f := b.frames(5 * time.Second)
	if f.P95 > 100 || f.Longest > 1000 || f.Updates == 0 {
		t.Errorf("5000 containers cannot be used: %+v", f)
	}
	if n := eval[int](b, `document.querySelectorAll("#events li").length`); n > 100 {
		t.Errorf("%d entries in the list", n)
	}
	took := eval[float64](b, `new Promise((done) => {
		const begin = performance.now(), input = document.getElementById("filter");
		input.value = "team-07 4007";
		input.dispatchEvent(new Event("input"));
		requestAnimationFrame(function look() {
			if (document.getElementById("count").textContent.startsWith("1 of")) done(performance.now() - begin);
			else requestAnimationFrame(look);
		});
	})`)
	t.Logf("a filter takes %.0f ms", took)
	if took > 500 {
		t.Errorf("a filter takes %.0f ms", took)
	}
	b.await(`document.querySelectorAll("tr.row").length === 1`)
}
