package dispatch

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/logwatch/logwatch/cri/fake"
	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// readFS counts the bytes that are read.
type readFS struct {
	podlogs.FS
	bytes *int
}

type readDir struct {
	podlogs.Dir
	bytes *int
}

type readHandle struct {
	podlogs.Handle
	bytes *int
}

func (f readFS) OpenDir(rel string) (podlogs.Dir, error) {
	d, err := f.FS.OpenDir(rel)
	return readDir{d, f.bytes}, err
}

func (d readDir) Open(name string) (podlogs.Handle, error) {
	h, err := d.Dir.Open(name)
	if err != nil {
		return nil, err
	}
	return readHandle{h, d.bytes}, nil
}

func (h readHandle) Read(p []byte) (int, error) {
	n, err := h.Handle.Read(p)
	*h.bytes += n
	return n, err
}

// TestEndlessLine: a planted log of one line without an end is read a little, and once.
func TestEndlessLine(t *testing.T) {
	n := newNode(t, "")
	c, dir := n.run(t, fake.ContainerSpec{})
	n.list(t)
	var member bytes.Buffer
	zw := gzip.NewWriter(&member)
	_, err := zw.Write(bytes.Repeat([]byte("x"), crilog.MaxLine))
	must(t, err)
	must(t, zw.Close())
	planted := bytes.Repeat(member.Bytes(), 256<<20/crilog.MaxLine) // the members' content is one
	must(t, os.WriteFile(filepath.Join(c.Dir(), "0.log.20200101-000000.gz"), planted, 0o600))
	read := 0
	n.fs = readFS{n.fs, &read}
	if at := n.Describe(dir, "0.log", true).OldestLine; !at.IsZero() {
		t.Errorf("it has a time: %v", at)
	}
	if most := len(planted) / 8; read == 0 || read > most {
		t.Errorf("%d bytes of %d were read, want at most %d", read, len(planted), most)
	}
	first := read
	if at := n.Describe(dir, "0.log", true).OldestLine; !at.IsZero() || read != first {
		t.Errorf("it is read again: %d bytes", read-first)
	}
}
