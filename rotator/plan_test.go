package rotator

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"github.com/logwatch/logwatch/internal/podlogs"
)

var update = flag.Bool("update", false, "write the plans into testdata/plan")

var planNow = time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)

// TestPlan runs the cases in testdata/plan. A listing's line is a file's name,
// its size in bytes, the time since its last change, and "irregular" if so.
func TestPlan(t *testing.T) {
	cases, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var policy Policy
			var files []podlogs.File
			var want *txtar.File
			for i, f := range ar.Files {
				switch f.Name {
				case "policy":
					policy = parsePolicy(t, f.Data)
				case "listing":
					files = parseListing(t, f.Data)
				case "plan":
					want = &ar.Files[i]
				default:
					t.Fatalf("unknown part %q", f.Name)
				}
			}
			got := planText(Plan(files, policy, planNow))
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("%s\ngot:\n%swant:\n%s", ar.Comment, got, want.Data)
			}
			slices.Reverse(files)
			if reversed := planText(Plan(files, policy, planNow)); reversed != got {
				t.Errorf("the plan depends on the listing's order: reversed it is\n%s", reversed)
			}
		})
	}
}

func parsePolicy(t *testing.T, text []byte) (p Policy) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "max-files":
			p.MaxFiles, err = strconv.Atoi(value)
		case "max-total":
			p.MaxTotalSize, err = strconv.ParseInt(value, 10, 64)
		case "reserve":
			p.Reserve, err = strconv.ParseInt(value, 10, 64)
		case "limit":
			p.Limit, err = strconv.ParseInt(value, 10, 64)
		case "max-age":
			p.MaxAge, err = time.ParseDuration(value)
		case "grace":
			p.Grace, err = time.ParseDuration(value)
		case "compress":
			p.Codec = podlogs.Gzip
		case "compress-after":
			p.CompressAfter, err = time.ParseDuration(value)
		case "allowance":
			p.Allowance, err = strconv.ParseInt(value, 10, 64)
		case "followed":
			p.Followed = true
		case "read": // of the log in this line of the listing, the first is 1, so many bytes
			var line, bytes int64
			_, err = fmt.Sscan(value, &line, &bytes)
			if p.Positions == nil {
				p.Positions = Positions{}
			}
			p.Positions[uint64(line)] = bytes
		default:
			t.Fatalf("unknown policy %q", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func parseListing(t *testing.T, text []byte) (files []podlogs.File) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		age, err := time.ParseDuration(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, podlogs.File{
			Name: parseName(t, fields[0])[0], Size: size, Changed: planNow.Add(-age), Modified: planNow.Add(-age), Regular: !strings.HasSuffix(line, " irregular\n"), Inode: uint64(len(files) + 1),
		})
	}
	return files
}

func planText(steps []Step, again time.Duration) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%s %s %d", s.Action, s.Name, s.Size)
		if s.Reason != "" {
			fmt.Fprintf(&b, " %s", s.Reason)
		}
		if s.Forced {
			b.WriteString(" within-grace")
		}
		b.WriteByte('\n')
	}
	if again != 0 {
		fmt.Fprintf(&b, "again %s\n", again)
	}
	return b.String()
}

// listing makes a listing and a policy of a fuzzer's bytes.
func listing(data []byte) ([]podlogs.File, Policy) {
	b := bytes.NewReader(data)
	var head struct {
		MaxFiles, Total, Grace, Compress uint8
	}
	if binary.Read(b, binary.BigEndian, &head) != nil {
		return nil, Policy{MaxFiles: 2}
	}
	codecs := append([]*podlogs.Codec{nil}, podlogs.Codecs[:]...)
	p := Policy{
		MaxFiles: int(head.MaxFiles % 8), MaxTotalSize: int64(head.Total), Limit: int64(head.Total) / 4,
		Grace: time.Duration(head.Grace%64) * time.Second, Codec: codecs[int(head.Compress)%len(codecs)],
	}
	files := map[podlogs.Name]podlogs.File{}
	for {
		var e struct{ Kind, Restart, Stamp, Size, Age uint8 }
		if binary.Read(b, binary.BigEndian, &e) != nil {
			return slices.Collect(maps.Values(files)), p
		}
		n := podlogs.Name{Kind: podlogs.Live + podlogs.Kind(e.Kind)%podlogs.Temp, Restart: uint64(e.Restart % 3)}
		n.Base = fmt.Sprintf("%d.log", n.Restart)
		if n.Kind != podlogs.Live {
			n.Stamp = planNow.Add(time.Duration(e.Stamp%64) * time.Second)
		}
		size := int64(e.Size)
		if e.Size == 255 { // sparse
			size = 1<<63 - 1
		}
		files[n] = podlogs.File{Name: n, Size: size, Changed: planNow.Add(-time.Duration(int8(e.Age)) * time.Second), Regular: e.Kind&128 == 0}
	}
}

// removed are the files that the steps remove and do not replace.
func removed(files []podlogs.File, steps []Step) map[podlogs.Name]bool {
	gone := map[podlogs.Name]bool{}
	for _, s := range steps {
		for _, f := range files {
			switch {
			case s.Action == Compress:
			case f.Name == s.Name, s.Action == Prune && f.Kind != podlogs.Live && f.SameGeneration(s.Name):
				gone[f.Name] = true
			}
		}
	}
	return gone
}

// apply does to a listing what the steps would do to the directory; every .gz
// holds what its source does, and is half its size.
func apply(t *testing.T, files []podlogs.File, steps []Step) (after []podlogs.File) {
	t.Helper()
	there := map[podlogs.Name]podlogs.File{}
	for _, f := range files {
		there[f.Name] = f
	}
	seen := map[podlogs.Name]bool{}
	gone := removed(files, steps)
	for _, s := range steps {
		f, ok := there[s.Name]
		size := f.Size
		for _, o := range files {
			if s.Action == Prune && f.Kind != podlogs.Live && o.Kind != podlogs.Temp && o.Name != f.Name && o.SameGeneration(f.Name) {
				size += min(o.Size, math.MaxInt64-size)
			}
		}
		switch {
		case !ok || size != s.Size:
			t.Fatalf("%s %s, %d bytes: the listing has no such file", s.Action, s.Name, s.Size)
		case s.Name.Kind == podlogs.Live && s.Name.Base == latest(files):
			t.Fatalf("%s the live log %s", s.Action, s.Name)
		case seen[s.Name]:
			t.Fatalf("%s twice", s.Name)
		case s.Action == Compress && (!f.Regular || f.Size == 0 || there[s.Compressed] != podlogs.File{}):
			t.Fatalf("%s %s, which is not regular, empty or has a .gz", s.Action, s.Name)
		case s.Action == Reconcile && gone[s.Compressed]:
			t.Fatalf("%s %s, which is pruned", s.Action, s.Name)
		}
		seen[s.Name] = true
		if s.Action == Compress {
			gone[s.Name] = true
			after = append(after, podlogs.File{Name: s.Compressed, Size: f.Size / 2, Changed: planNow, Regular: true})
		}
	}
	for _, f := range files {
		if !gone[f.Name] {
			after = append(after, f)
		}
	}
	return after
}

// latest is the live log's name of the latest restart.
func latest(files []podlogs.File) string {
	return slices.MaxFunc(files, func(a, b podlogs.File) int { return a.Compare(b.Name) }).Base
}

// within checks that files keep the policy, as far as live logs and grace
// periods let them.
func within(t *testing.T, files []podlogs.File, p Policy) {
	t.Helper()
	grace := planner{policy: p, now: planNow}
	rotated, waits := map[string]int{}, map[string]bool{}
	var total, live float64 // bytes; an int64 could overflow
	uncompressed, generations, smallest := 0, 0, int64(math.MaxInt64)
	var last podlogs.Name
	files = slices.DeleteFunc(slices.Clone(files), underWay)
	slices.SortFunc(files, func(a, b podlogs.File) int { return a.Compare(b.Name) })
	for i, f := range files {
		total += float64(f.Size)
		if f.Kind == podlogs.Live {
			if f.Base == latest(files) {
				live = float64(f.Size)
			}
			continue
		}
		if !last.SameGeneration(f.Name) {
			rotated[f.Base]++
			generations++
		}
		last = f.Name
		if grace.remainingGrace(f) > 0 {
			waits[f.Base] = true
		} else if f.Kind == podlogs.Rotated && f.Regular {
			uncompressed++
			if i != newestRotated(files) {
				smallest = min(smallest, f.Size)
			}
		}
		if f.Kind == podlogs.Temp || f.Kind == podlogs.Rotated && f.Regular && f.Size == 0 {
			t.Fatalf("%s is left over", f)
		}
	}
	for base, n := range rotated {
		if n > max(0, p.MaxFiles-1) && !waits[base] {
			t.Fatalf("%d rotated logs of %s are left, none in its grace period; %d files are allowed", n, base, p.MaxFiles)
		}
	}
	stays := 0
	if live <= float64(p.MaxTotalSize/4) {
		stays = 1
	}
	if p.MaxTotalSize > 0 && total > float64(p.MaxTotalSize) && generations > stays {
		t.Fatalf("%.0f bytes are left, %d are allowed, and there are %d rotated logs", total, p.MaxTotalSize, generations)
	}
	fits := p.MaxTotalSize <= 0 || total+float64(smallest) <= float64(p.MaxTotalSize)
	if p.Codec != nil && uncompressed > 1 && fits {
		t.Fatalf("%d uncompressed rotated logs are left", uncompressed)
	}
}

// underWay reports whether a file may be the empty one of a rotation that is under way,
// which stays.
func underWay(f podlogs.File) bool {
	left := unprovenAge - planNow.Sub(f.Changed)
	return f.Kind == podlogs.Rotated && f.Regular && f.Size == 0 && left > 0 && left <= 2*unprovenAge
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 100, 0, 1, 0, 0, 0, 9, 1, 1, 0, 1, 9, 9, 2, 0, 1, 9, 9, 3, 0, 1, 9, 9, 1, 0, 2, 9, 9})
	f.Add([]byte{1, 0, 10, 1, 0, 0, 0, 9, 1, 1, 0, 1, 9, 2, 1, 0, 2, 9, 99, 1, 0, 3, 9, 99, 2, 0, 4, 9, 0})
	f.Add([]byte{7, 200, 0, 1, 0, 0, 0, 20, 0, 1, 0, 1, 150, 100, 1, 0, 2, 1, 100, 1, 0, 3, 0, 10}) // a rotation under way
	f.Add([]byte{7, 90, 63, 0, 0, 0, 0, 255, 1, 1, 0, 1, 255, 2, 129, 0, 2, 255, 200, 1, 1, 3, 9, 99, 130, 2, 4, 9, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		files, p := listing(data)
		steps, _ := Plan(files, p, planNow)
		after := apply(t, files, steps)
		if len(after) > 0 && latest(after) != latest(files) {
			return // all of the latest restart is gone, and an earlier live log takes its part
		}
		for again, _ := Plan(after, p, planNow); len(again) > 0; again, _ = Plan(after, p, planNow) {
			for _, s := range again { // what was compressed may have made room to compress more
				if s.Action != Compress {
					t.Fatalf("planned again on what the plan leaves:\n%sfirst:\n%s", planText(again, 0), planText(steps, 0))
				}
			}
			after = apply(t, after, again)
		}
		within(t, after, p)
		olderFirst(t, files, steps)
		partOf(t, files, p)
	})
}

// olderFirst: no file is kept while a newer one of its live log is pruned for
// their number, or a newer one of all for their size; but for the newest rotated
// one, which stays.
func olderFirst(t *testing.T, files []podlogs.File, steps []Step) {
	t.Helper()
	gone := removed(files, steps)
	kept := slices.DeleteFunc(slices.Clone(files), func(f podlogs.File) bool { return gone[f.Name] || underWay(f) })
	slices.SortFunc(kept, func(a, b podlogs.File) int { return a.Compare(b.Name) })
	if i := newestRotated(kept); i >= 0 {
		newest := kept[i].Name // it may stay, whatever is pruned
		for _, f := range kept {
			gone[f.Name] = gone[f.Name] || f.SameGeneration(newest)
		}
	}
	for _, s := range steps {
		for _, f := range files {
			older := f.Kind != podlogs.Live && !underWay(f) && !gone[f.Name] && f.Compare(s.Name) < 0
			if s.Action == Prune && older && (s.Reason == BySize || f.Base == s.Name.Base) {
				t.Fatalf("%s is pruned (%s), and %s kept", s.Name, s.Reason, f)
			}
		}
	}
}

// partOf: a plan made on a part of the listing removes nothing that the whole
// plan keeps, grace periods and size left aside.
func partOf(t *testing.T, files []podlogs.File, p Policy) {
	t.Helper()
	p.Grace, p.MaxTotalSize = 0, 0
	whole, _ := Plan(files, p, planNow)
	gone := removed(files, whole)
	var part []podlogs.File
	for _, f := range files {
		if f.Stamp.Second()%2 == 0 {
			part = append(part, f)
		}
	}
	steps, _ := Plan(part, p, planNow)
	for n := range removed(part, steps) {
		if !gone[n] {
			t.Fatalf("on a part of the listing, %s is removed; on the whole it is kept", n)
		}
	}
}
