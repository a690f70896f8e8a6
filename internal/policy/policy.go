package policy

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/logwatch/logwatch/internal/config"
)

// Subject is a container, as the runtime describes it and its pod.
type Subject struct {
	Namespace, Pod, Container string
	// Labels and Annotations are the pod's, which its sandbox has too.
	Labels, Annotations map[string]string
}

// Effective is what holds for one container. Its sizes mean what they mean to
// the watcher and the rotator.
type Effective struct {
	MaxSize      int64         // bytes; 0: never rotated, and Rotate is false
	MaxTotalSize int64         // bytes; 0: no limit
	MaxFiles     int           // the live log counted; at least 2
	MaxAge       time.Duration // 0: no limit
	MinInterval  time.Duration
	Grace        time.Duration
	Codec        string // config.CodecGzip, CodecZstd or CodecNone
	Level        int    // of gzip, 1 to 9
	Rotate       bool
	// Sources says where each field comes from, by the names that Fields has:
	// "default", "flag/file", "profile vector", "override 2" (the first is 1),
	// "annotation logwatch/max-size.app", "maxSize × maxFiles"; what was cut has
	// " (cut to the ceiling 100Mi)" behind it.
	Sources map[string]string
	// Rejects are the annotations that do not hold as they are.
	Rejected []Reject
}

// Reject is an annotation that was ignored, or cut to its ceiling.
type Reject struct {
	Annotation string
	Value      string // quoted, and shortened
	Reason     string // what to do, or what holds instead
	Cut        bool   // it holds as far as its ceiling
}

// Names of the fields: those of an override's keys.
const (
	rotate   = "rotate"
	maxSize  = "maxSize"
	maxFiles = "maxFiles"
	maxTotal = "maxTotalSize"
	maxAge   = "maxAge"
	interval = "minRotationInterval"
	grace    = "rotatedLogGracePeriod"
	codec    = "compression.codec"
	level    = "compression.level"
)

// Sources that are not the name of something.
const (
	fromDefault = "default"
	fromConfig  = "flag/file"
	fromProduct = "maxSize × maxFiles"
)

// Field is one line of a table of an Effective.
type Field struct{ Name, Value, Source string }

// Fields are e for people, in the order of the configuration.
func (e Effective) Fields() []Field {
	list := []Field{
		{rotate, strconv.FormatBool(e.Rotate), ""},
		{maxSize, showSize(e.MaxSize), ""},
		{maxFiles, strconv.Itoa(e.MaxFiles), ""},
		{maxTotal, showSize(e.MaxTotalSize), ""},
		{maxAge, showAge(e.MaxAge), ""},
		{interval, e.MinInterval.String(), ""},
		{grace, e.Grace.String(), ""},
		{codec, e.Codec, ""},
		{level, strconv.Itoa(e.Level), ""},
	}
	for i := range list {
		list[i].Source = e.Sources[list[i].Name]
	}
	return list
}

func showSize(bytes int64) string {
	if bytes == 0 || bytes == math.MaxInt64 {
		return "no limit"
	}
	return config.SizeOf(bytes).String()
}

func showAge(d time.Duration) string {
	if d == 0 || d == math.MaxInt64 {
		return "no limit"
	}
	return d.String()
}

// Resolver finds what holds for a container.
type Resolver struct {
	overrides   []override
	fallback    base
	annotations config.Annotations
}

// override is one of the configuration's, ready to be compared.
type override struct {
	match  config.Match
	labels labels.Selector
	base   base
}

// base is what holds without annotations.
type base struct {
	effective Effective
	total     bool // whether the configuration has a total size, not a product
}

// New is the Resolver of a configuration; the error is that of its validation.
func New(cfg config.Config) (*Resolver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	sources := sourcesOf(cfg)
	r := &Resolver{annotations: cfg.Annotations, fallback: newBase(cfg, sources)}
	for i, o := range cfg.Overrides {
		selector, err := config.ParseSelector(o.Match.Labels)
		if err != nil {
			return nil, fmt.Errorf("policy: override %d: %w", i+1, err)
		}
		own := maps.Clone(sources)
		for field := range setBy(o, cfg) {
			own[field] = fmt.Sprintf("override %d", i+1)
		}
		r.overrides = append(r.overrides, override{o.Match, selector, newBase(cfg.With(o), own)})
	}
	return r, nil
}

// newBase is c without its overrides. sources loses its total if c has none.
func newBase(c config.Config, sources map[string]string) base {
	e := Effective{
		MaxSize:      max(0, c.MaxSizeBytes()),
		MaxTotalSize: max(0, c.MaxTotalSizeBytes()),
		MaxFiles:     c.ContainerLogMaxFiles,
		MaxAge:       c.ContainerLogMaxAge.Duration,
		MinInterval:  c.MinRotationInterval.Duration,
		Grace:        c.RotatedLogGracePeriod.Duration,
		Codec:        c.Compression.Codec,
		Level:        c.Compression.Level,
		Rotate:       c.MaxSizeBytes() > 0,
		Sources:      sources,
	}
	total := c.ContainerLogMaxTotalSize.IsSet()
	switch {
	case total:
	case e.Rotate:
		sources[maxTotal] = fromProduct
	default:
		sources[maxTotal] = sources[rotate] // no size to multiply
	}
	return base{e, total}
}

// sourcesOf compares c with the defaults. A value that was written and is the
// default is a default, but for the two that would differ with the profile.
func sourcesOf(c config.Config) map[string]string {
	d := config.Default()
	from := func(same bool) string {
		if same {
			return fromDefault
		}
		return fromConfig
	}
	timing := func(own config.Duration) string {
		switch {
		case own.IsSet():
			return fromConfig
		case c.CollectorProfile != "":
			return "profile " + c.CollectorProfile
		}
		return fromDefault
	}
	size := from(c.MaxSizeBytes() == d.MaxSizeBytes())
	return map[string]string{
		rotate:   size,
		maxSize:  size,
		maxFiles: from(c.ContainerLogMaxFiles == d.ContainerLogMaxFiles),
		maxTotal: fromConfig, // or newBase replaces it
		maxAge:   from(c.ContainerLogMaxAge.Duration == d.ContainerLogMaxAge.Duration),
		interval: timing(c.MinRotationInterval),
		grace:    timing(c.RotatedLogGracePeriod),
		codec:    from(c.Compression.Codec == d.Compression.Codec),
		level:    from(c.Compression.Level == d.Compression.Level),
	}
}

// setBy are the fields that o decides, in c.
func setBy(o config.Override, c config.Config) map[string]bool {
	fields := make(map[string]bool)
	for field, set := range map[string]bool{
		rotate:   o.Rotate != nil || o.MaxSize.IsSet() && c.MaxSizeBytes() < 0,
		maxSize:  o.MaxSize.IsSet() || o.Rotate != nil && !*o.Rotate,
		maxFiles: o.MaxFiles != nil,
		maxTotal: o.MaxTotalSize.IsSet(),
		maxAge:   o.MaxAge != nil,
		interval: o.MinRotationInterval != nil,
		grace:    o.RotatedLogGracePeriod != nil,
		codec:    o.Compression.Codec != nil,
		level:    o.Compression.Level != nil,
	} {
		if set {
			fields[field] = true
		}
	}
	return fields
}

// For is what holds for s. The caller may keep and change it.
func (r *Resolver) For(s Subject) Effective {
	b := r.fallback
	for _, o := range r.overrides {
		if o.matches(s) {
			b = o.base
			break
		}
	}
	e := b.effective
	e.Sources = maps.Clone(e.Sources)
	if r.annotations.Enabled {
		annotate(&e, b, r.annotations.Ceilings, s)
	}
	return e
}

func (o override) matches(s Subject) bool {
	m := o.match
	return anyGlob(m.Namespaces, s.Namespace) && anyGlob(m.Pods, s.Pod) && anyGlob(m.Containers, s.Container) &&
		o.labels.Matches(labels.Set(s.Labels))
}

// anyGlob says whether one of globs fits name; none at all fits any.
func anyGlob(globs []string, name string) bool {
	for _, glob := range globs {
		if ok, err := path.Match(glob, name); ok && err == nil {
			return true
		}
	}
	return len(globs) == 0
}

// product is size × files, as far as that goes.
func product(size int64, files int) int64 {
	if n := int64(files); size <= math.MaxInt64/max(1, n) {
		return size * n
	}
	return math.MaxInt64
}

// orLongest makes 0, no limit, the greatest value, so that limits compare.
func orLongest[T cmp.Ordered](v, longest T) T {
	var zero T
	if v == zero {
		return longest
	}
	return v
}
