package rotator

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/logwatch/logwatch/internal/podlogs"
)

// TestCodecs: the codec may change from one start to the next.
func TestCodecs(t *testing.T) {
	for _, codec := range podlogs.Codecs {
		t.Run(codec.Name, func(t *testing.T) {
			root := t.TempDir()
			want := [][]byte{someLines(0, 3000), someLines(3000, 3000), someLines(6000, 3000), someLines(9000, 10)}
			place(t, root, "0.log.20260101-000000.gz", gzipped(t, want[0]))
			place(t, root, "0.log.20260101-000001", want[1])
			place(t, root, "0.log.20260101-000002", want[2])
			place(t, root, "0.log", want[3])
			r := newRotator(root, nil)
			rep := tidy(t, r, Policy{MaxFiles: 9, Codec: codec})
			wantNames(t, root, "0.log", "0.log.20260101-000000.gz", "0.log.20260101-000001"+codec.Suffix, "0.log.20260101-000002")
			if rep.BytesIn != int64(len(want[1])) || rep.BytesOut*4 > rep.BytesIn {
				t.Errorf("%d bytes became %d", rep.BytesIn, rep.BytesOut)
			}
			logs, err := podlogs.Logs(r.fs, container)
			if err != nil || len(logs) != 4 {
				t.Fatalf("%v, %v", logs, err)
			}
			for i, l := range logs {
				if !bytes.Equal(decompressed(t, r, l.Name.String()), want[i]) {
					t.Errorf("%s holds something else", l.Name.String())
				}
			}
			names := logNames(t, "0.log.20260101-000000 0.log.20260101-000001")
			if _, err := r.Prune(t.Context(), container, names, podlogs.Name{}, Read{}); err != nil {
				t.Fatal(err)
			}
			wantNames(t, root, "0.log", "0.log.20260101-000002")
		})
	}
}

func TestReconcileCodecs(t *testing.T) {
	content := someLines(0, 5000)
	for _, codec := range podlogs.Codecs {
		compress := func(content []byte) []byte {
			var b bytes.Buffer
			if err := encode(t.Context(), &b, bytes.NewReader(content), int64(len(content)), Policy{Codec: codec}); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		}
		whole := compress(content)
		for name, c := range map[string]struct {
			compressed []byte
			whole      bool
		}{
			"whole":          {whole, true},
			"cut short":      {whole[:len(whole)-5], false},
			"shorter":        {compress(content[:len(content)-1]), false},
			"not compressed": {[]byte("plain text"), false},
			"empty":          {nil, false},
		} {
			t.Run(codec.Name+"/"+name, func(t *testing.T) {
				root := t.TempDir()
				const source = "0.log.20260101-000001"
				place(t, root, source, content)
				place(t, root, source+codec.Suffix, c.compressed)
				r := newRotator(root, nil)
				if _, err := housekeep(r, t.Context(), Policy{MaxFiles: 9}); err != nil {
					t.Fatal(err)
				}
				left := source
				if c.whole {
					left += codec.Suffix
				}
				wantNames(t, root, left)
				if !bytes.Equal(decompressed(t, r, left), content) {
					t.Error("the content is another")
				}
			})
		}
	}
}

func BenchmarkPack(b *testing.B) {
	content := someLines(0, 100_000)
	path := filepath.Join(b.TempDir(), "source")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		p    Policy
	}{{"gzip1", Policy{Codec: podlogs.Gzip, Level: 1}}, {"gzip5", Policy{Codec: podlogs.Gzip, Level: 5}}, {"zstd3", Policy{Codec: podlogs.Zstd, Level: 3}}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				var out bytes.Buffer
				if err := encode(b.Context(), &out, bytes.NewReader(content), int64(len(content)), c.p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
