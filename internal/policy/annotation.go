package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/logwatch/logwatch/internal/setting"
)

const (
	prefix = "logwatch/"

	maxValue    = 64 // bytes; every valid value is shorter
	maxQuote    = 40 // bytes of a value that are displayed
	maxRejected = 20 // per container
)

// Specificity of a value.
const (
	ofConfig = iota
	ofPod
	ofContainer
)

// request reads the annotations of one container into e.
type request struct {
	e    *Effective
	base *base
	s    Subject
	got  map[string]origin // by field
}

// origin is the annotation that a field is from; the zero origin is none.
type origin struct {
	annotation string
	level      int
}

// limits returns the largest values for a container that has e without annotations.
func (e Effective) limits(ceilings Patch) Policy {
	most, top := e.Policy, e.apply(ceilings, "").Policy
	for _, f := range Fields {
		if f.rank != nil && ceilings[f.Name] != "" && f.rank(top) > f.rank(most) {
			f.copy(&most, &top)
		}
	}
	// Without a ceiling of its own, the total follows from the others.
	if ceilings[maxTotal] == "" && ceilings[maxSize]+ceilings[maxFiles] != "" && most.MaxTotalSize != 0 {
		most.MaxTotalSize = max(most.MaxTotalSize, saturatingMul(most.MaxSize, most.MaxFiles))
	}
	return most
}

// isAnnotated reports whether the pod has annotations that may be meant for logwatch.
func (s Subject) isAnnotated() bool {
	for annotation := range s.Annotations {
		if strings.HasPrefix(annotation, prefix) {
			return true
		}
	}
	return false
}

// annotate applies the annotations of s to e, which is b's.
func annotate(e *Effective, b *base, s Subject) {
	e.Sources = maps.Clone(e.Sources)
	r := request{e, b, s, make(map[string]origin)}
	for _, f := range Fields {
		if f.Annotation != "" {
			r.take(f)
		}
	}
	r.settleTotal()
	r.settleAge()
	r.rejectUnknown()
}

// take applies one annotation, the container's own before the pod's, up to the
// ceiling. An invalid one is rejected.
func (r request) take(f *Field) {
	for _, o := range []origin{
		{prefix + f.Annotation + "." + r.s.Container, ofContainer},
		{prefix + f.Annotation, ofPod},
	} {
		text, ok := r.s.Annotations[o.annotation]
		if !ok {
			continue
		}
		next := r.e.Policy
		if err := r.set(f, &next, text); err != nil {
			r.reject(o.annotation, "ignored: "+err.Error())
			continue
		}
		source := "annotation " + o.annotation
		if f.rank != nil && f.rank(next) > f.rank(r.base.limit) {
			f.copy(&next, &r.base.limit)
			source += r.capped(f)
			r.reject(o.annotation, strings.Trim(r.capped(f), " ()"))
		}
		r.e.Policy, r.e.Sources[f.Name], r.got[f.Name] = next, source, o
		return
	}
}

// set assigns the text of an annotation to a field of p.
func (r request) set(f *Field, p *Policy, text string) error {
	if len(text) > maxValue {
		return fmt.Errorf("a value of %d bytes is too long", len(text))
	}
	err := f.set(p, text)
	if err == nil && f.allow != nil {
		err = f.allow(*p, r.base.Policy)
	}
	return err
}

func (r request) capped(f *Field) string { return " (capped at " + f.text(r.base.limit) + ")" }

// settleTotal makes the total fit the size. A size that is more specific than the
// total brings its own; so do size and files where the total was a product.
func (r request) settleTotal() {
	e, total, size := r.e, r.got[maxTotal], r.got[maxSize]
	if total.level > ofConfig && total.level >= size.level {
		if e.MaxTotalSize >= e.MaxSize {
			return
		}
		r.reject(total.annotation, fmt.Sprintf("ignored: must be at least maxSize (%s); lower %smax-size too", setting.FormatSize(e.MaxSize), prefix))
	}
	r.restore(maxTotal)
	if size.level == ofConfig && (r.base.Sources[maxTotal] != fromProduct || r.got[maxFiles].level == ofConfig) || !e.Rotate {
		return
	}
	e.MaxTotalSize, e.Sources[maxTotal] = saturatingMul(e.MaxSize, e.MaxFiles), fromProduct
	if e.MaxTotalSize > r.base.limit.MaxTotalSize {
		e.MaxTotalSize = r.base.limit.MaxTotalSize
		e.Sources[maxTotal] += r.capped(fieldOf(maxTotal))
	}
	if e.MaxTotalSize > 0 && e.MaxSize > e.MaxTotalSize { // the ceiling of the size is above that of the total
		e.MaxSize = e.MaxTotalSize
		capped := r.capped(fieldOf(maxTotal))
		e.Sources[maxSize] += capped
		r.reject(size.annotation, strings.Trim(capped, " ()"))
	}
}

// settleAge makes age and grace period fit each other: back to the configuration's,
// which do.
func (r request) settleAge() {
	for _, name := range []string{grace, maxAge} {
		if e := r.e; e.MaxAge != 0 && e.MaxAge < e.Grace && r.got[name].level > ofConfig {
			r.reject(r.got[name].annotation, fmt.Sprintf("ignored: maxAge (%v) must be at least the grace period (%v)", e.MaxAge, e.Grace))
			r.restore(name)
		}
	}
}

// restore takes a field back to the value without annotations.
func (r request) restore(name string) {
	fieldOf(name).copy(&r.e.Policy, &r.base.Policy)
	r.e.Sources[name] = r.base.Sources[name]
}

// rejectUnknown reports unknown names, which are probably misspelled, and bounds
// the number of reports.
func (r request) rejectUnknown() {
	known := annotationNames()
	for _, annotation := range slices.Sorted(maps.Keys(r.s.Annotations)) {
		name, ours := strings.CutPrefix(annotation, prefix)
		name, _, _ = strings.Cut(name, ".")
		if ours && !slices.Contains(known, name) {
			r.reject(annotation, "ignored: unknown annotation; must be one of "+strings.Join(known, ", "))
		}
	}
	if more := len(r.e.Rejected) - maxRejected; more > 0 {
		r.e.Rejected = append(r.e.Rejected[:maxRejected-1], RejectedAnnotation{Annotation: prefix + "…", Reason: fmt.Sprintf("and %d more", more+1)})
	}
}

// annotationNames are without the prefix.
func annotationNames() (names []string) {
	for _, f := range Fields {
		if f.Annotation != "" {
			names = append(names, f.Annotation)
		}
	}
	return names
}

func (r request) reject(annotation, reason string) {
	name := annotation
	if len(name) > 2*maxValue || strconv.QuoteToASCII(name) != `"`+name+`"` {
		name = quote(name)
	}
	r.e.Rejected = append(r.e.Rejected, RejectedAnnotation{name, quote(r.s.Annotations[annotation]), reason})
}

// quote makes any text short and safe for a terminal.
func quote(text string) string {
	if len(text) <= maxQuote {
		return strconv.QuoteToASCII(text)
	}
	return strconv.QuoteToASCII(text[:maxQuote]) + "…"
}
