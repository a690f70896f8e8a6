package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/setting"
)

// Load reads the file at path, see Parse.
func Load(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, fmt.Errorf("read configuration: %w: specify a readable file, or none for the defaults", err)
	}
	return Parse(path, data)
}

// Parse reads YAML over the defaults. An empty document gives the defaults. The
// error is "name:line: key: what to do", one a line.
func Parse(name string, data []byte) (Config, error) {
	root, err := parseYAML(name, data)
	if err != nil {
		return Config{}, err
	}
	c, f := Default(), file{name: name, lines: make(map[string]int)}
	f.named = f.at
	f.section(root, "", c.keys())
	return f.result(c)
}

// problems are the errors of a configuration.
type problems struct {
	named func(name string) string // a key as the operator knows it
	errs  []error
}

func (p *problems) add(name string, err error) {
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("%s: %w", p.named(name), err))
	}
}

// result returns c if it is valid. Values are compared with each other only when
// each is valid by itself.
func (p *problems) result(c Config) (Config, error) {
	if len(p.errs) == 0 {
		c.check(p.add)
	}
	if len(p.errs) > 0 {
		return Config{}, errors.Join(p.errs...)
	}
	return c, nil
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// parseYAML returns the root of the only document.
func parseYAML(name string, data []byte) (*yaml.Node, error) {
	var doc, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	err := decoder.Decode(&doc)
	if err == nil {
		if err = decoder.Decode(&second); err == nil {
			return nil, fmt.Errorf("%s:%d: a second document begins here: put all keys into one", name, second.Line)
		}
	}
	if !errors.Is(err, io.EOF) {
		if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
			return nil, fmt.Errorf("%s:%s: yaml: %s", name, m[1], m[2])
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Content) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	}
	return doc.Content[0], nil
}

// file is a file that is read, and the lines of its keys.
type file struct {
	problems
	name  string
	lines map[string]int // by path: compression.codec, or overrides[0].maxSize
}

// at is "name:line: path". A path that is not in the file has the line of the
// nearest key above it.
func (f *file) at(path string) string {
	for known := path; known != ""; known = known[:max(0, strings.LastIndexAny(known, ".["))] {
		if line, ok := f.lines[known]; ok {
			return fmt.Sprintf("%s:%d: %s", f.name, line, path)
		}
	}
	return strings.TrimSuffix(f.name+": "+path, ": ")
}

func target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.ShortTag() == "!!null" }

// section reads the keys of a mapping. One without content may have lost it to
// comments.
func (f *file) section(n *yaml.Node, path string, keys []key) {
	n = target(n)
	if n.Kind != yaml.MappingNode {
		if !isNull(n) {
			f.add(path, unexpected("keys and values", n))
		}
		return
	}
	for pair := range slices.Chunk(n.Content, 2) {
		name := target(pair[0]).Value
		at := strings.TrimPrefix(path+"."+name, ".")
		sub, first := below(keys, name), f.lines[at]
		f.lines[at] = pair[0].Line
		switch {
		case len(sub) == 0:
			f.add(at, errors.New("unknown key: "+suggest(name, heads(keys))))
		case first > 0:
			f.add(at, fmt.Errorf("duplicate key, first on line %d", first))
		case sub[0].name == "":
			f.value(pair[1], at, sub[0].value)
		default:
			f.section(pair[1], at, sub)
		}
	}
}

// heads are the distinct first parts of names.
func heads(keys []key) (names []string) {
	for _, k := range keys {
		if head, _, _ := strings.Cut(k.name, "."); !slices.Contains(names, head) {
			names = append(names, head)
		}
	}
	return names
}

// below returns the keys whose names begin with head, without it.
func below(keys []key, head string) (sub []key) {
	for _, k := range keys {
		if first, rest, _ := strings.Cut(k.name, "."); first == head {
			k.name = rest
			sub = append(sub, k)
		}
	}
	return sub
}

// value reads the value of one key. A list of sections may have lost its content to
// comments.
func (f *file) value(n *yaml.Node, path string, to any) {
	n = target(n)
	switch to := to.(type) {
	case setting.Value:
		f.add(path, scalar(n, to))
	case *[]string:
		*to = []string{}
		f.elements(n, path, func(n *yaml.Node, at string) {
			var text string
			f.value(n, at, setting.Text(&text, policy.CheckPattern))
			*to = append(*to, text)
		})
		if n.Kind == yaml.SequenceNode && len(*to) == 0 {
			f.add(path, errors.New("an empty list matches nothing: add a pattern, or remove the key to match all"))
		}
	case *[]policy.Override:
		if isNull(n) {
			return
		}
		f.elements(n, path, func(n *yaml.Node, at string) {
			o := policy.Override{Patch: policy.Patch{}}
			f.section(n, at, overrideKeys(&o))
			*to = append(*to, o)
		})
	}
}

func (f *file) elements(n *yaml.Node, path string, read func(n *yaml.Node, at string)) {
	if n.Kind != yaml.SequenceNode {
		f.add(path, unexpected("a list", n))
		return
	}
	for i, element := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		f.lines[at] = element.Line
		read(element, at)
	}
}

// scalar reads the text of n literally, except that numbers may be in any form that
// YAML has for them.
func scalar(n *yaml.Node, v setting.Value) error {
	text, tag := n.Value, n.ShortTag()
	switch want := wanted[v.Type()]; {
	case n.Kind != yaml.ScalarNode || isNull(n):
		return unexpected(cmp.Or(want.words, "a single value"), n)
	case want.tag != "" && want.tag != tag:
		return unexpected(want.words, n)
	}
	if i, err := strconv.ParseInt(text, 0, 64); err == nil && tag == "!!int" {
		text = strconv.FormatInt(i, 10)
	}
	return v.Set(text)
}

// wanted are the tags that the types require.
var wanted = map[string]struct{ tag, words string }{
	"int":    {"!!int", "a whole number without quotes, such as 5"},
	"bool":   {"!!bool", "true or false without quotes"},
	"string": {"!!str", "text, in quotes if YAML takes it for something else"},
}

// unexpected is the error for n where want must be.
func unexpected(want string, n *yaml.Node) error {
	switch {
	case n.Kind == yaml.MappingNode:
		return fmt.Errorf("must be %s, got keys and values", want)
	case n.Kind == yaml.SequenceNode:
		return fmt.Errorf("must be %s, got a list", want)
	case isNull(n):
		return errors.New("there is no value: add one, or remove the key for the default")
	}
	return fmt.Errorf("must be %s, got %q", want, n.Value)
}

// suggest names the keys that are spelled nearly as name is, or else all. It has
// cobra compare them as it does with a mistyped subcommand.
func suggest(name string, known []string) string {
	speller := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		speller.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	if near := speller.SuggestionsFor(name); len(near) > 0 {
		return fmt.Sprintf("did you mean %s?", strings.Join(near, " or "))
	}
	return "must be one of " + strings.Join(known, ", ")
}

// Marshal writes c as YAML: every key, in the order of the table.
func Marshal(c Config) ([]byte, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(encode(c.keys())), encoder.Close()); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return out.Bytes(), nil
}

func encode(keys []key) *yaml.Node {
	section := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range heads(keys) {
		sub, n := below(keys, name), &yaml.Node{}
		if sub[0].name != "" {
			n = encode(sub)
		} else {
			_ = n.Encode(encodable(sub[0].value)) // cannot fail for text and nodes
		}
		section.Content = append(section.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, n)
	}
	return section
}

// encodable is a value as the encoder takes it.
func encodable(value any) any {
	switch v := value.(type) {
	case setting.Value:
		if t := v.Type(); t == "int" || t == "bool" {
			return &yaml.Node{Kind: yaml.ScalarNode, Value: v.String()}
		}
		return v.String()
	case *[]policy.Override:
		list := make([]*yaml.Node, len(*v))
		for i, o := range *v {
			list[i] = encode(slices.DeleteFunc(overrideKeys(&o), isEmpty))
		}
		return list
	}
	return value
}

// isEmpty reports whether an override does not have k.
func isEmpty(k key) bool {
	v, ok := k.value.(setting.Value)
	list, _ := k.value.(*[]string)
	return ok && v.String() == "" || !ok && *list == nil
}
