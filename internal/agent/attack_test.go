package agent_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/agenttest"
)

// connects is set to an address for a process that only has connections to it.
const connects = "LOGWATCH_TEST_CONNECTS"

// idleConnections are more than the daemon may have file descriptors.
const idleConnections = 400

func init() {
	address := os.Getenv(connects)
	if address == "" {
		return
	}
	for range idleConnections {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_, err = io.WriteString(c, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		if err != nil {
			os.Exit(1)
		}
		defer c.Close() //nolint:errcheck // ends with the process
	}
	_, _ = os.Stdout.WriteString("x")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// TestIdleConnectionsLeaveDescriptors: a local user holds more connections than the
// daemon may have file descriptors. It rotates nevertheless.
func TestIdleConnectionsLeaveDescriptors(t *testing.T) {
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(len(open)) + 110, Max: before.Max}))
	t.Cleanup(func() { must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &before)) })

	n := agenttest.New(t, fake.Options{}, agenttest.Small)
	url, _ := n.Listen()
	n.Start()
	attacker := exec.Command("/proc/self/exe")
	attacker.Env = []string{connects + "=" + strings.TrimPrefix(url(), "http://")}
	in, err := attacker.StdinPipe()
	must(t, err)
	out, err := attacker.StdoutPipe()
	must(t, err)
	must(t, attacker.Start())
	t.Cleanup(func() {
		must(t, in.Close())
		must(t, attacker.Wait())
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c := n.RunContainer(fake.ContainerSpec{Writer: &fake.Pattern{BytesPerSecond: 1e6}})
	n.WaitRotations(3)
	if failed := n.Log.Count(unix.EMFILE.Error()); failed > 0 {
		t.Error("failed for want of descriptors: " + strconv.Itoa(failed))
	}
	c.Exit()
	n.Stop()
	n.Check(c)
}
