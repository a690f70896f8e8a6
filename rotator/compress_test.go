package rotator

import (
	"os"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// TestCompressionLosesItsRoom: a compression ends when the live log has taken the room of its
// result in the meantime, and leaves nothing behind. That is not an error.
func TestCompressionLosesItsRoom(t *testing.T) {
	const source = 4 << 20
	for _, grows := range []bool{false, true} {
		root := t.TempDir()
		r := newRotator(root, nil)
		live := place(t, root, "0.log", []byte("x\n"))
		place(t, root, "0.log.20260101-000001", make([]byte, source))
		place(t, root, "0.log.20260101-000002", []byte("x\n"))
		r.fs = hookFS{FS: r.fs, hook: func(op, name string) error {
			if grows && op == "read" && strings.HasSuffix(name, "-000001") {
				return os.Truncate(live, source) // it writes on
			}
			return nil
		}}
		p := keepAll
		p.MaxTotalSize = 2*source + source/8
		rep, err := r.Compress(t.Context(), container, p, func(podlogs.Name) {})
		if err != nil || (rep.BytesIn == 0) != grows || (rep.Again > 0) != grows {
			t.Errorf("grows %t: %+v, %v", grows, rep, err)
		}
		if got := strings.Join(ls(t, root), " "); strings.Contains(got, ".gz") == grows || strings.Contains(got, ".tmp") {
			t.Errorf("grows %t: the directory holds %s", grows, got)
		}
	}
}
