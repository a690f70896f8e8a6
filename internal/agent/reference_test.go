package agent_test

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/logwatch/logwatch/internal/config"
)

var update = flag.Bool("update", false, "write docs/CONFIG.md anew")

// TestConfigReference: docs/CONFIG.md is what the types, the defaults, the flags
// and the sample file's comments make. It stands here since the daemon alone knows
// what a reload can change.
func TestConfigReference(t *testing.T) {
	const file = "../../docs/CONFIG.md"
	sample, err := os.ReadFile("../../configs/logwatch.yaml")
	must(t, err)
	want := referenceHead + reference(t, comments(string(sample))) + referenceTail(t)
	if *update {
		must(t, os.WriteFile(file, []byte(want), 0o644)) //nolint:gosec // a document
	}
	got, err := os.ReadFile(file)
	must(t, err)
	if string(got) != want {
		t.Errorf("%s is not what the types make: go test ./internal/agent -run TestConfigReference -update", file)
	}
}

const referenceHead = `# Every configuration key

Made from the types, their defaults and the comments in [configs/logwatch.yaml](../configs/logwatch.yaml), and checked by a test
(` + "`go test ./internal/agent -run TestConfigReference -update`" + ` writes it). Which key beats which, and examples: [POLICY.md](POLICY.md).

- *size*: bytes, or a quantity such as ` + "`10Mi`, `500M`, `1Gi`" + `. *duration*: ` + "`500ms`, `10s`, `5m`, `14d`" + `.
- Reading is strict: an unknown key, a key twice, or a value of another type is an error with its line, and nothing changes.
- Every key but ` + "`overrides`" + ` is a flag of ` + "`logwatch run`" + ` too; a flag beats the file.
- *reload*: a change of the file, SIGHUP or ` + "`logwatch reload`" + ` puts it in force. *restart*: the next start does.
`

// reference has a section for each key, in the order of the types.
func reference(t *testing.T, comments map[string]string) string {
	t.Helper()
	c := config.Default()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.NewFlags(fs)
	flags := map[string]bool{}
	fs.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
	var b strings.Builder
	eachKey(reflect.ValueOf(&c).Elem(), "", func(key string, v reflect.Value) {
		comment := comments[key]
		if comment == "" {
			t.Errorf("%s has no comment in configs/logwatch.yaml", key)
		}
		line := []string{kind(v)}
		line = append(line, "default "+text(v))
		if name := kebab(key); flags[name] {
			line = append(line, "`--"+name+"`")
		}
		line = append(line, inForce(key))
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n", key, strings.Join(line, " · "), comment)
	})
	return b.String()
}

// referenceTail is what the keys of an override are.
func referenceTail(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("\n### The keys of an override\n\n| key | is |\n|---|---|\n")
	eachKey(reflect.ValueOf(&config.Override{}).Elem(), "", func(key string, v reflect.Value) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, kind(v))
	})
	return b.String()
}

// eachKey calls f for each key of a struct, those of the structs in it included.
func eachKey(v reflect.Value, prefix string, f func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		field := v.Field(i)
		if field.Kind() == reflect.Struct && kind(field) == "" {
			eachKey(field, prefix+name+".", f)
			continue
		}
		f(prefix+name, field)
	}
}

// text is a value as it stands in the file.
func text(v reflect.Value) string {
	d, isDuration := reflect.TypeAssert[config.Duration](v)
	s := fmt.Sprint(v.Interface())
	if s == "" || v.Kind() == reflect.Slice || isDuration && !d.IsSet() {
		return "empty"
	}
	return "`" + s + "`"
}

// kind is what a value is to an operator; "": a section.
func kind(v reflect.Value) string {
	typ := v.Type()
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[config.Size]():
		return "size"
	case typ == reflect.TypeFor[config.Duration]():
		return "duration"
	case typ.Kind() == reflect.Struct:
		return ""
	case typ.Kind() == reflect.Slice && typ.Elem().Kind() == reflect.String:
		return "list of patterns"
	case typ.Kind() == reflect.Slice:
		return "list"
	case typ.Kind() == reflect.Bool:
		return "true or false"
	case typ.Kind() == reflect.Int:
		return "number"
	}
	return "text"
}

// inForce says when a change of a key takes effect, by changing it.
func inForce(key string) string {
	old, changed := config.Default(), config.Default()
	eachKey(reflect.ValueOf(&changed).Elem(), "", func(k string, v reflect.Value) {
		if k == key {
			change(v)
		}
	})
	kept := changed
	kept, _ = config.KeepStartupKeys(changed, old)
	if reflect.DeepEqual(kept, old) {
		return "restart"
	}
	return "reload"
}

func change(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *config.Size:
		*x = config.SizeOf(12345)
	case *config.Duration:
		*x = config.Duration{Duration: 12345}
	case *string:
		*x += "x"
	case *int:
		*x++
	case *bool:
		*x = !*x
	case *[]config.Override:
		*x = append(*x, config.Override{})
	default:
		panic(fmt.Sprintf("a key of type %T", x))
	}
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

func kebab(key string) string {
	var b strings.Builder
	for _, r := range strings.ReplaceAll(key, ".", "-") {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
