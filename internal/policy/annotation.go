package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/config"
)

const (
	prefix = "logwatch/"

	// leastSize is the smallest maximum size that an annotation gets, in bytes,
	// unless the container has less without. A runtime passes on some 50 MB/s: at
	// this size these are 200 rotations a second, which a node bears, and the
	// millisecond or two that a rotation takes do not double the file.
	leastSize = 256 << 10

	// leastAge is config's least, where an age is no longer one.
	leastAge = time.Minute

	anyCodec = "\xff" // no codec's name is greater: there is no ceiling

	maxValue   = 64 // bytes; every value that is one is shorter
	maxQuote   = 40 // bytes of a value that are shown; enough to recognise it by
	maxRejects = 20 // what one container can have said of it
)

// The annotations, without the prefix.
const (
	annSize        = "max-size"
	annFiles       = "max-files"
	annTotal       = "max-total-size"
	annAge         = "max-age"
	annInterval    = "min-rotation-interval"
	annGrace       = "grace-period"
	annCompression = "compression"
)

var known = []string{annSize, annFiles, annTotal, annAge, annInterval, annGrace, annCompression}

// Specificity of a value.
const (
	ofConfig = iota
	ofPod
	ofContainer
)

// request reads the annotations of one container into e.
type request struct {
	e    *Effective
	base base
	s    Subject
	// got has the annotation that each field is from.
	got map[string]origin
}

// origin is the annotation that a field is from; the zero origin is none.
type origin struct {
	annotation string
	level      int
}

// most is the greatest value that each annotation gets.
type most struct {
	size, total          int64
	files                int
	age, interval, grace time.Duration
}

// mostOf is what the ceilings are for a container that has b without annotations.
func mostOf(c config.Ceilings, b base) most {
	had := b.effective
	m := most{
		size:     max(had.MaxSize, c.MaxSize.Bytes()),
		total:    orLongest(had.MaxTotalSize, math.MaxInt64),
		files:    max(had.MaxFiles, c.MaxFiles),
		age:      orLongest(had.MaxAge, math.MaxInt64),
		interval: max(had.MinInterval, c.MinRotationInterval.Duration),
		grace:    max(had.Grace, c.RotatedLogGracePeriod.Duration),
	}
	switch {
	case c.MaxTotalSize.IsSet():
		m.total = max(m.total, c.MaxTotalSize.Bytes())
	case c.MaxSize.IsSet() || c.MaxFiles > 0:
		m.total = max(m.total, product(m.size, m.files))
	}
	if c.MaxAge.IsSet() {
		m.age = max(m.age, orLongest(c.MaxAge.Duration, math.MaxInt64))
	}
	return m
}

// annotate puts the annotations of s over e, which is b's.
func annotate(e *Effective, b base, c config.Ceilings, s Subject) {
	r := request{e, b, s, make(map[string]origin)}
	m := mostOf(c, b)

	take(r, annSize, maxSize, &e.MaxSize, m.size, r.parseSize, showSize)
	take(r, annFiles, maxFiles, &e.MaxFiles, m.files, parseFiles, strconv.Itoa)
	take(r, annTotal, maxTotal, &e.MaxTotalSize, m.total, parseTotal, showSize)
	r.settleTotal(m)

	take(r, annAge, maxAge, &e.MaxAge, m.age, parseAge, showAge)
	take(r, annInterval, interval, &e.MinInterval, m.interval, r.parseInterval, time.Duration.String)
	take(r, annGrace, grace, &e.Grace, m.grace, parseDuration, time.Duration.String)
	r.settleAge()

	take(r, annCompression, codec, &e.Codec, anyCodec, parseCodec, strconv.Quote)
	r.rejectUnknown()
}

// take reads one annotation, the container's own first, and puts it where to
// points, cut to the most that there is. One that cannot be is rejected.
func take[T cmp.Ordered](r request, name, field string, to *T, most T, parse func(string) (T, error), show func(T) string) {
	for _, o := range []origin{
		{prefix + name + "." + r.s.Container, ofContainer},
		{prefix + name, ofPod},
	} {
		text, ok := r.s.Annotations[o.annotation]
		if !ok {
			continue
		}
		if len(text) > maxValue {
			r.reject(o.annotation, fmt.Sprintf("ignored: %d bytes are too long for a value", len(text)), false)
			continue
		}
		v, err := parse(text)
		if err != nil {
			r.reject(o.annotation, "ignored: "+err.Error(), false)
			continue
		}
		source := "annotation " + o.annotation
		if v > most {
			v = most
			cut := "cut to the ceiling " + show(most)
			r.reject(o.annotation, cut, true)
			source += " (" + cut + ")"
		}
		*to, r.e.Sources[field], r.got[field] = v, source, o
		return
	}
}

func (r request) parseSize(text string) (int64, error) {
	if !r.base.effective.Rotate {
		return 0, errors.New("the administrator has turned rotation off here")
	}
	return parseBytes(text, min(leastSize, r.base.effective.MaxSize))
}

func (r request) parseInterval(text string) (time.Duration, error) {
	if !r.base.effective.Rotate {
		return 0, errors.New("the administrator has turned rotation off here")
	}
	return parseDuration(text)
}

// parseTotal leaves it to settleTotal to compare the total with the size.
func parseTotal(text string) (int64, error) { return parseBytes(text, 1) }

func parseBytes(text string, least int64) (int64, error) {
	size, err := config.ParseSize(text)
	switch {
	case err != nil:
		return 0, reason(err, text)
	case size.Bytes() < least:
		return 0, fmt.Errorf("must be at least %v, written as in 10Mi", config.SizeOf(least))
	}
	return size.Bytes(), nil
}

func parseFiles(text string) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("that number is out of range")
	case err != nil:
		return 0, errors.New("no whole number: write one such as 5")
	case n < 2:
		return 0, errors.New("must be at least 2 (the live log and one rotated log)")
	}
	return n, nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := config.ParseDuration(text)
	switch {
	case err != nil:
		return 0, reason(err, text)
	case !d.IsSet() || d.Duration < 0:
		return 0, errors.New("must be at least 0s")
	}
	return d.Duration, nil
}

// parseAge makes no limit the longest age.
func parseAge(text string) (time.Duration, error) {
	d, err := parseDuration(text)
	if err == nil && d != 0 && d < leastAge {
		err = fmt.Errorf("must be at least %v, or 0s for no limit", leastAge)
	}
	return orLongest(d, math.MaxInt64), err
}

func parseCodec(text string) (string, error) {
	if text != config.CodecGzip && text != config.CodecNone {
		return "", fmt.Errorf("must be %s or %s", config.CodecGzip, config.CodecNone)
	}
	return text, nil
}

// reason is err without the value in front, which the Reject has by itself.
func reason(err error, text string) error {
	return errors.New(strings.TrimPrefix(err.Error(), strconv.Quote(text)+" is "))
}

// settleTotal makes the total fit the size. A size that is more specific than
// the total brings its own; so do size and files where the total was a product.
func (r request) settleTotal(m most) {
	e, had := r.e, r.base.effective
	total, size := r.got[maxTotal], r.got[maxSize]
	if total.level > ofConfig && total.level >= size.level {
		if e.MaxTotalSize >= e.MaxSize {
			return
		}
		r.reject(total.annotation, fmt.Sprintf("ignored: must be at least %s (%s): ask for a smaller %s too", maxSize, showSize(e.MaxSize), prefix+annSize), false)
	}
	e.MaxTotalSize, e.Sources[maxTotal] = had.MaxTotalSize, had.Sources[maxTotal]
	if size.level == ofConfig && (r.base.total || r.got[maxFiles].level == ofConfig) || !e.Rotate {
		return
	}
	e.MaxTotalSize, e.Sources[maxTotal] = product(e.MaxSize, e.MaxFiles), fromProduct
	if e.MaxTotalSize > m.total {
		e.MaxTotalSize = m.total
		e.Sources[maxTotal] += " (cut to the ceiling " + showSize(m.total) + ")"
	}
}

// settleAge makes no limit a 0 again, and age and grace fit each other: back to
// what the configuration has, which does.
func (r request) settleAge() {
	e, had := r.e, r.base.effective
	if e.MaxAge == math.MaxInt64 {
		e.MaxAge = 0
	}
	const short = "ignored: maxAge (%v) would end the grace period (%v)"
	if e.MaxAge != 0 && e.MaxAge < e.Grace && r.got[grace].level > ofConfig {
		r.reject(r.got[grace].annotation, fmt.Sprintf(short, e.MaxAge, e.Grace), false)
		e.Grace, e.Sources[grace] = had.Grace, had.Sources[grace]
	}
	if e.MaxAge != 0 && e.MaxAge < e.Grace {
		r.reject(r.got[maxAge].annotation, fmt.Sprintf(short, e.MaxAge, e.Grace), false)
		e.MaxAge, e.Sources[maxAge] = had.MaxAge, had.Sources[maxAge]
	}
}

// rejectUnknown tells of names that are nearly right, which would otherwise do
// nothing without a word, and bounds how much there is to tell.
func (r request) rejectUnknown() {
	for _, annotation := range slices.Sorted(maps.Keys(r.s.Annotations)) {
		name, ours := strings.CutPrefix(annotation, prefix)
		name, _, _ = strings.Cut(name, ".")
		if ours && !slices.Contains(known, name) {
			r.reject(annotation, "ignored: unknown; there are "+strings.Join(known, ", "), false)
		}
	}
	if more := len(r.e.Rejected) - maxRejects; more > 0 {
		r.e.Rejected = append(r.e.Rejected[:maxRejects-1], Reject{Annotation: prefix + "…", Reason: fmt.Sprintf("and %d more", more+1)})
	}
}

func (r request) reject(annotation, reason string, cut bool) {
	value := r.s.Annotations[annotation]
	name := annotation
	if len(name) > 2*maxValue || strconv.QuoteToASCII(name) != `"`+name+`"` {
		name = quote(name)
	}
	r.e.Rejected = append(r.e.Rejected, Reject{name, quote(value), reason, cut})
}

// quote makes any text safe to be shown, and short.
func quote(text string) string {
	if len(text) <= maxQuote {
		return strconv.QuoteToASCII(text)
	}
	return strconv.QuoteToASCII(text[:maxQuote]) + "…"
}
