package podlogs

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestCodecTable(t *testing.T) {
	const rotated = "0.log.20260101-000000"
	seen := map[string]bool{"": true, NoCodec: true, tempSuffix: true}
	for i, c := range Codecs {
		if seen[c.Name] || seen[c.Suffix] {
			t.Errorf("%s, %s: the name or the suffix is another's", c.Name, c.Suffix)
		}
		seen[c.Name], seen[c.Suffix] = true, true
		n, ok := ParseName(rotated + c.Suffix)
		if !ok || n.Codec() != c || n.Kind != c.Kind() || !n.Compressed() || n.String() != rotated+c.Suffix {
			t.Errorf("%s: parsed as %+v, written as %s", rotated+c.Suffix, n, n)
		}
		if n.Kinds()[i+1] != c.Kind() || CodecNamed(c.Name) != c {
			t.Errorf("%s: kinds are %v, its name is that of %v", c.Name, n.Kinds(), CodecNamed(c.Name))
		}
	}
	for _, name := range []string{"0.log", rotated, rotated + tempSuffix} {
		if n := parse(t, name)[0]; n.Compressed() || n.Codec() != nil {
			t.Errorf("%s is compressed", name)
		}
	}
	if CodecNamed(NoCodec) != nil {
		t.Error("there is a codec for uncompressed logs")
	}
	if got := CodecNames(false); len(got) != len(Codecs)+1 || !slices.Contains(got, NoCodec) {
		t.Errorf("names: %v", got)
	}
	if kinds := parse(t, "0.log")[0].Kinds(); !slices.Equal(kinds, []Kind{Live}) {
		t.Errorf("a live log's kinds are %v", kinds)
	}
}

// TestCodecs compresses with each codec and level, with an encoder that was left in
// the middle of a log too.
func TestCodecs(t *testing.T) {
	content := []byte(strings.Repeat("2026-01-01T00:00:00.000000000Z stdout F a line\n", 5000))
	for _, c := range Codecs {
		for level := range MaxLevel + 1 {
			for range 2 {
				var out bytes.Buffer
				w, release, err := c.NewEncoder(&out, level)
				if err != nil {
					t.Fatalf("%s %d: %v", c.Name, level, err)
				}
				_, err = w.Write(content)
				if cerr := w.Close(); err != nil || cerr != nil {
					t.Fatalf("%s %d: %v, %v", c.Name, level, err, cerr)
				}
				release()
				r, err := c.NewDecoder(&out)
				if err != nil {
					t.Fatalf("%s %d: %v", c.Name, level, err)
				}
				got, err := io.ReadAll(r)
				if cerr := r.Close(); err != nil || cerr != nil || !bytes.Equal(got, content) {
					t.Errorf("%s %d: %d bytes instead of %d, %v, %v", c.Name, level, len(got), len(content), err, cerr)
				}
				w, release, err = c.NewEncoder(io.Discard, level)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = w.Write(content[:len(content)/2]) // as much as a canceled compression
				release()
			}
		}
		for _, level := range []int{-1, MaxLevel + 1} {
			if _, _, err := c.NewEncoder(io.Discard, level); err == nil {
				t.Errorf("%s has a level %d", c.Name, level)
			}
		}
		r, err := c.NewDecoder(strings.NewReader("plain text"))
		if err != nil && r != nil {
			t.Errorf("%s: a reader with the error %v", c.Name, err)
		}
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%s reads plain text", c.Name)
		}
	}
}
