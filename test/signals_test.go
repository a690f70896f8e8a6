package test

import (
	"errors"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/testutil"
)

// hanging starts logwatch on a node with a full log, and waits until its reopen hangs.
func hanging(t *testing.T) *process {
	t.Helper()
	n := newEmbedded(t, fake.Containerd)
	rt := n.(embeddedNode).Runtime
	c, err := rt.RunContainer(fake.ContainerSpec{})
	if err != nil {
		t.Fatal(err)
	}
	c.Fail(fake.Failure{Mode: fake.Hang})
	if err := c.WriteNumbered("stdout", 10_000, 100); err != nil {
		t.Fatal(err)
	}
	p := newProcess(t, n, everything)
	p.start()
	testutil.Eventually(t, "a reopen that hangs", func() bool { return rt.Calls("ReopenContainerLog") > 0 })
	return p
}

// TestTermWhileTheRuntimeHangs: SIGTERM works then; stop checks time and exit code.
func TestTermWhileTheRuntimeHangs(t *testing.T) {
	p := hanging(t)
	p.stop()
	if !strings.Contains(p.text(), `"message":"stopped"`) {
		t.Error("it did not end in good order")
	}
}

func TestSecondTermEndsAtOnce(t *testing.T) {
	p := hanging(t)
	p.signal(unix.SIGTERM)
	var err error
	testutil.Eventually(t, "the end", func() bool {
		p.signal(unix.SIGTERM)
		select {
		case err = <-p.exited:
			p.cmd = nil
			return true
		default:
			return false
		}
	})
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || !strings.Contains(exit.Error(), "terminated") {
		t.Errorf("ended with %v, want by the signal", err)
	}
}

// TestNotifiesSystemd is systemd's side of sd_notify(3).
func TestNotifiesSystemd(t *testing.T) {
	n := newEmbedded(t, fake.Containerd)
	p := newProcess(t, n, everything)
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // read to its end
	t.Setenv("NOTIFY_SOCKET", socket)
	p.start()
	expect(t, conn, "READY=1")
	p.stop()
	expect(t, conn, "STOPPING=1")
}

func expect(t *testing.T, conn *net.UnixConn, want string) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(waitAtMost)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		k, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v", want, err)
		}
		if strings.Contains(string(buf[:k]), want) {
			return
		}
	}
}
