package pressure

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// FuzzBuild derives a node and a need from its input and checks the package's
// guarantees for the plan.
func FuzzBuild(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, uint16(seed*1300), seed%5 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, share uint16, countInodes bool) {
		checkPlan(t, rand.New(rand.NewPCG(seed, 0)), share, countInodes)
	})
}

func TestBuildOnRandomNodes(t *testing.T) {
	for seed := range uint64(5000) {
		r := rand.New(rand.NewPCG(seed, 1))
		checkPlan(t, r, uint16(r.Uint32()), r.IntN(3) == 0)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// randomNode returns containers of very different volume, in all states.
func randomNode(r *rand.Rand) (cs []Container) {
	for i := range r.IntN(8) {
		c := Container{Dir: fmt.Sprintf("pod%d/app", i), MaxFiles: r.IntN(6), Stuck: r.IntN(10) == 0}
		if r.IntN(2) == 0 {
			c.MaxAge = time.Duration(1+r.IntN(48)) * time.Hour
		}
		scale := int64(1) << r.IntN(24)
		for restart := range 1 + r.IntN(2) {
			base := fmt.Sprintf("%d.log", restart)
			for g := range r.IntN(8) {
				for _, suffix := range [][]string{{""}, {".gz"}, {".zst"}, {"", ".gz"}, {"", ".tmp"}, {".tmp"}}[r.IntN(6)] {
					c.Files = append(c.Files, randomFile(r, stamped(base, g)+suffix, scale))
				}
			}
			if r.IntN(8) > 0 {
				c.Files = append(c.Files, randomFile(r, base, scale))
				if c.Live = ""; r.IntN(4) > 0 {
					c.Live = base
				}
			}
		}
		cs = append(cs, c)
	}
	return cs
}

func randomFile(r *rand.Rand, name string, scale int64) podlogs.File {
	n, _ := podlogs.ParseName(name)
	return podlogs.File{
		Name: n, Size: r.Int64N(scale), Regular: r.IntN(20) > 0,
		Modified: now.Add(-time.Duration(r.Int64N(int64(72 * time.Hour)))),
	}
}

func usage(cs []Container) (n Need) {
	for _, c := range cs {
		n.Bytes += c.Usage()
		for _, f := range c.Files {
			if f.Regular {
				n.Inodes++
			}
		}
	}
	return n
}

// apply carries out a plan.
func apply(t *testing.T, cs []Container, p Plan) []Container {
	t.Helper()
	cs = slices.Clone(cs)
	of := func(dir string) *Container {
		i := slices.IndexFunc(cs, func(c Container) bool { return c.Dir == dir })
		if i < 0 {
			t.Fatalf("no container %q", dir)
		}
		return &cs[i]
	}
	for _, a := range p.Prunes {
		c := of(a.Dir)
		if c.Stuck || a.Name.Kind == podlogs.Live || a.Name.Kind == podlogs.Temp {
			t.Errorf("prune %s/%s", a.Dir, a.Name)
		}
		var gone Need
		c.Files = slices.DeleteFunc(slices.Clone(c.Files), func(f podlogs.File) bool {
			same := f.Regular && f.Kind != podlogs.Live && f.Base == a.Name.Base && f.Stamp.Equal(a.Name.Stamp)
			if same {
				gone.Bytes, gone.Inodes = gone.Bytes+f.Size, gone.Inodes+1
			}
			return same
		})
		if gone.Inodes == 0 || gone != (Need{a.Bytes, a.Files}) {
			t.Errorf("prune %s/%s frees %+v, and says %d, %d", a.Dir, a.Name, gone, a.Bytes, a.Files)
		}
	}
	for _, a := range p.Rotates {
		if c := of(a.Dir); c.Live != a.Log {
			t.Errorf("rotate %s/%s, of which %q is live", a.Dir, a.Log, c.Live)
		}
	}
	return cs
}

// prunable returns the number of generations that may be pruned although the
// container's policy keeps them.
func prunable(c Container) int { return len(newHolder(c, now).kept) }

func checkPlan(t *testing.T, r *rand.Rand, share uint16, countInodes bool) {
	t.Helper()
	cs := randomNode(r)
	before := usage(cs)
	need := Need{Bytes: before.Bytes * int64(share) / 60_000} // sometimes more than exists
	if countInodes {
		need.Inodes = before.Inodes * int64(share) / 80_000
	}
	p := Build(cs, need, now)
	shuffled := slices.Clone(cs)
	r.Shuffle(len(cs), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	if again := Build(shuffled, need, now); !reflect.DeepEqual(p, again) {
		t.Errorf("another order, another plan:\n%s\nand\n%s", p.text(), again.text())
	}
	after := apply(t, cs, p)
	checkFreed(t, cs, after, need, p)
	checkOrder(t, cs, p)
	checkFair(t, cs, after, need, p)
}

// checkFreed: enough is freed, or all that can be, and no more than needed.
func checkFreed(t *testing.T, before, after []Container, need Need, p Plan) {
	t.Helper()
	b, a := usage(before), usage(after)
	left := Need{max(0, need.Bytes-(b.Bytes-a.Bytes)), max(0, need.Inodes-(b.Inodes-a.Inodes))}
	for _, c := range after {
		h := newHolder(c, now)
		if n := len(h.past) + len(h.kept); left.Inodes > 0 && n > 0 {
			t.Errorf("inodes are short by %d, and %s has %d to give", left.Inodes, c.Dir, n)
		}
		for _, g := range append(h.past, h.kept...) {
			// A planned rotation counts as freed.
			if p.Short.Bytes > 0 && g.bytes > 0 {
				t.Errorf("short by %d, and %s has %s to give", p.Short.Bytes, c.Dir, g.name)
			}
		}
	}
	rotates := int64(0)
	for _, rot := range p.Rotates {
		rotates += rot.Size
	}
	if short := max(0, left.Bytes-rotates); short != p.Short.Bytes || left.Inodes != p.Short.Inodes {
		t.Errorf("short by %d, %d; it says %+v", short, left.Inodes, p.Short)
	}
	if n := len(p.Prunes); n > 0 {
		last := p.Prunes[n-1]
		if b.Bytes-a.Bytes-last.Bytes >= need.Bytes && b.Inodes-a.Inodes-last.Files >= need.Inodes {
			t.Errorf("the last one, %+v, was not needed", last)
		}
	}
	// A second plan finds nothing new.
	again := Build(after, left, now)
	if len(again.Prunes) > 0 && p.Short == (Need{}) && len(p.Rotates) == 0 {
		t.Errorf("planned again, it removes more:\n%s", again.text())
	}
	if len(p.Prunes)+len(p.Rotates) == 0 && left != (Need{}) && left != p.Short {
		t.Errorf("nothing is done about %+v", left)
	}
}

// checkOrder: the oldest generation of each live log is removed first, and what a
// policy keeps after what no policy does.
func checkOrder(t *testing.T, cs []Container, p Plan) {
	t.Helper()
	lastOf := map[string]time.Time{}
	keepsNow := false
	for _, a := range p.Prunes {
		key := a.Dir + "/" + a.Name.Base
		if !a.Name.Stamp.After(lastOf[key]) {
			t.Errorf("%s/%s goes after a newer one", a.Dir, a.Name)
		}
		lastOf[key] = a.Name.Stamp
		if keepsNow && a.Reason != ByShare {
			t.Errorf("%s/%s, %s, goes after one that was to be kept", a.Dir, a.Name, a.Reason)
		}
		keepsNow = keepsNow || a.Reason == ByShare
	}
	for _, c := range cs {
		for _, f := range c.Files {
			last, pruned := lastOf[c.Dir+"/"+f.Base]
			// A kept generation between two pruned ones would leave a gap.
			if pruned && f.Regular && f.Kind != podlogs.Live && f.Kind != podlogs.Temp && f.Stamp.Before(last) {
				if !slices.ContainsFunc(p.Prunes, func(a Prune) bool {
					return a.Dir == c.Dir && a.Name.Base == f.Base && a.Name.Stamp.Equal(f.Stamp)
				}) {
					t.Errorf("%s/%s stays, and a newer one goes", c.Dir, f.Name)
				}
			}
		}
	}
}

// checkFair: a container that lost what its policy keeps used, just before, at least
// as much as any that has some left, and was above its share.
func checkFair(t *testing.T, before, after []Container, need Need, p Plan) {
	t.Helper()
	if need.Inodes > 0 {
		return // two measures: a container may use much of one and little of the other
	}
	for i, c := range after {
		if prunable(before[i]) == prunable(c) {
			continue
		}
		lost := int64(0)
		for _, a := range p.Prunes {
			if a.Dir == c.Dir {
				lost = a.Bytes
			}
		}
		held := c.Usage() + lost
		for _, d := range after {
			if left := prunable(d); left > 0 && d.Dir != c.Dir && d.Usage() > held && !rotated(p, d) {
				t.Errorf("%s held %d and lost, %s holds %d and has %d files to give", c.Dir, held, d.Dir, d.Usage(), left)
			}
		}
		if share := shareOf(before, need); held <= share && lost > 0 {
			t.Errorf("%s lost %d of %d, which was not above its share of %d", c.Dir, lost, held, share)
		}
	}
}

func rotated(p Plan, c Container) bool {
	return slices.ContainsFunc(p.Rotates, func(a Rotate) bool { return a.Dir == c.Dir })
}

// shareOf returns the fair share after all that is beyond its policy is pruned.
func shareOf(cs []Container, need Need) int64 {
	pl := planner{need: Need{Bytes: need.Bytes}, minLive: max(need.Bytes/worthwhile, minRotated)}
	for _, c := range cs {
		pl.holders = append(pl.holders, newHolder(c, now))
	}
	pl.drain(past, bytes, 0)
	return pl.share(bytes)
}

// TestPassesEnd carries out plan after plan, rotations included, until one is empty:
// then enough is freed, or nothing is left to prune.
func TestPassesEnd(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 2))
		cs := randomNode(r)
		target := usage(cs).Bytes * int64(r.IntN(100)) / 100
		for pass := 0; ; pass++ {
			need := Need{Bytes: max(0, usage(cs).Bytes-target)}
			p := Build(cs, need, now)
			if len(p.Prunes)+len(p.Rotates) == 0 {
				if p.Short.Bytes != need.Bytes {
					t.Fatalf("seed %d: %d are over, it says %+v", seed, need.Bytes, p.Short)
				}
				break
			}
			if pass > 3 {
				t.Fatalf("seed %d: no end; now it wants\n%s", seed, p.text())
			}
			cs = apply(t, cs, p)
			for _, a := range p.Rotates {
				rotateEarly(cs, a, pass)
			}
		}
	}
}

// rotateEarly rotates a live log.
func rotateEarly(cs []Container, a Rotate, pass int) {
	for i, c := range cs {
		for j, f := range c.Files {
			if c.Dir != a.Dir || f.Name.String() != a.Log {
				continue
			}
			fresh := f
			fresh.Size = 0
			f.Name, _ = podlogs.ParseName(stamped(a.Log, 50+pass))
			cs[i].Files = slices.Concat(c.Files[:j], []podlogs.File{f, fresh}, c.Files[j+1:])
			return
		}
	}
}
