package readers

import (
	"fmt"
	"testing"
	"time"
)

// TestNearTheEnd: a process that is never at the end of a log that is always written, as one
// that looks every few seconds, is a reader.
func TestNearTheEnd(t *testing.T) {
	c := start(t, program(t, "shipper"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 10_000)
		n.write(dirB, "0.log", 100)
		c.do("open", log)
		for range 3 {
			c.do("read", log, 1000)
			n.write(dirA, "0.log", 1000)
			n.discover()
			time.Sleep(5 * time.Second)
		}
		n.expect(dirA, "shipper")
		if f := n.one(dirB); !f.Expected {
			n.Errorf("%+v", f)
		}
	}, c)
}

// TestReadsRotatedLogs: a process that has only rotated logs open does not follow the container.
func TestReadsRotatedLogs(t *testing.T) {
	c := start(t, program(t, "archiver"), 0)
	inBubble(t, func(n *node) {
		n.write(dirA, "0.log", 1000)
		rotated := n.rotate()
		n.write(dirA, "0.log", 10)
		c.do("open", rotated)
		c.do("read", rotated, 500)
		for range 5 {
			n.discover()
			n.expect(dirA)
			c.do("read", rotated, 100)
			time.Sleep(time.Second)
		}
	}, c)
}

// TestOneOfMany: a process that follows one of many containers is not expected to open the logs
// of the others.
func TestOneOfMany(t *testing.T) {
	c := start(t, program(t, "tail"), 0)
	inBubble(t, func(n *node) {
		log := n.write(dirA, "0.log", 1000)
		for i := range newContainers {
			n.write(fmt.Sprintf("ns_other%d_uid/c", i), "0.log", 10)
		}
		c.do("open", log)
		c.do("read", log, 1000)
		n.settle()
		n.expect(dirA, "tail")
		n.discover()
		if f := n.one("ns_other0_uid/c"); !f.Expected {
			n.Errorf("%+v", f)
		}
		for i := range newContainers {
			n.write(fmt.Sprintf("ns_more%d_uid/c", i), "0.log", 10)
		}
		n.discover()
		n.expect("ns_other0_uid/c")
	}, c)
}
