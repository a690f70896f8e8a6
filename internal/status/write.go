package status

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	nodes "go.yaml.in/yaml/v3"

	"github.com/logwatch/logwatch/internal/api"
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
	return fmt.Errorf("-o %q: must be one of %s", format, strings.Join(Formats, ", "))
}

// writeYAML reads the JSON as nodes, so that keys stay in their order. Text that
// is not printable is escaped in place: plain YAML has no way to.
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
	plain(&root)
	var out bytes.Buffer
	enc := nodes.NewEncoder(&out)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(&root), enc.Close()); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// plain takes JSON's braces and quotes from n, and escapes what it says.
func plain(n *nodes.Node) {
	n.Style = 0
	if n.Kind == nodes.ScalarNode {
		n.Value = Escape(n.Value)
	}
	for _, child := range n.Content {
		plain(child)
	}
}
