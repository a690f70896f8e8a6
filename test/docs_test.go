package test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	mdLink   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	mdMetric = regexp.MustCompile(`\blogwatch_[a-z_]+[a-z]\b`)
	mdTest   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]+\b`)
	mdProof  = regexp.MustCompile("`[a-z]+(?:/[a-z]+)*`|\\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]+\\b")
	mdSpace  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// TestDocs: files, sections, metrics and tests that the documents refer to exist.
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
			if !slices.ContainsFunc(tests, func(test string) bool { return strings.HasPrefix(path.Base(test), name) }) {
				t.Errorf("%s: no test %s", file, name)
			}
		}
	}
}

// TestProofs: every test that a table of guarantees names exists under its full
// name, in the package that the table names before it.
func TestProofs(t *testing.T) {
	tests := testNames(t)
	docs := documents(t)
	for file, pkg := range map[string]string{ // where no package is named
		"../README.md": "", "../docs/ARCHITECTURE.md": "internal/agent", "../docs/CRASH-SAFETY.md": "rotator",
	} {
		proofs := 0
		for line := range strings.Lines(docs[file]) {
			cells := strings.Split(strings.TrimSpace(line), "|")
			if len(cells) < 3 || cells[0] != "" {
				continue
			}
			in := pkg
			for _, word := range mdProof.FindAllString(cells[len(cells)-2], -1) {
				if dir := strings.Trim(word, "`"); dir != word {
					in = dir
					continue
				}
				if proofs++; !slices.Contains(tests, in+"/"+word) {
					t.Errorf("%s: no %s in %s", file, word, in)
				}
			}
		}
		if proofs < 10 {
			t.Errorf("%s: found %d tests in its tables", file, proofs)
		}
	}
}

// documents returns all Markdown files of the project, by path.
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

// testNames returns all tests, fuzz targets and benchmarks as "directory/name".
func testNames(t *testing.T) (names []string) {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	walk(t, func(file string) {
		if !strings.HasSuffix(file, "_test.go") {
			return
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			names = append(names, strings.TrimPrefix(path.Dir(file), "../")+"/"+m[1])
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
	rel, anchor, _ := strings.Cut(link, "#")
	target := file
	if rel != "" {
		target = filepath.Join(filepath.Dir(file), rel)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: %s does not exist", file, link)
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

// slug returns the anchor that GitHub derives from a heading.
func slug(heading string) string {
	s := mdSpace.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
	return strings.ReplaceAll(s, " ", "-")
}
