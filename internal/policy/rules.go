package policy

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rules are the part of a configuration that decides each container's policy.
type Rules struct {
	// Patch is what the configuration changes of Default, for all containers.
	Patch Patch
	// CollectorProfile is a log shipper whose needs come between the two; "": none.
	CollectorProfile string
	Annotations      Annotations
	// Overrides are for some containers; the first match wins.
	Overrides []Override
}

// Annotations is what pods may ask for with annotations.
type Annotations struct {
	Enabled bool
	// Ceilings are the largest values that an annotation gets. Where one is absent
	// it is the container's value without annotations; one that is present does not
	// lower that either.
	Ceilings Patch
}

// Override is a patch for some containers.
type Override struct {
	Match Match
	Patch Patch
}

// Profiles returns the names of the profiles, sorted.
func Profiles() []string { return slices.Sorted(maps.Keys(profiles)) }

// Sources that do not name an origin.
const (
	fromDefault = "default"
	fromConfig  = "flag/file"
	fromProduct = "maxSize × maxFiles"
)

// all returns the policy for all containers, its total as configured.
func (r Rules) all() Effective {
	e := Effective{Policy: Default(), Sources: make(map[string]string, len(Fields))}
	for _, f := range Fields {
		e.Sources[f.Name] = fromDefault
	}
	e = e.apply(profiles[r.CollectorProfile], "profile "+r.CollectorProfile).apply(r.Patch, fromConfig)
	e.Sources[rotate] = e.Sources[maxSize] // they have one key
	return e
}

// Validate reports values that do not fit each other, with their keys.
func (r Rules) Validate(report func(key string, err error)) {
	valid, all := true, r.all()
	invalid := func(name string, err error) {
		valid = false
		for _, f := range Fields {
			if f.Name == name && f.Key != "" {
				name = f.Key
			}
		}
		report(name, err)
	}
	r.Patch.validate(invalid)
	all.check(invalid)
	r.validateCeilings(all.withTotal(), func(name string, err error) { report("annotations.ceilings."+name, err) })
	for i, o := range r.Overrides {
		below := func(name string, err error) { report(fmt.Sprintf("overrides[%d].%s", i, name), err) }
		o.Match.validate(below)
		o.Patch.validate(below)
		switch p := o.Patch; {
		case p[rotate] == "false" && p[maxSize]+p[interval] != "":
			below(rotate, errors.New("false leaves maxSize and minRotationInterval without effect: remove them, or rotate"))
		case p[rotate] == "true" && p[maxSize] == "" && !all.Rotate:
			below(rotate, errors.New("true requires a maxSize here, since containerLogMaxSize is -1"))
		case valid:
			all.apply(p, "").check(below)
		}
	}
}

// Warnings are what is valid, and unwise: an override that gives more to whatever a
// pod's author can choose, its labels and names, in any namespace.
func (r Rules) Warnings() (list []string) {
	all := r.all().withTotal()
	for i, o := range r.Overrides {
		if len(o.Match.Namespaces) > 0 && !slices.Contains(o.Match.Namespaces, "*") {
			continue
		}
		e := r.all().apply(o.Patch, "").withTotal()
		var more []string
		for _, f := range Fields {
			switch _, set := o.Patch[f.Name]; {
			case f.Name == rotate && all.Rotate && !e.Rotate:
				more = append(more, "turns rotation off")
			case e.Rotate && f.rank != nil && (set || f.Name == maxTotal) && f.rank(e.Policy) > f.rank(all.Policy):
				more = append(more, "raises "+f.Name)
			}
		}
		if len(more) > 0 {
			list = append(list, fmt.Sprintf("overrides[%d] %s for any pod that chooses its labels or name so: match namespaces, too", i, strings.Join(more, ", ")))
		}
	}
	return list
}

// validateCeilings: a ceiling below the value of all containers would never apply.
func (r Rules) validateCeilings(all Effective, report func(name string, err error)) {
	ceilings := r.Annotations.Ceilings
	ceilings.validate(report)
	top := all.apply(ceilings, "")
	for _, f := range Fields {
		switch {
		case ceilings[f.Name] == "" || f.rank == nil:
		case f.Name == maxTotal && all.MaxTotalSize == 0: // rotation is off
		case f.rank(top.Policy) < f.rank(all.Policy):
			report(f.Name, fmt.Errorf("must be at least the value for all containers (%s), got %s", f.text(all.Policy), f.text(top.Policy)))
		case f.Name == maxTotal && top.MaxTotalSize < top.MaxSize:
			report(f.Name, fmt.Errorf("must be at least the ceiling of maxSize (%s), got %s", ceilings[maxSize], ceilings[maxTotal]))
		}
	}
}
