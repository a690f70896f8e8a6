package policy

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/logwatch/logwatch/internal/setting"
)

// Patch is some of a policy's fields, as text by their names. The configuration's
// keys, a profile, an override and the ceilings are patches. Their text is written
// by Key, Value and Ceiling, which check it.
type Patch map[string]string

// validate reports unknown fields and invalid values, which Key, Value and Ceiling do
// not write.
func (o Patch) validate(report func(name string, err error)) {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		i := slices.IndexFunc(Fields, func(f *Field) bool { return f.Name == name })
		if i < 0 {
			report(name, errors.New("unknown field"))
		} else if err := Fields[i].set(new(Default()), o[name]); err != nil {
			report(name, err)
		}
	}
}

// apply returns e with the fields of o, which is valid. A maximum size without a total removes the
// total, which was meant for another size.
func (e Effective) apply(o Patch, source string) Effective {
	e.Sources = maps.Clone(e.Sources)
	if o[maxSize] != "" {
		e.MaxTotalSize = 0
	}
	for _, f := range Fields {
		if text, ok := o[f.Name]; ok {
			_ = f.value(&e.Policy).Set(text)
			e.Sources[f.Name] = source
		}
	}
	switch {
	case o[rotate] == "false":
		e.MaxSize, e.Sources[maxSize] = 0, source
	case o[maxSize] != "" && !e.Rotate:
		e.Rotate, e.Sources[rotate] = true, source
	}
	return e
}

// withTotal returns e with the total that it has when none is written.
func (e Effective) withTotal() Effective {
	e.Sources = maps.Clone(e.Sources)
	switch {
	case e.MaxTotalSize != 0:
	case e.Rotate:
		e.MaxTotalSize, e.Sources[maxTotal] = saturatingMul(e.MaxSize, e.MaxFiles), fromProduct
	default:
		e.Sources[maxTotal] = e.Sources[rotate] // no size to multiply
	}
	return e
}

// Value binds a field of an override.
func (o Patch) Value(f *Field) setting.Value { return patchValue{patch: o, field: f} }

// Ceiling binds a field of the ceilings. It may be empty; 0 if it is an int.
func (o Patch) Ceiling(f *Field) setting.Value {
	v := patchValue{patch: o, field: f, optional: true}
	if v.Type() == "int" {
		v.absent = "0"
	}
	return v
}

// Key binds a field of the configuration, where absent fields have their defaults.
func (o Patch) Key(f *Field) setting.Value {
	v := patchValue{patch: o, field: f, optional: f.Optional}
	if !f.Optional {
		v.absent = f.value(new(Default())).String()
	}
	if f.Name == maxSize {
		return limit{v}
	}
	return v
}

// patchValue is a field of a patch.
type patchValue struct {
	patch    Patch
	field    *Field
	optional bool   // empty text removes the field
	absent   string // the text when the field is not in the patch
}

func (v patchValue) Set(text string) error {
	if v.optional && (text == "" || text == v.absent) {
		delete(v.patch, v.field.Name)
		return nil
	}
	p := Default()
	if err := v.field.set(&p, text); err != nil {
		return err
	}
	v.patch[v.field.Name] = v.field.value(&p).String()
	if !v.optional && v.String() == v.absent {
		delete(v.patch, v.field.Name)
	}
	return nil
}

func (v patchValue) String() string { return cmp.Or(v.patch[v.field.Name], v.absent) }

func (v patchValue) Type() string { return v.field.value(&Policy{}).Type() }

// limit is containerLogMaxSize, where a negative size disables rotation.
type limit struct{ patchValue }

func (v limit) Set(text string) error {
	switch n, err := setting.ParseSize(text); {
	case err == nil && n < 0:
		v.patch[rotate] = "false"
		delete(v.patch, maxSize)
		return nil
	case err == nil && n == 0:
		return errors.New("must be a positive size such as 10Mi, or -1 to disable rotation")
	}
	err := v.patchValue.Set(text)
	if err == nil {
		delete(v.patch, rotate)
	}
	return err
}

func (v limit) String() string {
	if v.patch[rotate] == "false" {
		return "-1"
	}
	return v.patchValue.String()
}
