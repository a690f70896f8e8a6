package policy
const (CodecNone="none"; CodecGzip="gzip"; CodecZstd="zstd")
func (r *Resolver) NeedsPod() bool { for _, o := range r.overrides { if !o.labels.Empty() { return true } }; return r.annotations.Enabled }
