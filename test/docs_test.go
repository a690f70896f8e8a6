package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdMetric = regexp.MustCompile(`\blogwatch_[a-z_]+[a-z]\b`)
	mdTest   = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]+\b`)
	mdSpace  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestDocs: what the documents point at is there: files, sections, metrics and
// tests.
func TestDocs(t *testing.T) {
	docs := documents(t)
	metrics := docs["../docs/METRICS.md"]
	tests := testNames(t)
	for file, text := range docs {
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			checkLink(t, docs, file, m[1])
		}
		for _, name := range mdMetric.FindAllString(text, -1) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if !strings.Contains(metrics, base) {
				t.Errorf("%s: %s is not in docs/METRICS.md", file, name)
			}
		}
		for _, name := range mdTest.FindAllString(text, -1) {
			// A prefix is what -run takes.
			if !slices.ContainsFunc(tests, func(full string) bool { return strings.HasPrefix(full, name) }) {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}

// documents are all Markdown files of the project, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	walk(t, func(path string) {
		if strings.HasSuffix(path, ".md") {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			docs[path] = string(text)
		}
	})
	return docs
}

func testNames(t *testing.T) (names []string) {
	t.Helper()
	walk(t, func(path string) {
		if !strings.HasSuffix(path, "_test.go") {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	})
	return names
}

func walk(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			f(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkLink(t *testing.T, docs map[string]string, file, link string) {
	t.Helper()
	if strings.Contains(link, "://") {
		return
	}
	path, anchor, _ := strings.Cut(link, "#")
	target := file
	if path != "" {
		target = filepath.Join(filepath.Dir(file), path)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: %s is not there", file, link)
		return
	}
	if anchor == "" || !strings.HasSuffix(target, ".md") {
		return
	}
	for line := range strings.Lines(docs[target]) {
		if heading := strings.TrimLeft(line, "#"); heading != line && slug(heading) == anchor {
			return
		}
	}
	t.Errorf("%s: %s has no section %s", file, target, anchor)
}

// slug is a heading as GitHub makes an anchor of it.
func slug(heading string) string {
	s := mdSpace.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	return strings.ReplaceAll(s, " ", "-")
}
