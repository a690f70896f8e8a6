package policy

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Match selects containers: those that match the labels and every list that is
// not nil, by any pattern in it.
type Match struct {
	Namespaces, Pods, Containers []string // patterns as in path.Match
	Labels                       string   // a Kubernetes label selector for the pod's labels
}

func (m *Match) matches(s Subject, selector labels.Selector) bool {
	return anyMatch(m.Namespaces, s.Namespace) && anyMatch(m.Pods, s.Pod) && anyMatch(m.Containers, s.Container) &&
		selector.Matches(labels.Set(s.Labels))
}

// anyMatch reports whether a pattern matches name; no patterns match any.
func anyMatch(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return len(patterns) == 0
}

func (m Match) validate(report func(key string, err error)) {
	if len(m.Namespaces)+len(m.Pods)+len(m.Containers) == 0 && strings.TrimSpace(m.Labels) == "" {
		report("match", errors.New("must not be empty: set namespaces, pods, containers or labels; the keys above the overrides are for all containers"))
	}
}

// CheckPattern reports why a pattern of a Match is invalid.
func CheckPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("invalid pattern %q: close each [ with a ], and put a character after each \\", pattern)
	}
	if pattern == "" || strings.ContainsAny(pattern, "/ \t\n") {
		return fmt.Errorf("invalid pattern %q: names are not empty and contain no / and no space", pattern)
	}
	return nil
}

// CheckSelector reports why the labels of a Match are invalid.
func CheckSelector(s string) error {
	_, err := parseSelector(s)
	return err
}

// parseSelector reads a label selector. The error has the column of the
// requirement that is invalid, which the parser does not report.
func parseSelector(s string) (labels.Selector, error) {
	if strings.ContainsRune(s, 0) { // the parser would take it for the end
		return nil, errors.New("invalid label selector: contains a zero byte")
	}
	selector, whole := labels.Parse(s)
	if whole == nil {
		return selector, nil
	}
	column := 1
	for _, requirement := range requirements(s) {
		text := strings.TrimLeft(requirement, " \t\r\n")
		_, err := labels.Parse(text)
		if text == "" {
			err = errors.New("empty requirement beside a comma")
		}
		if err != nil {
			whole, column = err, column+len(requirement)-len(text)
			break
		}
		column += len(requirement) + 1
	}
	// The parser has a path within an object, of which there is none here.
	reason := strings.NewReplacer("unable to parse requirement: ", "", "<nil>: ", "").Replace(whole.Error())
	return nil, fmt.Errorf("invalid label selector %q: column %d: %s", s, column, reason)
}

// requirements splits a selector at the commas that are not in parentheses.
func requirements(s string) (list []string) {
	start, depth := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth <= 0:
			list, start = append(list, s[start:i]), i+1
		}
	}
	return append(list, s[start:])
}
