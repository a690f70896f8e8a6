package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// TestWaiting: a terminal shows what is waited for, and its line is empty
// afterwards; nothing is written to a file.
func TestWaiting(t *testing.T) {
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close() //nolint:errcheck // a test's terminal
	done := waiting(tty, "the daemon answers")
	r := bufio.NewReader(screen)
	said, err := r.ReadString('K') // the end of the first line
	if err != nil || said != "\rthe daemon answers … 1 s\x1b[K" {
		t.Errorf("%q, %v", said, err)
	}
	done()
	done()
	if _, err := io.WriteString(tty, "end\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := r.ReadString('\n')
	if err != nil || !strings.HasSuffix(rest, "\r\x1b[Kend\r\n") {
		t.Errorf("%q, %v", rest, err)
	}
	if err := tty.Close(); err != nil {
		t.Error(err)
	}

	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // empty
	waiting(file, "nothing")()
	if st, err := file.Stat(); err != nil || st.Size() != 0 {
		t.Errorf("%d bytes in a file, %v", st.Size(), err)
	}
}
