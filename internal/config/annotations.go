package config

// Annotations is about what pods may ask for with annotations of their own.
type Annotations struct {
	Enabled  bool     `json:"enabled"`
	Ceilings Ceilings `json:"ceilings"`
}

// Ceilings are the most that an annotation gets. Where one is unset it is what
// the container has without annotations; a ceiling that is set does not lower
// that either.
type Ceilings struct {
	MaxSize  Size `json:"maxSize"`
	MaxFiles int  `json:"maxFiles"` // 0: unset
	// MaxTotalSize unset, with one of the two above set: their product.
	MaxTotalSize          Size     `json:"maxTotalSize"`
	MaxAge                Duration `json:"maxAge"`
	MinRotationInterval   Duration `json:"minRotationInterval"`
	RotatedLogGracePeriod Duration `json:"rotatedLogGracePeriod"`
}

// validateCeilings: a ceiling below what every container has was meant to be
// something else.
func (p *problems) validateCeilings(c Config) {
	at := "annotations.ceilings."
	below := func(key, than string, got, have any) {
		p.add(at+key, "%v is below %s (%v), which every container has: write at least that, or leave the ceiling out", got, than, have)
	}
	top := c.Annotations.Ceilings
	switch size := top.MaxSize; {
	case !size.IsSet():
	case size.Bytes() <= 0:
		p.add(at+"maxSize", "%v is too small: write a size, or leave the ceiling out", size)
	case size.Bytes() < c.MaxSizeBytes():
		below("maxSize", "containerLogMaxSize", size, c.ContainerLogMaxSize)
	}
	if files := top.MaxFiles; files != 0 && files < c.ContainerLogMaxFiles {
		below("maxFiles", "containerLogMaxFiles", files, c.ContainerLogMaxFiles)
	}
	switch total := top.MaxTotalSize; {
	case !total.IsSet():
	case total.Bytes() <= 0:
		p.add(at+"maxTotalSize", "%v is too small: write a size, or leave the ceiling out", total)
	case total.Bytes() < c.MaxTotalSizeBytes():
		below("maxTotalSize", "the total size", total, SizeOf(c.MaxTotalSizeBytes()))
	case total.Bytes() < top.MaxSize.Bytes():
		p.add(at+"maxTotalSize", "%v is less than the ceiling of maxSize (%v): must be at least as large, better twice", total, top.MaxSize)
	}
	switch age := top.MaxAge; {
	case !age.IsSet():
	case c.ContainerLogMaxAge.Duration == 0 && age.Duration != 0:
		p.add(at+"maxAge", "%v is below containerLogMaxAge (0s, no limit), which every container has: set that, or leave the ceiling out", age)
	case age.Duration != 0 && age.Duration < c.ContainerLogMaxAge.Duration || age.Duration < 0:
		below("maxAge", "containerLogMaxAge", age, c.ContainerLogMaxAge)
	}
	if d := top.MinRotationInterval; d.IsSet() && d.Duration < c.MinRotationInterval.Duration {
		below("minRotationInterval", "minRotationInterval", d, c.MinRotationInterval)
	}
	if d := top.RotatedLogGracePeriod; d.IsSet() && d.Duration < c.RotatedLogGracePeriod.Duration {
		below("rotatedLogGracePeriod", "rotatedLogGracePeriod", d, c.RotatedLogGracePeriod)
	}
}
