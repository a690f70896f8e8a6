package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/logwatch/logwatch/internal/display"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// released are names that programs may know: none is removed, and none changes.
var released = strings.Fields(`config daemon control-socket metrics-port service privileges pod-logs-dir rename leases
	runtime-socket runtime log-paths live-logs log-links inotify-watches inotify-instances inotify-queue
	kubelet kubelet-rotation kubelet-cleaning logrotate shippers disk-space disk-inodes clock clock-stamps time-zone`)

func (f *fakeNode) run(ctx context.Context, o Options) (Report, error) {
	f.t.Helper()
	o.root, o.system, o.ConfigFile = f.root, &f.sys, f.config
	return Run(ctx, o)
}

func TestRun(t *testing.T) {
	f := newFake(t)
	var each []string
	r, err := f.run(t.Context(), Options{Each: func(c Check) { each = append(each, c.Name) }})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	counts := map[Status]int{}
	for _, c := range r.Checks {
		got = append(got, c.Name)
		counts[c.Status]++
		if c.Summary == "" {
			t.Errorf("%s has no summary", c.Name)
		}
		if c.Name == "runtime-socket" { // the only one that depends on this machine
			continue
		}
		if c.Status == Fail || c.Status == Warn && c.Name != "daemon" {
			t.Errorf("there is no problem, but %+v", c)
		}
	}
	known := slices.DeleteFunc(slices.Clone(got), func(name string) bool { return !slices.Contains(released, name) })
	if !slices.Equal(known, released) || !slices.Equal(each, got) || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(checks) {
		t.Errorf("checks %v\nwant   %v\neach   %v", got, released, each)
	}
	if r.OK != counts[OK] || r.Warn != counts[Warn] || r.Fail != counts[Fail] || r.Skip != counts[Skip] || r.OK+r.Warn+r.Fail+r.Skip != len(checks) {
		t.Errorf("%d %d %d %d, counted %v", r.OK, r.Warn, r.Fail, r.Skip, counts)
	}
}

// TestHangs: what does not return is reported, in time, and the rest is done.
func TestHangs(t *testing.T) {
	f := newFake(t)
	release := make(chan struct{})
	done := make(chan struct{})
	f.sys.statfs = func(string, *unix.Statfs_t) error {
		<-release // as a mount whose server is gone
		close(done)
		return nil
	}
	begin := time.Now()
	r, err := f.run(t.Context(), Options{timeout: 300 * time.Millisecond})
	took := time.Since(begin)
	close(release)
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the check did not continue")
	}
	if err != nil || took > 5*time.Second {
		t.Fatalf("%v after %v", err, took)
	}
	for _, c := range r.Checks {
		hangs := c.Name == "rename" || c.Name == "disk-space" || c.Name == "disk-inodes"
		if got := strings.Contains(c.Summary, "did not end within 300ms"); got != hangs || hangs && (c.Status != Fail || c.Fix == "") {
			t.Errorf("%+v", c)
		}
	}
}

func TestInterrupted(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	defer close(release)
	f.sys.adjtimex = func(*unix.Timex) (int, error) {
		cancel() // Ctrl-C
		<-release
		return 0, nil
	}
	if _, err := f.run(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// hostileText has what a terminal or a shell would take for its own.
const hostileText = "x\x1b[2J\r\n\u202e\u009b'$(touch /tmp/logwatch-doctor-was-here);\"`"

// TestHostile: every name that comes from elsewhere is such a text; what is printed
// of it is safe for a terminal, and in commands it is one word.
func TestHostile(t *testing.T) {
	f := newFake(t)
	f.file("/etc/logwatch/logwatch.yaml", "minRotationInterval: 0s\n")
	f.file("/etc/logrotate.d/"+strings.ReplaceAll(hostileText, "/", ""), "/var/log/pods/*/*/"+"*.log /x {\n}\n")
	f.link("/var/log/pods/shop_web-0_u1/"+strings.ReplaceAll(hostileText, "/", "")+"/0.log", "/"+hostileText)
	f.link("/var/log/containers/"+strings.ReplaceAll(hostileText, "/", ""), "/"+hostileText)
	f.file("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\npodLogsDir: "+quoteJSON(t, "/"+hostileText)+"\n")
	f.process("/opt/fluent-bit", hostileText)
	pid := f.process("/opt/" + strings.ReplaceAll(hostileText, "/", ""))
	f.sys.holder = func(string) (int, error) { return pid, nil }
	r, err := f.run(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var table, doc bytes.Buffer
	all := ""
	for _, c := range r.Checks {
		if err := (Table{W: &table, Width: 60}).Check(c); err != nil {
			t.Fatal(err)
		}
		all += c.Summary + "\n" + c.Detail + "\n" + c.Fix + "\n"
		if strings.Contains(c.Summary, "\n") {
			t.Errorf("%s: a summary of several lines: %q", c.Name, c.Summary)
		}
	}
	if err := WriteJSON(&doc, r); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{all, table.String(), doc.String()} {
		for _, c := range text {
			if c != '\n' && !unicode.IsPrint(c) {
				t.Fatalf("%q in\n%s", c, text)
			}
		}
		if strings.Count(text, "touch") < 4 {
			t.Errorf("so little of it is shown that this proves nothing:\n%s", text)
		}
	}
	// A line that something from elsewhere began would begin like this.
	for l := range strings.Lines(all) {
		if strings.HasPrefix(l, "'$(") || strings.HasPrefix(l, "\u202e") {
			t.Errorf("a name has made a line of its own: %q", l)
		}
	}
}

func quoteJSON(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// FuzzQuote has a shell say what it was given.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "/var/log/pods", "it's", "$(id)", "a b", "*", "-n", "\\", hostileText, "é", "\xff\x01"} {
		f.Add(s)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		f.Skip("no bash is installed")
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) {
			t.Skip("no argument has a NUL")
		}
		q := quote(s)
		if display.Escape(q) != q {
			t.Errorf("%q: not fit for a terminal", q)
		}
		out, err := exec.Command(bash, "--norc", "-c", "printf %s "+q).Output()
		if s == "-n" || strings.HasPrefix(s, "-") {
			return // printf's own options
		}
		if err != nil || string(out) != s {
			t.Errorf("%q became %s, and that %q: %v", s, q, out, err)
		}
	})
}

// TestJSON: programs read this.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	r := Report{OK: 1, Fail: 1, Checks: []Check{
		found(OK, "fine"),
		found(Fail, "%s", "bad").detail("why\nthis").fix("do %s && that", "a b"),
	}}
	r.Checks[0].Name, r.Checks[1].Name = "a", "b"
	if err := WriteJSON(&out, r); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "checks": [
    {
      "name": "a",
      "status": "ok",
      "summary": "fine",
      "detail": "",
      "fix": ""
    },
    {
      "name": "b",
      "status": "fail",
      "summary": "bad",
      "detail": "why\nthis",
      "fix": "do 'a b' && that"
    }
  ],
  "ok": 1,
  "warn": 0,
  "fail": 1,
  "skip": 0
}
`
	if out.String() != want {
		t.Errorf("%s", &out)
	}
}

func TestTable(t *testing.T) {
	bad := found(Fail, "something is wrong with it, more than fits one line").
		detail("A reason for that.").detail("And another one.").fix("sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole")
	bad.Name = "kubelet-rotation"
	good := found(OK, "no problem").detail("not shown")
	good.Name = "config"
	write := func(table Table) string {
		var out bytes.Buffer
		table.W = &out
		err := errors.Join(table.Check(good), table.Check(bad), table.End(Report{OK: 1, Warn: 1, Fail: 1, Checks: []Check{good, bad}}))
		if err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for _, tt := range []struct {
		name  string
		table Table
		want  string
	}{
		{"no terminal", Table{}, `ok   config            no problem
fail kubelet-rotation  something is wrong with it, more than fits one line
                       A reason for that.
                       And another one.
                       Fix:
                       sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole

1 ok, 1 warning, 1 failed, 0 skipped
Start with kubelet-rotation: something is wrong with it, more than fits one line
sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole
`},
		{"wide", Table{Width: 60, Color: true}, "\x1b[32mok\x1b[0m   config            no problem\n" +
			"\x1b[31mfail\x1b[0m kubelet-rotation  " + `something is wrong with it, more than
                       fits one line
                       A reason for that.
                       And another one.
                       Fix:
                       sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole

1 ok, 1 warning, 1 failed, 0 skipped
Start with kubelet-rotation: something is wrong with it,
more than fits one line
sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole
`},
		{"20 columns", Table{Width: 20}, `ok config
  no problem
fail kubelet-rotation
  something is wrong
  with it, more than
  fits one line
  A reason for that.
  And another one.
  Fix:
  sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole

1 ok, 1 warning, 1
failed, 0 skipped
Start with
kubelet-rotation:
something is wrong
with it, more than
fits one line
sed -i 's/a/b/' /etc/a/very/long/path/that/stays/whole
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := write(tt.table); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

// TestThisMachine checks the real files, with any rights.
func TestThisMachine(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/logwatch.yaml"
	f := fakeNode{t: t, root: dir}
	f.file("/logwatch.yaml", "podLogsDir: "+dir+"/pods\ncontrolSocket: \"\"\n")
	f.file("/pods/a_b_c/d/0.log", "2026-03-04T11:00:00Z stdout F x\n")
	r, err := Run(t.Context(), Options{ConfigFile: file})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]Status{
		"config": {OK}, "pod-logs-dir": {OK}, "rename": {OK, Warn}, "leases": {OK}, "live-logs": {OK},
		"inotify-queue": {OK, Warn}, "clock": {OK, Warn}, "disk-inodes": {OK, Warn}, "clock-stamps": {OK},
	}
	for _, c := range r.Checks {
		if allowed := want[c.Name]; allowed != nil && !slices.Contains(allowed, c.Status) {
			t.Errorf("%+v", c)
		}
		t.Logf("%s %s: %s", c.Status, c.Name, c.Summary)
	}
	left, err := list(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
