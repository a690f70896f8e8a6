package policy

import "math"

// For tests outside of the package, which read configurations.
const (
	Prefix      = prefix
	MaxQuote    = maxQuote
	MaxRejected = maxRejected
	FromDefault = fromDefault
	FromProduct = fromProduct
)

var (
	AnnotationNames = annotationNames
	SaturatingMul   = saturatingMul
)

// Rank has the order of a field's values, where it has one.
func Rank(f *Field, p Policy) (int64, bool) {
	if f.rank == nil {
		return 0, false
	}
	return f.rank(p), true
}

// PatchOf has every field of p.
func PatchOf(p Policy) Patch {
	patch := Patch{}
	for _, f := range Fields {
		if text := f.value(&p).String(); text != "" {
			patch[f.Name] = text
		}
	}
	if !p.Rotate {
		delete(patch, maxSize)
	}
	if p.MaxTotalSize == math.MaxInt64 { // a product that does not fit; no size has this text
		delete(patch, maxTotal)
	}
	return patch
}
