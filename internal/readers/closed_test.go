package readers

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestClosed: a reader that has closed a container's logs counts for it until the timeout, for
// ever if it had read all.
func TestClosed(t *testing.T) {
	c := start(t, program(t, "filebeat"), 0)
	inBubble(t, func(n *node) {
		log, other := n.write(dirA, "0.log", 1000), n.write(dirB, "0.log", 1000)
		for _, log := range []string{log, other} {
			c.do("open", log)
			c.do("read", log, 1000)
		}
		n.settle()
		c.do("close", log)
		for range 30 {
			time.Sleep(10 * time.Second)
			n.discover()
		}
		f := n.one(dirA)
		position(n, f.Closed, inode(n, log), 1000)
		if len(f.Positions) > 0 || time.Since(f.Progress) > 0 {
			n.Errorf("%+v", f)
		}
		time.Sleep(2 * timeout) // and nothing is due
		n.discover()
		time.Sleep(2 * relistPause)
		n.write(dirA, "0.log", 1)
		if f := n.one(dirA); time.Since(f.Progress) > 0 {
			n.Errorf("%+v", f)
		}
		time.Sleep(timeout - tick)
		n.expect(dirA, "filebeat")
		n.expect(dirA)
		rotated := n.rotate()
		c.do("open", log)
		n.discover()
		f = n.one(dirA)
		position(n, f.Closed, inode(n, rotated), 1000)
		if err := os.Remove(rotated); err != nil {
			n.Fatal(err)
		}
		if f = n.one(dirA); len(f.Closed) > 0 {
			n.Errorf("%+v", f)
		}
	}, c)
}

// TestClosedTogether: one that has closed the logs of several containers is expected at each that is due
// at the same time.
func TestClosedTogether(t *testing.T) {
	c := start(t, program(t, "filebeat"), 0)
	inBubble(t, func(n *node) {
		for _, dir := range []string{dirA, dirB, "ns_c_uid/c"} {
			log := n.write(dir, "0.log", 1000)
			c.do("open", log)
			c.do("read", log, 1000)
		}
		n.settle()
		for _, dir := range []string{dirA, dirB} {
			c.do("close", filepath.Join(n.logs, dir, "0.log"))
		}
		n.discover()
		n.discover()
		time.Sleep(3 * timeout)
		n.discover()
		time.Sleep(2 * relistPause)
		for _, dir := range []string{dirA, dirB} {
			n.write(dir, "0.log", 1)
			if f := n.Followers(dir, 100*time.Millisecond); len(f) != 1 {
				n.Errorf("%d readers of %s", len(f), dir)
			}
		}
	}, c)
}

// TestLeftForGood: a reader that has closed a container's logs and does not come back is forgotten after
// the timeout, however many logs are created in the meantime.
func TestLeftForGood(t *testing.T) {
	c := start(t, program(t, "vector"), 0)
	inBubble(t, func(n *node) {
		log, other := n.write(dirA, "0.log", 1000), n.write(dirB, "0.log", 1000)
		for _, log := range []string{log, other} {
			c.do("open", log)
			c.do("read", log, 1000)
		}
		n.settle()
		c.do("close", log)
		n.discover()
		n.discover()
		for range 5 {
			n.write(dirA, "0.log", 1000)
			n.look(dirA)
			time.Sleep(timeout / 4)
			if err := os.Remove(n.rotate()); err != nil {
				n.Fatal(err)
			}
			n.look(dirA) // while it is empty
		}
		n.write(dirA, "0.log", 1000)
		n.expect(dirA)
	}, c)
}

// TestStartedBeforeAndDied: what a process had not read that had a log open when this program started is kept
// after it has exited, unless it had it open for a moment.
func TestStartedBeforeAndDied(t *testing.T) {
	for _, lasts := range []time.Duration{span, span - time.Second} {
		c := start(t, program(t, "vector"), 0)
		inBubble(t, func(n *node) {
			n.scans = 0
			n.write(dirA, "0.log", 1000)
			rotated := n.rotate()
			c.do("open", rotated)
			c.do("read", rotated, 100)
			n.discover()
			time.Sleep(lasts)
			n.discover()
			c.kill()
			n.discover()
			if lasts < span {
				n.expect(dirA)
				return
			}
			n.expect(dirA, "vector dead")
			position(n, n.one(dirA).Positions, inode(n, rotated), 100)
			time.Sleep(timeout)
			n.expect(dirA)
		}, c)
	}
}

// TestScannerAtTheStart: a process that had logs open when this program started, has closed those of a
// container and has exited does not count for it.
func TestScannerAtTheStart(t *testing.T) {
	c := start(t, program(t, "grep"), 0)
	inBubble(t, func(n *node) {
		n.scans = 0
		log, other := n.write(dirA, "0.log", 1000), n.write(dirB, "0.log", 1000)
		for _, log := range []string{log, other} {
			c.do("open", log)
			c.do("read", log, 100)
		}
		n.discover()
		time.Sleep(span)
		c.do("close", log)
		n.discover()
		n.discover()
		c.kill()
		n.discover()
		n.expect(dirA)
		n.expect(dirB, "grep dead")
		if f := n.one(dirB); !f.Since.IsZero() {
			n.Errorf("it is known as a reader: %+v", f)
		}
	}, c)
}

// TestOwnCommand: another version of this program is not a reader.
func TestOwnCommand(t *testing.T) {
	c := start(t, program(t, self), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		n.expect(dirA)
	}, c)
}

// TestStartedBefore: a process that has only rotated logs open when this program starts is a reader, until it
// has not advanced for the timeout. One that is found later is not.
func TestStartedBefore(t *testing.T) {
	early, late := start(t, program(t, "vector"), 0), start(t, program(t, "less"), 0)
	inBubble(t, func(n *node) {
		n.scans = 0
		n.write(dirA, "0.log", 1000)
		rotated := n.rotate()
		n.write(dirA, "0.log", 1000)
		early.do("open", rotated)
		early.do("read", rotated, 100)
		n.discover()
		late.do("open", rotated)
		late.do("read", rotated, 100)
		time.Sleep(timeout - time.Second)
		n.discover()
		n.expect(dirA, "vector")
		position(n, n.one(dirA).Positions, inode(n, rotated), 100)
		time.Sleep(2 * time.Second)
		n.expect(dirA)
	}, early, late)
}
