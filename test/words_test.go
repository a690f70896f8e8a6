package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// words are patterns that must not occur in comments, messages, documents, configuration
// and the page: they are hard to read, or not the terms of Kubernetes and Prometheus.
// Letter case does not matter.
var words = []struct{ pattern, use string }{
	{`\b(?:some|no|any|every)(?:body|one)\b`, "another process, no process, the caller, all"},
	{`\bwho(?:ever|m)?\b`, "the process, the caller, the writer, the operator"},
	{`\b(?:he|him|his)\b`, "it, its"},
	{`\b(?:newcomer|stranger)s?\b`, "a new one, an unknown one"},
	{`\bmend(?:s|ed|ing)?\b`, "fix, correct, remediation"},
	{`\banew\b`, "again"},
	{`\b(?:meanwhile|besides)\b`, "in the meantime, also, in addition to"},
	{`\bbear(?:s|ing)?\b`, "have, use, handle"},
	{`\bin force\b`, "active, effective"},
	{`\bper cent\b|\d %(?:[\s.,;:)|]|$)`, "percent, 5%"},
	{`(?:^|(?:[^e]|[^r]e) )(?:is|are|was|were) no (?:[a-kn-z]|l[^o]|m[^o])`, "is not a, invalid"},
	{`\b(?:is|are|was|were) (?:not )?to be\b`, "must be, should be, pending, available"},
	{`\b(?:is|are) so[.,;:)]`, "unchanged, in that state"},
	{`\bas it (?:is|was)\b`, "unchanged"},
	{`\bany ?more\b`, "no longer"},
	{`\btold\b|\btells? of\b`, "logged, reported, warned"},
	{`\bfolders?\b`, "directory"},
	{`\beach \d+ ?m?s\b`, "every 10s"},
	{`\bsince 1970\b`, "Unix timestamp"},
	{`\bin the making\b`, "temporary, unfinished"},
	{`\bout of breath\b|\bhiccups?\b|\bstands? still\b|\bnot well\b`, "slow, stuck, unhealthy"},
	{`\bcourtesy\b|\bkinder\b|\bworth a word\b`, "a plain statement"},
	{`\bloud\b`, "high-volume"},
	{`\b(?:behaviour|licence|colour|honour|neighbour|favour|artefact|cancelled|cancelling)`, "American spelling"},
}

// TestWords: sources, documents and configuration have no phrase of the list.
func TestWords(t *testing.T) {
	var alternatives []string
	for _, w := range words {
		alternatives = append(alternatives, "("+w.pattern+")")
	}
	list := regexp.MustCompile("(?i)" + strings.Join(alternatives, "|"))
	walk(t, func(path string) {
		for _, text := range texts(t, path) {
			for _, m := range list.FindAllStringSubmatchIndex(text.string, -1) {
				line := text.line + strings.Count(text.string[:m[0]], "\n")
				t.Errorf("%s:%d: %q; say: %s", path, line, text.string[m[0]:m[1]], advice(m))
			}
		}
	})
}

// TestWordsMatch: the patterns match what they are for, and no correct English.
func TestWordsMatch(t *testing.T) {
	list := make([]*regexp.Regexp, len(words))
	for i, w := range words {
		list[i] = regexp.MustCompile("(?i)" + w.pattern)
	}
	matches := func(text string) bool {
		return slices.ContainsFunc(list, func(r *regexp.Regexp) bool { return r.MatchString(text) })
	}
	for _, bad := range []string{
		"Somebody writes it", "whoever asks", "what he needs", "mends it", "opens anew", "meanwhile", "bears the name",
		"stays in force", "5 per cent", "97.7 % of it", "that is no size", "are no sockets", "is not to be had", "is so.",
		"leaves it as it is", "not due any more", "is told", "the folder", "looks each 2 s", "seconds since 1970", "behaviour",
	} {
		if !matches(bad) {
			t.Errorf("%q is not found", bad)
		}
	}
	for _, good := range []string{
		"there is no space left", "is no longer due", "was no more than 5", "97.7% of it", "whose log", "the header", "is so large that",
	} {
		if matches(good) {
			t.Errorf("%q is found", good)
		}
	}
}

// advice returns what to say instead of a match of the list.
func advice(m []int) string {
	for i, w := range words {
		if m[2*i+2] >= 0 {
			return w.use
		}
	}
	return ""
}

// text is a piece of a file, from a line on.
type text struct {
	string
	line int
}

// texts returns the comments and string literals of a Go file, only the comments of a
// test, and the whole of any other file except licenses, modules and generated files.
func texts(t *testing.T, path string) []text {
	t.Helper()
	base := filepath.Base(path)
	switch {
	case base == "words_test.go", base == "LICENSE", base == "go.mod", base == "go.sum",
		strings.Contains(path, "/testdata/"), strings.HasPrefix(path, "../bench/results/"), strings.HasPrefix(path, "../docs/img/"):
		return nil
	case strings.HasSuffix(path, ".go"):
		return goTexts(t, path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return []text{{string(content), 1}}
}

func goTexts(t *testing.T, path string) (all []text) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Comments {
		for _, c := range group.List {
			all = append(all, text{c.Text, set.Position(c.Pos()).Line})
		}
	}
	if strings.HasSuffix(path, "_test.go") {
		return all
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			all = append(all, text{lit.Value, set.Position(lit.Pos()).Line})
		}
		return true
	})
	return all
}
