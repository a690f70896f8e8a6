package observe

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/testutil"
)

// TestRotationsCountOnce: by an exchange, by a rename and by a copy.
func TestRotationsCountOnce(t *testing.T) {
	root := t.TempDir()
	live := filepath.Join(root, "app", liveName)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path string, bytes int) { t.Helper(); must(os.WriteFile(path, make([]byte, bytes), 0o600)) }
	must(os.Mkdir(filepath.Dir(live), 0o755))
	write(live, 1000)
	o, err := Start(root, 500)
	must(err)
	must(o.Watch("app"))
	for i, rotate := range []func(to string){
		func(to string) {
			write(to, 0)
			testutil.Eventually(t, "the event of the empty file", func() bool { return o.Count() == 1 })
			must(unix.Renameat2(unix.AT_FDCWD, live, unix.AT_FDCWD, to, unix.RENAME_EXCHANGE))
			write(live, 1000)
		},
		func(to string) { must(os.Rename(live, to)); write(live, 1000) },
		func(to string) { write(to, 1000) },
	} {
		rotate(live + ".20260102-03040" + string(rune('0'+i)))
		testutil.Eventually(t, "the rotation", func() bool { return o.Count() == i+1 })
	}
	testutil.Eventually(t, "the events", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		last := o.all[len(o.all)-1]
		return len(o.all) == 3 && last.fd < 0
	})
	res, err := o.Stop()
	must(err)
	for i, r := range res.Rotations {
		if r.Final != 1000 || r.Copied != (i == 2) {
			t.Errorf("%+v", r)
		}
	}
	if len(res.Rotations) != 3 {
		t.Errorf("%d rotations", len(res.Rotations))
	}
}
