package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	nodes "go.yaml.in/yaml/v3"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/display"
)

// Formats are the formats of Write.
var Formats = []string{"table", "wide", "json", "yaml"}

// Detailed reports whether a format shows what only a detailed Status has.
func Detailed(format string) bool { return format != "table" }

// Write writes s in one of the Formats. Ages are as of now.
func Write(w io.Writer, s api.Status, format string, now time.Time) error {
	switch format {
	case "table", "wide":
		return writeTable(w, s, format == "wide", now)
	case "json":
		doc, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return fmt.Errorf("write status: %w", err)
		}
		_, err = w.Write(append(escapeJSON(doc), '\n'))
		return err
	case "yaml":
		return writeYAML(w, s)
	}
	return fmt.Errorf("invalid output format %q: must be one of %s", format, strings.Join(Formats, ", "))
}

// writeYAML reads the JSON as nodes, so that keys stay in their order. Text that
// is not printable is escaped in place: unquoted YAML has no escapes.
func writeYAML(w io.Writer, s api.Status) error {
	doc, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	var root nodes.Node
	// Escaped, for YAML must not have what JSON may.
	if err := nodes.Unmarshal(escapeStrings(doc), &root); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	restyle(&root)
	var out bytes.Buffer
	enc := nodes.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&root), enc.Close()); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// restyle removes JSON's braces and quotes from n, and escapes its text.
func restyle(n *nodes.Node) {
	n.Style = 0
	if n.Kind == nodes.ScalarNode {
		n.Value = display.Escape(n.Value)
	}
	for _, child := range n.Content {
		restyle(child)
	}
}

// escapeJSON writes as \u what is not printable in a JSON document: its encoder
// leaves DEL, the C1 controls and direction marks unescaped. All of these are within
// strings.
func escapeJSON(doc []byte) []byte {
	return replaceUnprintable(doc, func(b *strings.Builder, r rune) {
		if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		} else {
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// escapeStrings escapes as Escape does, so that the parsed document contains the
// backslashes.
func escapeStrings(doc []byte) []byte {
	return replaceUnprintable(doc, func(b *strings.Builder, r rune) {
		b.WriteString(`\`)
		b.WriteString(display.Escape(string(r)))
	})
}

func replaceUnprintable(doc []byte, with func(*strings.Builder, rune)) []byte {
	var b strings.Builder
	b.Grow(len(doc))
	for _, r := range string(doc) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			with(&b, r)
		}
	}
	return []byte(b.String())
}
