package config

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	nodes "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// Load reads the file at path, see Parse.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w: name a file that can be read, or none for the defaults", err)
	}
	return Parse(path, data)
}

// Parse reads YAML over the defaults. An empty document gives the defaults. The
// error is "name:line: key: what to do": the first problem of what cannot be
// read, or else every value that cannot be, one a line.
func Parse(name string, data []byte) (Config, error) {
	c, src := Default(), source{name, make(map[string]int)}
	if err := src.decode(data, &c); err != nil {
		return Config{}, err
	}
	if c.Overrides == nil { // "overrides:" with nothing behind it
		c.Overrides = []Override{}
	}
	c.applyProfile()
	if err := c.validate(src.at); err != nil {
		return Config{}, err
	}
	return c, nil
}

// Marshal writes c as YAML: every key, in the order of the struct. The JSON is
// read as nodes for that order, since yaml.Marshal would sort the keys.
func Marshal(c Config) ([]byte, error) {
	var doc nodes.Node
	var out bytes.Buffer
	data, err := json.Marshal(c)
	if err == nil {
		err = nodes.Unmarshal(data, &doc)
	}
	if err == nil {
		unquote(&doc)
		enc := nodes.NewEncoder(&out)
		enc.SetIndent(2)
		err = errors.Join(enc.Encode(&doc), enc.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return out.Bytes(), nil
}

// unquote takes JSON's braces and quotes from n; those that are needed stay.
func unquote(n *nodes.Node) {
	n.Style = 0
	for _, child := range n.Content {
		unquote(child)
	}
}

// source is a file that is read, and knows where in it the keys are.
type source struct {
	name  string
	lines map[string]int // by path: compression.codec, or list[0].key
}

// at is "name:line: path". A path that is not in the file, as one without the
// index that a list needs, has the line of the nearest key above it.
func (s source) at(path string) string {
	for known := path; known != ""; known = known[:max(0, strings.LastIndexAny(known, ".["))] {
		if line, ok := s.lines[known]; ok {
			return fmt.Sprintf("%s:%d: %s", s.name, line, path)
		}
	}
	return strings.TrimSuffix(s.name+": "+path, ": ")
}

// decode reads data over the struct that to points to.
func (s source) decode(data []byte, to any) error {
	var doc, second nodes.Node
	dec := nodes.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(&doc)
	if err == nil {
		if err = dec.Decode(&second); err == nil {
			return fmt.Errorf("%s:%d: a second document begins here: put all keys into one", s.name, second.Line)
		}
	}
	if !errors.Is(err, io.EOF) {
		return s.explain(err)
	}
	for _, root := range doc.Content {
		if err := s.check(root, reflect.TypeOf(to).Elem(), ""); err != nil {
			return err
		}
	}
	return s.explain(yaml.UnmarshalStrict(data, to))
}

// check notes the line of every key in n, and reports what UnmarshalStrict lets
// pass: a key in another case, a key without a value. Unknown keys are found
// here too, since UnmarshalStrict does not say where they are.
func (s source) check(n *nodes.Node, t reflect.Type, path string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	names, types := keys(t)
	switch {
	case n.Kind == nodes.AliasNode:
		return s.check(n.Alias, t, path)
	case n.Kind == nodes.SequenceNode && t.Kind() == reflect.Slice:
		for i, element := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			s.lines[at] = element.Line
			if err := s.check(element, t.Elem(), at); err != nil {
				return err
			}
			if err := s.checkTypes(element, t.Elem(), at); err != nil {
				return err
			}
		}
	case n.Kind == nodes.MappingNode && len(names) > 0:
		for pair := range slices.Chunk(n.Content, 2) {
			at := strings.TrimPrefix(path+"."+pair[0].Value, ".")
			i := slices.Index(names, pair[0].Value)
			if i < 0 {
				return fmt.Errorf("%s:%d: unknown key %q: %s", s.name, pair[0].Line, at, suggest(pair[0].Value, names))
			}
			s.lines[at] = pair[0].Line
			if err := s.check(pair[1], types[i], at); err != nil {
				return err
			}
		}
	case n.ShortTag() == "!!null" && len(names) == 0 && !sections(t):
		return fmt.Errorf("%s: there is no value: write one, or remove the key for the default", s.at(path))
	}
	return nil
}

// checkTypes decodes one element of a list by itself, since the decoder's errors
// do not tell which element of a list is wrong. What fails for another reason,
// such as an alias of something outside, is left to the decoder of the whole.
//
// A text in a list is a name or a pattern, and YAML must not make another of it:
// 007 would be 7, and no would be false.
func (s source) checkTypes(n *nodes.Node, t reflect.Type, path string) error {
	for n.Kind == nodes.AliasNode {
		n = n.Alias
	}
	if t.Kind() == reflect.String && n.Kind == nodes.ScalarNode && n.Style == 0 {
		var value any
		if err := yaml.Unmarshal([]byte(n.Value), &value); err == nil && value != n.Value {
			return fmt.Errorf("%s: %s is no text in YAML: put it in quotes", s.at(path), n.Value)
		}
	}
	data, err := nodes.Marshal(n)
	if err != nil {
		return nil
	}
	err = yaml.UnmarshalStrict(data, reflect.New(t).Interface())
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		wrong.Field = strings.TrimSuffix(path+"."+wrong.Field, ".")
		return s.explain(wrong)
	}
	return nil
}

// sections tells a list of sections. Like a section it may have lost all of its
// content to comments; a list of values that has none was meant to have some.
func sections(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct
}

// keys are the names and the types of t's fields; none when t is no section.
func keys(t reflect.Type) (names []string, types []reflect.Type) {
	if t.Kind() != reflect.Struct {
		return nil, nil
	}
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names, types = append(names, name), append(types, f.Type)
		}
	}
	return names, types
}

var (
	yamlLine = regexp.MustCompile(`line (\d+): (.*)`)
	wanted   = map[reflect.Kind]string{
		reflect.Bool:   "true or false",
		reflect.Int:    "a whole number without quotes, such as 5",
		reflect.String: "text",
		reflect.Struct: "keys and values",
		reflect.Slice:  "a list",
	}
)

// explain puts the libraries' errors into our form.
func (s source) explain(err error) error {
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Type == reflect.TypeFor[Size]() || wrong.Type == reflect.TypeFor[Duration]() {
			return fmt.Errorf("%s: %s", s.at(wrong.Field), wrong.Value) // see unmarshalJSON
		}
		return fmt.Errorf("%s: must be %s: got %s", s.at(wrong.Field), cmp.Or(wanted[wrong.Type.Kind()], wrong.Type.String()), wrong.Value)
	}
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Errorf("%s:%s: yaml: %s", s.name, m[1], m[2])
	}
	return fmt.Errorf("%s: %w", s.name, err)
}

// suggest names the keys that are spelt nearly as name is, or else all. It has
// cobra compare them as it does with a mistyped subcommand.
func suggest(name string, known []string) string {
	speller := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		speller.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	if near := speller.SuggestionsFor(name); len(near) > 0 {
		return fmt.Sprintf("did you mean %s?", quoted(near))
	}
	return "the keys here are " + strings.Join(known, ", ")
}
