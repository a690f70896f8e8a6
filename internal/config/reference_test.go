package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

var update = flag.Bool("update", false, "write docs/CONFIG.md")

// TestReference: docs/CONFIG.md is generated from the table and the comments of the
// sample file.
func TestReference(t *testing.T) {
	const file = "../../docs/CONFIG.md"
	data, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	want := referenceHead + reference(t, comments(string(data))) + overrideReference()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not up to date: go test ./internal/config -run TestReference -update", file)
	}
}

const referenceHead = `# Configuration reference

Generated from the table of keys and the comments in [configs/logwatch.yaml](../configs/logwatch.yaml) by
` + "`go test ./internal/config -run TestReference -update`" + `, and checked by that test. For precedence and examples see
[POLICY.md](POLICY.md).

- *size*: bytes, or a quantity such as ` + "`10Mi`, `500M`, `1Gi`" + `. *duration*: ` + "`500ms`, `10s`, `5m`, `14d`" + `.
- Parsing is strict: an unknown key, a duplicate key or a value of another type is an error with its line, and the file has no effect.
- Every key except ` + "`overrides`" + ` is also a flag of ` + "`logwatch run`" + `; a flag takes precedence over the file.
- *reload*: takes effect when the file changes, on SIGHUP or ` + "`logwatch reload`" + `. *restart*: takes effect at the next start.
`

// reference has a section for each key.
func reference(t *testing.T, comments map[string]string) string {
	t.Helper()
	c := Default()
	var b strings.Builder
	for _, k := range c.keys() {
		if comments[k.name] == "" {
			t.Errorf("%s has no comment in %s", k.name, sample)
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s · default ", k.name, kind(k.value))
		if v, ok := k.value.(setting.Value); !ok {
			b.WriteString("empty")
		} else if v.String() == "" {
			fmt.Fprintf(&b, "empty · `--%s`", flagName(k.name))
		} else {
			fmt.Fprintf(&b, "`%s` · `--%s`", v, flagName(k.name))
		}
		if k.start {
			b.WriteString(" · restart")
		} else {
			b.WriteString(" · reload")
		}
		fmt.Fprintf(&b, "\n\n%s\n", comments[k.name])
	}
	return b.String()
}

// overrideReference has the keys of an override, and the annotations that go with
// them.
func overrideReference() string {
	annotations := make(map[string]string)
	for _, f := range policy.Fields {
		if f.Annotation != "" {
			annotations[f.Name] = "`logwatch/" + f.Annotation + "`"
		}
	}
	var b strings.Builder
	b.WriteString("\n### Keys of an override\n\n| key | type | annotation |\n|---|---|---|\n")
	for _, k := range overrideKeys(&policy.Override{}) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.name, kind(k.value), annotations[k.name])
	}
	return b.String()
}

// kind is the type of a value for operators.
func kind(value any) string {
	switch v := value.(type) {
	case *[]string:
		return "list of patterns"
	case setting.Value:
		if s, ok := map[string]string{"int": "number", "bool": "true or false", "string": "text"}[v.Type()]; ok {
			return s
		}
		return v.Type()
	}
	return "list"
}

// comments are the sample's, by key: those right above it.
func comments(sample string) map[string]string {
	all := map[string]string{}
	var lines []string
	section, code := "", false
	for line := range strings.Lines(sample) {
		text := strings.TrimSpace(line)
		switch key, _, isKey := strings.Cut(text, ":"); {
		case strings.HasPrefix(text, "#"):
			text = strings.TrimPrefix(strings.TrimPrefix(text, "#"), " ")
			if indented := strings.HasPrefix(text, "  "); indented != code { // a table or an example
				code = indented
				lines = append(lines, "```")
			}
			lines = append(lines, text)
		case isKey:
			if code {
				lines, code = append(lines, "```"), false
			}
			depth := len(line) - len(strings.TrimLeft(line, " "))
			parents := strings.Split(section, ".")[:depth/2]
			section = strings.Join(append(parents, key), ".")
			all[section] = strings.Join(lines, "\n")
			lines = nil
		default: // a blank line
			lines, code = nil, false
		}
	}
	return all
}
