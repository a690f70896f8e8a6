package policy

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/podlogs"
	"github.com/logwatch/logwatch/internal/setting"
)

// Policy is what is kept of one container's logs.
type Policy struct {
	Rotate       bool          // false: MaxSize is 0
	MaxSize      int64         // bytes of the live log
	MaxFiles     int           // the live log included; at least 2
	MaxTotalSize int64         // bytes of all files; 0: no limit
	MaxAge       time.Duration // of a line; 0: no limit
	MinInterval  time.Duration // between two rotations of a log
	Grace        time.Duration // before a rotated log is compressed or removed
	Codec        string        // one of podlogs.CodecNames
	Level        int           // of the compression, 1 (fastest) to 9 (smallest)
}

// Default returns the policy of an empty configuration, where a MaxTotalSize of 0
// stands for MaxSize × MaxFiles.
func Default() Policy {
	return Policy{
		Rotate:      true,
		MaxSize:     10 << 20,    // kubelet's default
		MaxFiles:    5,           // kubelet's default
		MaxAge:      0,           // kubelet has no such limit
		MinInterval: time.Second, // most log shippers check about once a second
		Grace:       0,           // the newest rotated log stays uncompressed in any case
		Codec:       podlogs.Gzip.Name,
		Level:       podlogs.Gzip.DefaultLevel,
	}
}

// Field is one field of a Policy: a row of the table that keys, flags, overrides,
// annotations and ceilings are made from.
type Field struct {
	Name       string // in overrides, ceilings and Effective.Sources
	Key        string // in the configuration; "": none
	Usage      string // of Key's flag
	Optional   bool   // Key may be empty: the value then depends on other keys
	Annotation string // without the prefix; "": none
	Ceiling    string // usage of the ceiling's flag; "": no ceiling
	zero       string // what zero is displayed as; "": as any other value
	// value binds the field of a policy.
	value func(*Policy) setting.Variable
	// rank orders the field's values, for ceilings.
	rank func(Policy) int64
	// allow reports why a pod must not ask for p, where base is the policy without
	// annotations; nil: it may.
	allow func(p, base Policy) error
}

// Names of the fields that have rules of their own.
const (
	rotate   = "rotate"
	maxSize  = "maxSize"
	maxFiles = "maxFiles"
	maxTotal = "maxTotalSize"
	maxAge   = "maxAge"
	interval = "minRotationInterval"
	grace    = "rotatedLogGracePeriod"
)

const (
	noLimit = "no limit"
	unset   = " (default: the container's value without annotations)"
)

// Fields is the table, in the order of the configuration.
var Fields = []*Field{
	{
		Name:  rotate,
		value: func(p *Policy) setting.Variable { return setting.Bool(&p.Rotate) },
	},
	{
		Name: maxSize, Key: "containerLogMaxSize", Annotation: "max-size", zero: noLimit,
		Usage:   "rotate a live log at this size; negative: no rotation",
		Ceiling: "largest maximum size of a live log for annotations" + unset,
		value:   func(p *Policy) setting.Variable { return setting.Size(&p.MaxSize) },
		rank:    func(p Policy) int64 { return p.MaxSize },
		allow:   allowSize,
	},
	{
		Name: maxFiles, Key: "containerLogMaxFiles", Annotation: "max-files",
		Usage:   "maximum number of files per container, including the live log",
		Ceiling: "largest maximum number of files for annotations; 0: the container's value without annotations",
		value: func(p *Policy) setting.Variable {
			return setting.Int(&p.MaxFiles, 2, math.MaxInt, " (the live log and one rotated log)")
		},
		rank: func(p Policy) int64 { return int64(p.MaxFiles) },
	},
	{
		Name: maxTotal, Key: "containerLogMaxTotalSize", Optional: true, Annotation: "max-total-size", zero: noLimit,
		Usage:   "maximum total size of a container's files (default: maximum size × maximum files)",
		Ceiling: "largest maximum total size for annotations (default: the product of the two above, if either is set)",
		value:   func(p *Policy) setting.Variable { return setting.Size(&p.MaxTotalSize).Optional() },
		rank:    func(p Policy) int64 { return cmp.Or(p.MaxTotalSize, math.MaxInt64) },
	},
	{
		Name: maxAge, Key: "containerLogMaxAge", Annotation: "max-age", zero: noLimit,
		Usage:   "maximum age, such as 14d: older rotated logs are removed, older live logs are rotated; 0s: no limit",
		Ceiling: "largest maximum age for annotations" + unset,
		value:   func(p *Policy) setting.Variable { return setting.Duration(&p.MaxAge, 0) },
		rank:    func(p Policy) int64 { return cmp.Or(int64(p.MaxAge), math.MaxInt64) },
		allow:   func(p, _ Policy) error { return checkAge(p.MaxAge) },
	},
	{
		Name: interval, Key: "minRotationInterval", Optional: true, Annotation: "min-rotation-interval",
		Usage:   "minimum time between two rotations of a log; 0s disables the interval (default: the profile's, or 1s)",
		Ceiling: "longest minimum rotation interval for annotations" + unset,
		value:   func(p *Policy) setting.Variable { return setting.Duration(&p.MinInterval, 0) },
		rank:    func(p Policy) int64 { return int64(p.MinInterval) },
		allow:   func(_, base Policy) error { return allowRotation(base) },
	},
	{
		Name: grace, Key: "rotatedLogGracePeriod", Optional: true, Annotation: "grace-period",
		Usage:   "minimum age at which a rotated log is compressed or removed (default: the profile's, or 0s)",
		Ceiling: "longest grace period for annotations" + unset,
		value:   func(p *Policy) setting.Variable { return setting.Duration(&p.Grace, 0) },
		rank:    func(p Policy) int64 { return int64(p.Grace) },
	},
	{
		Name: "compression.codec", Key: "compression.codec", Annotation: "compression",
		Usage: "codec for rotated logs: one of " + strings.Join(podlogs.CodecNames(false), ", "),
		value: func(p *Policy) setting.Variable {
			return setting.Text(&p.Codec, setting.OneOf(podlogs.CodecNames(false)...))
		},
		allow: allowCodec,
	},
	{
		Name: "compression.level", Key: "compression.level",
		Usage: "compression level, 1 (fastest) to 9 (smallest)",
		value: func(p *Policy) setting.Variable {
			return setting.Int(&p.Level, podlogs.MinLevel, podlogs.MaxLevel, " (1 is the fastest, 9 the smallest)")
		},
	},
}

func fieldOf(name string) *Field {
	return Fields[slices.IndexFunc(Fields, func(f *Field) bool { return f.Name == name })]
}

// set reads a field of p; empty text is invalid.
func (f *Field) set(p *Policy, text string) error {
	if text == "" {
		return errors.New("must not be empty")
	}
	return f.value(p).Set(text)
}

func (f *Field) copy(to, from *Policy) { f.value(to).Assign(f.value(from)) }

// text is the value of a field for people.
func (f *Field) text(p Policy) string {
	if f.zero != "" && f.value(&p).String() == f.value(&Policy{}).String() {
		return f.zero
	}
	return f.value(&p).String()
}

// minSize is the smallest maximum size in bytes that a pod may ask for. A runtime
// writes some 50 MB/s: at this size that is 200 rotations a second, which a node
// can handle, and the millisecond or two that a rotation takes do not double the
// file.
const minSize = 256 << 10

func allowSize(p, base Policy) error {
	if least := min(minSize, base.MaxSize); p.MaxSize < least {
		return fmt.Errorf("must be at least %s", setting.FormatSize(least))
	}
	return allowRotation(base)
}

func allowRotation(base Policy) error {
	if !base.Rotate {
		return errors.New("the configuration disables rotation for this container")
	}
	return nil
}

// allowCodec: a pod does not know which codecs the node's log shipper reads.
func allowCodec(p, _ Policy) error {
	if names := podlogs.CodecNames(true); !slices.Contains(names, p.Codec) {
		return fmt.Errorf("must be one of %s", strings.Join(names, ", "))
	}
	return nil
}

// minMaxAge: an age is checked by the sweep, and a live log is rotated for it. A
// shorter one could not be kept, and would rotate logs that are nearly empty.
const minMaxAge = time.Minute

func checkAge(d time.Duration) error {
	if d != 0 && d < minMaxAge {
		return fmt.Errorf("must be at least %v, or 0s for no limit, got %v", minMaxAge, d)
	}
	return nil
}

// check reports the fields that do not fit each other.
func (p Policy) check(report func(name string, err error)) {
	// Room for two rotations would be better for log shippers, but one is enough to
	// keep the total.
	if p.MaxTotalSize > 0 && p.MaxTotalSize < p.MaxSize {
		report(maxTotal, fmt.Errorf("must be at least containerLogMaxSize (%s), got %s",
			setting.FormatSize(p.MaxSize), setting.FormatSize(p.MaxTotalSize)))
	}
	err := checkAge(p.MaxAge)
	if err == nil && p.MaxAge != 0 && p.MaxAge < p.Grace {
		err = fmt.Errorf("must be at least rotatedLogGracePeriod (%v), in which nothing is removed, got %v", p.Grace, p.MaxAge)
	}
	if err != nil {
		report(maxAge, err)
	}
}

func saturatingMul(size int64, files int) int64 {
	if n := int64(files); size <= math.MaxInt64/max(1, n) {
		return size * n
	}
	return math.MaxInt64
}
