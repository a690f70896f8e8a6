package monitoring

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// foreign holds the quotes that are commands of other programs.
var foreign = []string{"curl", "crictl", "lsof -nP +L1"}

// TestSymptoms: the sources contain each message that the docs quote as a symptom or
// search for, or the kernel has it as an error.
func TestSymptoms(t *testing.T) {
	texts := sourceStrings(t)
	known := func(symptom string) bool {
		if slices.Contains(foreign, symptom) {
			return true
		}
		for errno := range syscall.Errno(200) {
			if errno.Error() == symptom {
				return true
			}
		}
		return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(s, symptom) })
	}
	total := 0
	for _, file := range []string{runbookFile, "../../docs/TROUBLESHOOTING.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, symptom := range append(tableSymptoms(string(text)), searches(string(text))...) {
			total++
			if !known(symptom) {
				t.Errorf("%s quotes %q, which the sources do not contain", filepath.Base(file), symptom)
			}
		}
	}
	if total < 30 {
		t.Errorf("only %d symptoms found", total)
	}
}

var (
	reTable  = regexp.MustCompile(`(?m)^\| (?:symptom|finding) \|.*\n\|---.*\n((?:\|.*\n)+)`)
	reQuoted = regexp.MustCompile("`([^`]+)`")
	reSearch = regexp.MustCompile(`(?:logwatch status|journalctl -u logwatch)[^\n|]*\| grep (?:-[a-zA-Z0-9]+ )*('[^']+'|\w+)`)
)

// tableSymptoms returns what is quoted in the first column of tables of symptoms.
func tableSymptoms(text string) (all []string) {
	for _, table := range reTable.FindAllStringSubmatch(text, -1) {
		for row := range strings.Lines(table[1]) {
			for _, m := range reQuoted.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
				all = append(all, m[1])
			}
		}
	}
	return all
}

// searches returns what commands search for in logwatch's output and log.
func searches(text string) (all []string) {
	for _, m := range reSearch.FindAllStringSubmatch(text, -1) {
		for word := range strings.SplitSeq(strings.Trim(m[1], "'"), "|") {
			// The log is JSON: "key":value.
			word, _, _ = strings.Cut(word, `":`)
			all = append(all, strings.Trim(word, `"`))
		}
	}
	return all
}

// sourceStrings returns the string constants of logwatch's sources, without tests.
func sourceStrings(t *testing.T) (all []string) {
	t.Helper()
	const root = "../.."
	skip := []string{"test", "bench", "hack", "internal/testutil", "internal/linecheck", "cri/fake", ".git"}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(skip, rel) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s := constant(e); s != "" {
					all = append(all, s)
					return false
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// constant returns the text of a string literal, or of several joined with +.
func constant(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		if e.Kind == token.STRING && err == nil {
			return s
		}
	case *ast.BinaryExpr:
		if x, y := constant(e.X), constant(e.Y); e.Op == token.ADD && x != "" && y != "" {
			return x + y
		}
	}
	return ""
}
