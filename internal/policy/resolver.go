package policy

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/labels"
)

// Subject is a container, as the runtime describes it and its pod.
type Subject struct {
	Namespace, Pod, Container string
	// Labels and Annotations are those of the pod's sandbox.
	Labels, Annotations map[string]string
}

// Effective is the policy of one container.
type Effective struct {
	Policy
	// Sources has the origin of each field by its name: "default", "flag/file",
	// "profile vector", "override 2" (counted from 1), "annotation
	// logwatch/max-size.app", "maxSize × maxFiles"; " (capped at 100Mi)" follows
	// where a ceiling applied.
	Sources map[string]string
	// Rejected are the annotations that were ignored or capped.
	Rejected []RejectedAnnotation
}

// RejectedAnnotation is an annotation that was ignored or capped.
type RejectedAnnotation struct {
	Annotation string
	Value      string // quoted and shortened
	Reason     string
}

// FieldValue is one line of a table of an Effective.
type FieldValue struct{ Name, Value, Source string }

// Fields returns e for people, in the order of the table.
func (e Effective) Fields() []FieldValue {
	list := make([]FieldValue, len(Fields))
	for i, f := range Fields {
		list[i] = FieldValue{f.Name, f.text(e.Policy), e.Sources[f.Name]}
	}
	return list
}

// Resolver finds the policy of a container.
type Resolver struct {
	overrides   []override
	base        base // of containers that no override matches
	annotations bool
}

// override is one of the configuration's, ready to be matched.
type override struct {
	match    Match
	selector labels.Selector
	base     base
}

// base is a policy without annotations, and the largest values with them.
type base struct {
	Effective
	limit Policy
}

// New returns the Resolver of r; the error is that of its validation.
func New(r Rules) (*Resolver, error) {
	var errs []error
	r.Validate(func(key string, err error) { errs = append(errs, fmt.Errorf("%s: %w", key, err)) })
	if len(errs) > 0 {
		return nil, fmt.Errorf("policy: %w", errors.Join(errs...))
	}
	ready := func(e Effective) base {
		e = e.withTotal()
		return base{e, e.limits(r.Annotations.Ceilings)}
	}
	all := r.all()
	resolver := &Resolver{base: ready(all), annotations: r.Annotations.Enabled}
	for i, o := range r.Overrides {
		selector, err := parseSelector(o.Match.Labels)
		if err != nil {
			return nil, fmt.Errorf("policy: override %d: %w", i+1, err)
		}
		e := all.apply(o.Patch, fmt.Sprintf("override %d", i+1))
		resolver.overrides = append(resolver.overrides, override{o.Match, selector, ready(e)})
	}
	return resolver, nil
}

// For returns the policy of s. Its Sources must not be changed: containers without annotations
// share them, which takes 650 bytes less each.
func (r *Resolver) For(s Subject) Effective {
	b := &r.base
	for i := range r.overrides {
		if o := &r.overrides[i]; o.match.matches(s, o.selector) {
			b = &o.base
			break
		}
	}
	e := b.Effective
	if r.annotations && s.isAnnotated() {
		annotate(&e, b, s)
	}
	return e
}

// NeedsPod reports whether a policy may depend on a pod's labels or annotations.
func (r *Resolver) NeedsPod() bool {
	for _, o := range r.overrides {
		if !o.selector.Empty() {
			return true
		}
	}
	return r.annotations
}

// Policies returns the policy of all containers, then that of each override, all
// without annotations.
func (r *Resolver) Policies() []Policy {
	list := []Policy{r.base.Policy}
	for _, o := range r.overrides {
		list = append(list, o.base.Policy)
	}
	return list
}
