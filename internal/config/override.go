package config

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// Override is what holds for some containers instead of the keys that are for
// all. What is nil or unset is as for all. An Override is not changed once read.
type Override struct {
	Match Match `json:"match"`
	// MaxSize is for containerLogMaxSize, and so on.
	MaxSize               Size                `json:"maxSize,omitzero"`
	MaxFiles              *int                `json:"maxFiles,omitempty"`
	MaxTotalSize          Size                `json:"maxTotalSize,omitzero"`
	MaxAge                *Duration           `json:"maxAge,omitempty"`
	MinRotationInterval   *Duration           `json:"minRotationInterval,omitempty"`
	RotatedLogGracePeriod *Duration           `json:"rotatedLogGracePeriod,omitempty"`
	Compression           OverrideCompression `json:"compression,omitzero"`
	// Rotate false is what a negative containerLogMaxSize is.
	Rotate *bool `json:"rotate,omitempty"`
}

// OverrideCompression is how an Override's rotated logs are compressed.
type OverrideCompression struct {
	Codec *string `json:"codec,omitempty"`
	Level *int    `json:"level,omitempty"`
}

// Match says which containers an Override is for: those that fit each of the
// lists that are there, by any glob in it, and the labels.
type Match struct {
	Namespaces []string `json:"namespaces,omitempty"` // globs as in path.Match
	Pods       []string `json:"pods,omitempty"`
	Containers []string `json:"containers,omitempty"`
	Labels     string   `json:"labels,omitempty"` // a selector in Kubernetes' syntax, of the pod's labels
}

// off is how "no rotation" is written as a size.
var off = mustSize("-1")

// With is c as it is for the containers that o is for, without overrides. A size
// that changes changes the total along with it, unless o has a total as well.
func (c Config) With(o Override) Config {
	c.Overrides = nil
	if o.MaxSize.IsSet() {
		c.ContainerLogMaxSize, c.ContainerLogMaxTotalSize = o.MaxSize, Size{}
	}
	if o.MaxTotalSize.IsSet() {
		c.ContainerLogMaxTotalSize = o.MaxTotalSize
	}
	if o.Rotate != nil && !*o.Rotate {
		c.ContainerLogMaxSize = off
	}
	put(&c.ContainerLogMaxFiles, o.MaxFiles)
	put(&c.ContainerLogMaxAge, o.MaxAge)
	put(&c.MinRotationInterval, o.MinRotationInterval)
	put(&c.RotatedLogGracePeriod, o.RotatedLogGracePeriod)
	put(&c.Compression.Codec, o.Compression.Codec)
	put(&c.Compression.Level, o.Compression.Level)
	return c
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// shortKeys are an override's names for the keys that are for all.
var shortKeys = map[string]string{
	"containerLogMaxSize":      "maxSize",
	"containerLogMaxFiles":     "maxFiles",
	"containerLogMaxTotalSize": "maxTotalSize",
	"containerLogMaxAge":       "maxAge",
}

// validateOverride holds what o makes of c against the rules for all, and o's
// own against each other. at is o's path.
func (p *problems) validateOverride(c Config, o Override, at string) {
	within := problems{named: func(key string) string {
		if short, ok := shortKeys[key]; ok {
			key = short
		}
		return p.named(at + "." + key)
	}}
	within.validateMatch(o.Match)
	if o.Rotate != nil && !*o.Rotate {
		if o.MaxSize.IsSet() || o.MinRotationInterval != nil {
			within.add("rotate", "false leaves nothing for maxSize and minRotationInterval to do: remove them, or rotate")
		}
	}
	if o.MaxSize.IsSet() && o.MaxSize.Bytes() <= 0 {
		within.add("maxSize", "%v is too small: write a size, or rotate: false for no rotation", o.MaxSize)
		o.MaxSize = Size{}
	}
	if o.Rotate != nil && *o.Rotate && !o.MaxSize.IsSet() && c.MaxSizeBytes() < 0 {
		within.add("rotate", "true needs a maxSize here, since containerLogMaxSize is %v", c.ContainerLogMaxSize)
	}
	within.notEmpty("maxAge", o.MaxAge)
	within.notEmpty("minRotationInterval", o.MinRotationInterval)
	within.notEmpty("rotatedLogGracePeriod", o.RotatedLogGracePeriod)
	// What is wrong without o too has been told of already.
	known := problems{named: func(key string) string { return key }}
	known.validatePolicy(c)
	if len(known.errs) == 0 {
		within.validatePolicy(c.With(o))
	}
	p.errs = append(p.errs, within.errs...)
}

func (p *problems) validateMatch(m Match) {
	if len(m.Namespaces)+len(m.Pods)+len(m.Containers) == 0 && strings.TrimSpace(m.Labels) == "" {
		p.add("match", "is empty: name namespaces, pods, containers or labels; what is for all containers belongs above the overrides")
	}
	for _, list := range []struct {
		key   string
		globs []string
	}{{"namespaces", m.Namespaces}, {"pods", m.Pods}, {"containers", m.Containers}} {
		if list.globs != nil && len(list.globs) == 0 {
			p.add("match."+list.key, "is an empty list, which nothing matches: write a glob, or remove the key for any")
		}
		for i, glob := range list.globs {
			if err := checkGlob(glob); err != nil {
				p.add(fmt.Sprintf("match.%s[%d]", list.key, i), "%v", err)
			}
		}
	}
	if _, err := ParseSelector(m.Labels); err != nil {
		p.add("match.labels", "%v", err)
	}
}

func checkGlob(glob string) error {
	switch _, err := path.Match(glob, ""); {
	case err != nil:
		return fmt.Errorf("%q is no pattern: a [ needs its ], and a \\ something behind it", glob)
	case glob == "" || strings.ContainsAny(glob, "/ \t\n"):
		return fmt.Errorf("%q matches no name: names have no / and no space, and are not empty", glob)
	}
	return nil
}

// ParseSelector reads a label selector in Kubernetes' syntax. The error tells
// the column at which the requirement begins that is wrong.
func ParseSelector(s string) (labels.Selector, error) {
	if strings.ContainsRune(s, 0) {
		return nil, errors.New("a label selector has no zero byte") // the parser would take it for the end
	}
	selector, err := labels.Parse(s)
	if err == nil {
		return selector, nil
	}
	column, why := 1, err
	start, depth := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] == '(':
			depth++
		case i < len(s) && s[i] == ')':
			depth--
		case i == len(s) || s[i] == ',' && depth <= 0:
			text := s[start:i]
			column = start + len(text) - len(strings.TrimLeft(text, " \t\r\n")) + 1
			if strings.TrimSpace(text) == "" {
				return nil, fmt.Errorf("%q is no label selector: column %d: nothing stands beside the comma", s, column)
			}
			if _, err := labels.Parse(text); err != nil {
				why = err
				i = len(s)
			}
			start = i + 1
		}
	}
	// The parser knows of paths in an object, which there are none of here.
	text := strings.NewReplacer("unable to parse requirement: ", "", "<nil>: ", "").Replace(why.Error())
	return nil, fmt.Errorf("%q is no label selector: column %d: %s", s, column, text)
}
