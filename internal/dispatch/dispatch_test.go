package dispatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/telemetry"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// node is a Dispatcher on a fake runtime, without a watcher.
type node struct {
	*Dispatcher
	runtime *fake.Runtime
	mu      sync.Mutex
	log     strings.Builder
}

func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

func (n *node) logged(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), text)
}

func newNode(t *testing.T, yaml string) *node {
	t.Helper()
	return newNodeOf(t, fake.Containerd, yaml)
}

func newNodeOf(t *testing.T, style fake.Style, yaml string) *node {
	t.Helper()
	rt, err := fake.Start(fake.Options{Dir: t.TempDir(), Style: style})
	must(t, err)
	client, err := cri.Dial(rt.Endpoint(), time.Second)
	must(t, err)
	cfg, err := config.Parse("test.yaml", []byte(yaml))
	must(t, err)
	resolver, err := policy.New(cfg.Rules)
	must(t, err)
	n := &node{runtime: rt}
	n.Dispatcher = New(Options{
		PodLogsDir: rt.PodLogsDir(), Client: client, Inventory: cri.NewInventory(client),
		Metrics:       telemetry.New(prometheus.NewRegistry(), telemetry.Build{}, func() telemetry.State { return telemetry.State{} }),
		ReopenTimeout: time.Second, RotateWorkers: 2, CompressWorkers: 1,
		Check: func(string) {}, Log: zerolog.New(n),
	})
	n.SetRules(resolver, cfg.CleanRemovedContainers, cfg.UnreadLogBudget)
	t.Cleanup(func() {
		must(t, errors.Join(n.Stop(context.Background()), client.Close(), rt.Close()))
		if t.Failed() {
			t.Log(n.log.String())
		}
	})
	return n
}

// list has the containers listed, and waits for their log paths.
func (n *node) list(t *testing.T) {
	t.Helper()
	must(t, n.o.Inventory.Refresh(t.Context()))
	n.Listed()
	testutil.Eventually(t, "the log paths", func() bool { return len(n.o.Inventory.Unresolved()) == 0 })
}

func (n *node) run(t *testing.T, spec fake.ContainerSpec) (c *fake.Container, dir string) {
	t.Helper()
	c, err := n.runtime.RunContainer(spec)
	must(t, err)
	dir, err = filepath.Rel(n.runtime.PodLogsDir(), c.Dir())
	must(t, err)
	return c, dir
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	var list []string
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return strings.Join(list, " ")
}

// rotatedLogs creates some rotated logs, and returns their names.
func rotatedLogs(t *testing.T, dir string, count int) (all []podlogs.Name) {
	t.Helper()
	for i := range count {
		name := fmt.Sprintf("0.log.20260101-0000%02d", i)
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("a line\n"), 0o600))
		n, _ := podlogs.ParseName(name)
		all = append(all, n)
	}
	return all
}

// TestWantsMerge: whatever and however many the causes, one rotation, and each
// operator gets an answer.
func TestWantsMerge(t *testing.T) {
	n := newNode(t, "")
	c, dir := n.run(t, fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 200))
	n.list(t)
	answers := make(chan Answer, 3)
	n.with(dir, func(e *container) { e.reopenAfter, e.reopenID = time.Now().Add(300*time.Millisecond), c.ID() }) // all of them meet
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1 << 30})
	cont, _ := n.o.Inventory.ByDir(c.Dir())
	for range 2 {
		n.RotateNow(cont, func(a Answer) { answers <- a })
	}
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseSweep, Limit: 1 << 30})
	n.request(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1 << 30}, func(w *want) {
		w.operators = append(w.operators, operator{"7.log", func(a Answer) { answers <- a }})
	})
	results := map[string]int{}
	for range 3 {
		results[(<-answers).Result]++
	}
	if results[AnswerRotated] != 2 || results[AnswerStopped] != 1 {
		t.Errorf("answers: %v", results)
	}
	if got := n.Totals().Rotations; got != 1 {
		t.Errorf("%d rotations", got)
	}
	if s := n.Describe(dir, "0.log", false); s.Last == nil || s.Last.Due.Cause != watcher.CauseOperator {
		t.Errorf("%+v", s.Last)
	}
}

// TestOutcomeTable: each error has the row that it is for.
func TestOutcomeTable(t *testing.T) {
	for _, tt := range []struct {
		err   error
		want  string
		retry time.Duration
	}{
		{nil, telemetry.ResultRotated, 0},
		{rotator.ErrNotDue, telemetry.ResultNotDue, 0},
		{cri.ErrNotRunning, telemetry.ResultNotRunning, 0},
		{rotator.ErrNotRunning, telemetry.ResultNotRunning, 0},
		{os.ErrNotExist, telemetry.ResultNotRunning, 0},
		{podlogs.ErrNotRegular, telemetry.ResultNotRegular, 0},
		{rotator.ErrRefused, telemetry.ResultRefused, firstRetry},
		{fmt.Errorf("%w: %w", rotator.ErrUnanswered, context.DeadlineExceeded), telemetry.ResultUnanswered, hangPause},
		{rotator.ErrUnanswered, telemetry.ResultUnanswered, hangPause},
		{fmt.Errorf("%w: %w", rotator.ErrUnanswered, cri.ErrNotSent), telemetry.ResultUnanswered, firstRetry},
		{errUnknown, telemetry.ResultUnknown, 0},
		{errors.New("anything else"), telemetry.ResultFailed, firstRetry},
	} {
		o := outcomeOf(fmt.Errorf("wrapped: %w", tt.err))
		if tt.err == nil {
			o = outcomeOf(nil)
		}
		if o.result != tt.want || o.retry != tt.retry || o.answer == "" {
			t.Errorf("%v: %+v", tt.err, o)
		}
	}
}

// TestRotatingDirectoryIsLeftAlone: between rename and reopen there is a rotated log
// more than the policy keeps, and it may get its name back. Neither housekeeping
// nor pressure prunes then; the next rotation waits for pruning.
func TestRotatingDirectoryIsLeftAlone(t *testing.T) {
	n := newNode(t, "containerLogMaxFiles: 3\ncompression: {codec: none}\n")
	c, dir := n.run(t, fake.ContainerSpec{})
	all := rotatedLogs(t, c.Dir(), 4)
	rotating := func(since time.Time) { n.with(dir, func(e *container) { e.rotating = since }) }
	rotating(time.Now().Add(time.Hour)) // under way, and not for long
	n.list(t)
	done := make(chan rotator.Report, 1)
	n.Prune(dir, all[:1], func(rep rotator.Report, err error) {
		must(t, err)
		done <- rep
	})
	before := names(t, c.Dir())
	testutil.Eventually(t, "a few tries", func() bool { return n.prunes.Stats().Done > 10 })
	if now := names(t, c.Dir()); now != before {
		t.Errorf("pruned while a rotation was under way: %s", now)
	}
	rotating(time.Time{})
	n.with(dir, func(e *container) { e.want = &want{Due: watcher.Due{Dir: dir, Log: "0.log"}} })
	if w, _ := n.begin(dir); w != nil {
		t.Error("a rotation began before pruning had its turn")
	}
	if rep := <-done; len(rep.Done) != 1 {
		t.Errorf("pressure pruned %+v", rep.Done)
	}
	testutil.Eventually(t, "the policy", func() bool { return strings.Count(names(t, c.Dir()), ".2026") == 2 })
}

// TestFailedCleanIsRetried: the logs of a removed container are removed in the end,
// and a failure is not logged as a removal.
func TestFailedCleanIsRetried(t *testing.T) {
	n := newNode(t, "cleanRemovedContainers: true\n")
	c, dir := n.run(t, fake.ContainerSpec{})
	rotatedLogs(t, c.Dir(), 1)
	n.list(t)
	held, err := os.OpenFile(filepath.Join(c.Dir(), "0.log.20260101-000000"), os.O_WRONLY, 0) // a process writes it still
	must(t, err)
	cont, _ := n.o.Inventory.ByDir(c.Dir())
	c.Exit()
	n.clean(dir, removal{Container: cont, log: "0.log"})
	testutil.Eventually(t, "the request to be dropped: the container exists", func() bool {
		dropped := false
		n.with(dir, func(e *container) { dropped = len(e.cleans) == 0 })
		return dropped && n.prunes.Stats().Running == 0
	})
	c.Remove()
	n.list(t)
	n.clean(dir, removal{Container: cont, log: "0.log"})
	testutil.Eventually(t, "the failure", func() bool { return n.logged("cannot remove logs of a deleted container; retrying") == 1 })
	if n.logged(`"level":"info"`) > 0 && n.logged("0.log.20260101-000000\"],") > 0 {
		t.Error("the failure was logged as a removal")
	}
	must(t, held.Close())
	n.prunes.Add(dir) // in place of the ten seconds' pause
	testutil.Eventually(t, "the removal", func() bool { return names(t, c.Dir()) == "" })
}

// TestLastingProblemsAreLoggedOnce: another container's success does not make a
// lasting problem new.
func TestLastingProblemsAreLoggedOnce(t *testing.T) {
	n := newNode(t, "")
	bad, badDir := n.run(t, fake.ContainerSpec{Pod: "bad"})
	good, goodDir := n.run(t, fake.ContainerSpec{Pod: "good"})
	n.list(t)
	bad.Fail(fake.Failure{Method: "ContainerStatus", Mode: fake.ErrorWithoutActing})
	for range 3 {
		must(t, bad.WriteNumbered("stdout", 10, 200))
		must(t, good.WriteNumbered("stdout", 10, 200))
		n.with(badDir, func(e *container) { e.notBefore = time.Time{} })
		failures, rotations := n.Totals().Failures, n.Totals().Rotations
		n.Due(watcher.Due{Dir: badDir, Log: "0.log", Cause: watcher.CauseSweep, Limit: 1})
		n.Due(watcher.Due{Dir: goodDir, Log: "0.log", Cause: watcher.CauseSweep, Limit: 1})
		testutil.Eventually(t, "both", func() bool {
			return n.Totals().Failures > failures && n.Totals().Rotations > rotations
		})
	}
	if got := n.logged("rotation failed; retrying"); got != 1 {
		t.Errorf("logged %d times", got)
	}
}

// TestClockStep: after the clock was stepped forward the age of a file is unknown,
// so that nothing is removed for its age until the age has passed since.
func TestClockStep(t *testing.T) {
	n := newNode(t, "containerLogMaxAge: 1h\n")
	_, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	age := func() time.Duration {
		p, known := n.policy(dir)
		if !known {
			t.Fatal("the policy is not known")
		}
		return p.MaxAge
	}
	start := time.Now()
	n.clock.check(0, start)
	n.clock.check(10*time.Second, start.Add(10*time.Second))
	if age() != time.Hour {
		t.Error("no age without a step")
	}
	n.clock.check(20*time.Second, start.Add(50*365*24*time.Hour))
	if age() != 0 {
		t.Error("an age right after a step")
	}
	n.clock.stepped = time.Now().Add(-2 * time.Hour)
	if age() != time.Hour {
		t.Error("no age an hour after the step")
	}
}

// TestStatsOfSizes: what was written never decreases, whatever happens to logs.
func TestStatsOfSizes(t *testing.T) {
	n := newNode(t, "")
	due := watcher.Due{Dir: "p/c", Cause: watcher.CauseWrite, Limit: 100}
	written := func(want int64) {
		t.Helper()
		if got := n.Describe("p/c", "0.log", false).Written; got != want {
			t.Errorf("written %d, want %d", got, want)
		}
	}
	rotated := func(id string, size int64) {
		n.noteRotated(Rotated{Container: cri.Container{ID: id}, Due: due, Rotation: rotator.Rotation{To: "x", Size: size}})
	}
	n.noteSize("p/c", "1", 50)
	written(0) // it was there before
	n.noteSize("p/c", "1", 90)
	written(40)
	rotated("1", 120)
	n.noteSize("p/c", "1", 5)
	written(75)
	n.noteSize("p/c", "1", 0) // truncated
	written(75)
	n.noteSize("p/c", "1", 30)
	written(100)
	n.noteSize("p/c", "2", 10) // restarted
	written(110)
	rotated("2", 110)
	n.forget()
	n.with("p/c", func(e *container) { e.unknown = false; e.state.seen = time.Now().Add(-forgetAfter - time.Second) })
	n.mu.Lock()
	n.containers["p/c"].state.seen = time.Now().Add(-forgetAfter - time.Second)
	n.mu.Unlock()
	n.forget()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.containers) != 0 {
		t.Error("a directory that is gone is remembered")
	}
}

// TestExitedLogIsNotARequest: a log at its limit whose container has exited is not a
// reason to list the containers again and again.
func TestExitedLogIsNotARequest(t *testing.T) {
	n := newNode(t, "")
	c, dir := n.run(t, fake.ContainerSpec{})
	must(t, c.WriteNumbered("stdout", 10, 200))
	c.Exit()
	n.list(t)
	lists := n.runtime.Calls("StreamContainers")
	for range 5 {
		done := n.rotations.Stats().Done
		n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseSweep, Limit: 1})
		testutil.Eventually(t, "the run", func() bool { return n.rotations.Stats().Done > done })
	}
	if s := n.lookups.Stats(); s.Queued > 0 || n.runtime.Calls("StreamContainers") != lists {
		t.Errorf("%d lists, %+v", n.runtime.Calls("StreamContainers")-lists, s)
	}
	if got := names(t, c.Dir()); got != "0.log" {
		t.Errorf("the directory holds %s", got)
	}
}

// TestWantKeepsTheRunningLog: of two live logs in a directory the one that a running
// container writes stays wanted, whichever is reported later.
func TestWantKeepsTheRunningLog(t *testing.T) {
	runs := func(log string) bool { return log == "0.log" }
	w := &want{Due: watcher.Due{Log: "0.log", Limit: 5}}
	w.merge(watcher.Due{Log: "7.log", Limit: 9}, runs)
	if w.Log != "0.log" || w.Limit != 5 {
		t.Errorf("a stray log took its place: %+v", w.Due)
	}
	w = &want{Due: watcher.Due{Log: "7.log", Limit: 9}}
	w.merge(watcher.Due{Log: "0.log", Limit: 5}, runs)
	if w.Log != "0.log" || w.Limit != 5 {
		t.Errorf("the running container's log is not wanted: %+v", w.Due)
	}
}

// TestSilentLogIsProvenSeldom: that a runtime writes an empty live log is not checked with
// each sweep. Another file at its path is checked at once.
func TestSilentLogIsProvenSeldom(t *testing.T) {
	n := newNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	log := filepath.Join(ct.Dir(), "0.log")
	sweep := func() {
		n.Sweep(t.Context(), watcher.CauseSweep, false)
		n.Sweep(t.Context(), watcher.CauseSweep, false)
	}
	proven := func() (inode uint64) {
		n.with(dir, func(c *container) { inode = c.provenInode })
		return inode
	}
	if sweep(); proven() != inodeOf(log) {
		t.Error("an empty log is not proven to be open for writing")
	}
	must(t, os.Rename(log, log+".20260102-150405")) // as after a crash between exchange and reopen
	must(t, os.WriteFile(log, nil, 0o600))
	n.with(dir, func(c *container) { c.provenInode = inodeOf(log) })
	if sweep(); n.runtime.Calls("ReopenContainerLog") > 0 {
		t.Error("it was checked again at once")
	}
	n.with(dir, func(c *container) { c.proven = c.proven.Add(-provenLasts) })
	sweep()
	testutil.Eventually(t, "the reopen", func() bool { return n.runtime.Calls("ReopenContainerLog") == 1 })
	if sweep(); proven() != inodeOf(log) {
		t.Error("the new log is not proven to be open for writing")
	}
	must(t, ct.WriteNumbered("stdout", 1, 100))
	n.Due(watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1})
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
	if proven() != 0 {
		t.Error("a proof is left of the log before: a new one may get its inode")
	}
}

// TestPruningFollowsCanceledCompression: a log that must be pruned ends its compression, is
// pruned right after it, and the next rotation gives that its turn.
func TestPruningFollowsCanceledCompression(t *testing.T) {
	n := newNode(t, "containerLogMaxSize: 64Ki\ncontainerLogMaxFiles: 4\ncontainerLogMaxTotalSize: 128Ki\n")
	ct, dir := n.run(t, fake.ContainerSpec{})
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.list(t)
	idle := func() bool {
		p, r := n.prunes.Stats(), n.rotations.Stats()
		return p.Running+p.Queued+r.Running == 0
	}
	testutil.Eventually(t, "idle queues", idle)
	must(t, errors.Join(n.rotations.Stop(t.Context()), n.compressions.Stop(t.Context())))
	first, _ := podlogs.ParseName("0.log.20260101-000000")
	var canceled atomic.Bool
	n.with(dir, func(c *container) { c.compressing, c.cancel = first, func() { canceled.Store(true) } })
	rotatedLogs(t, ct.Dir(), 4)
	n.Changed(dir)
	testutil.Eventually(t, "the end of the compression", canceled.Load)
	n.with(dir, func(c *container) { c.want = &want{Due: watcher.Due{Dir: dir, Log: "0.log", Limit: 1}} })
	if w, _ := n.begin(dir); w != nil {
		t.Error("a rotation began before the log was pruned")
	}
	testutil.Eventually(t, "idle queues", idle)
	oldest := func() bool { return strings.Contains(names(t, ct.Dir()), first.String()) }
	if !oldest() {
		t.Fatal("it was pruned while it was compressed")
	}
	n.with(dir, func(c *container) { c.want, c.compressing, c.cancel = nil, podlogs.Name{}, nil })
	n.compress(t.Context(), dir)
	testutil.Eventually(t, "the pruning", func() bool { return !oldest() })
}

// TestRotatesBeforeItsStartIsListed: a container whose log grows runs, though the last list
// had it as created.
func TestRotatesBeforeItsStartIsListed(t *testing.T) {
	n := newNode(t, "")
	ct, dir := n.run(t, fake.ContainerSpec{Created: time.Hour})
	n.list(t)
	due := watcher.Due{Dir: dir, Log: "0.log", Cause: watcher.CauseWrite, Limit: 1}
	must(t, ct.WriteNumbered("stdout", 10, 100))
	n.Due(due)
	testutil.Eventually(t, "the try", func() bool { return n.rotations.Stats().Done > 0 })
	if n.rotated.Load() > 0 {
		t.Error("a container that was not started was rotated")
	}
	due.Growing = true
	n.Due(due)
	testutil.Eventually(t, "the rotation", func() bool { return n.rotated.Load() == 1 })
}
