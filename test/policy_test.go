package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// TestPolicies: on a real containerd, each pod has its own limit, by label and by
// annotation, and annotations are capped at their ceilings.
func TestPolicies(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	l := start(t, n, `
containerLogMaxSize: 2Mi
containerLogMaxFiles: 1000
minRotationInterval: 0s
annotations: {enabled: true, ceilings: {maxSize: 3Mi}}
overrides:
- match: {labels: tier=small}
  maxSize: 300Ki
`)
	want := map[string]int64{}
	var pods []*containerd.Pod
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		limit               int64
	}{
		"plain":    {nil, nil, 2 << 20},
		"labelled": {map[string]string{"tier": "small"}, nil, 300 << 10},
		"asks":     {nil, map[string]string{"logwatch/max-size": "600Ki"}, 600 << 10},
		"for-one":  {nil, map[string]string{"logwatch/max-size": "600Ki", "logwatch/max-size.app": "700Ki"}, 700 << 10},
		"too-much": {nil, map[string]string{"logwatch/max-size": "1Gi"}, 3 << 20},
	} {
		pod, err := n.RunPod(t.Context(), containerd.PodSpec{
			Name: name, Labels: c.labels, Annotations: c.annotations,
			Containers: []containerd.ContainerSpec{{Name: "app", Args: []string{"-rate=1500000"}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		pods = append(pods, pod)
		want[relative(n, pod.Containers()[0].Dir)] = c.limit
	}
	// The third rotation of each: the first may come before its pod was read.
	count, limits := map[string]int{}, map[string]int64{}
	testutil.Eventually(t, "rotations of each", func() bool {
		clear(count)
		for _, r := range l.Rotated() {
			if count[r.Due.Dir]++; count[r.Due.Dir] == 3 {
				limits[r.Due.Dir] = r.Due.Limit
			}
		}
		return len(limits) == len(want)
	})
	l.Stop()
	for dir, limit := range want {
		if limits[dir] != limit {
			t.Errorf("%s was rotated at %d, want %d", dir, limits[dir], limit)
		}
	}
	for _, pod := range pods {
		if err := pod.Remove(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestCrashLoop: the total of a container that restarts repeatedly covers all its
// restarts.
func TestCrashLoop(t *testing.T) {
	const restarts, total = 100, 2 << 20
	n := newEmbedded(t, 0)
	l := start(t, n, fmt.Sprintf(`
containerLogMaxSize: 512Ki
containerLogMaxFiles: 3
containerLogMaxTotalSize: %d
containerLogMonitorInterval: 1s
minRotationInterval: 0s
`, total))
	w := workload{name: "looping", lines: 800, rate: 2e6}
	c := n.run(t, w)
	dir := filepath.Join(n.PodLogsDir(), c.dir())
	top := int64(0)
	for range restarts - 1 {
		c = c.restart(t)
		_, all := sizes(dir)
		top = max(top, all)
	}
	c.wait(t)
	testutil.Eventually(t, "the total", func() bool { _, all := sizes(dir); return all <= total })
	l.Stop()
	t.Logf("%d restarts: at most %d bytes together, %d at the end, of %d", restarts, top, func() int64 { _, all := sizes(dir); return all }(), total)
	// The reaction: what a container or two write until housekeeping has run.
	if top > 2*total {
		t.Errorf("the directory took %d bytes, want at most %d and the reaction", top, total)
	}
}

// TestReloadUnderLoad: SIGHUP loses no line, on a real containerd.
func TestReloadUnderLoad(t *testing.T) {
	needRoot(t)
	n := newReal(t, "")
	p := newProcess(t, n, everything)
	p.sweep()
	w := workload{name: "reloaded", lines: 60_000, rate: 2e6}
	c := n.run(t, w)
	rotated := func() int { return len(names(t, n, c.dir())) }
	testutil.Eventually(t, "rotations", func() bool { return rotated() > 3 })
	file := p.args[len(p.args)-1]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), "512Ki", "128Ki", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	below := regexp.MustCompile(`"size":(1\d{5}|\d{1,5}),`) // 200 kB; the limit is 131 kB, and was 524 kB
	testutil.Eventually(t, "the new limit", func() bool {
		return strings.Contains(p.text(), "configuration reloaded") && len(below.FindAllString(p.text(), -1)) > 3
	})
	c.wait(t)
	p.settled(n, []container{c})
	p.stop()
	res, err := linecheck.Container(n.PodLogsDir(), c.dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := res.OK(w.written()); err != nil || res.Pruned() > 0 {
		t.Errorf("%v, %d missing at the front", err, res.Pruned())
	}
}
