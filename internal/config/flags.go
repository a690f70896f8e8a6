package config

import (
	"maps"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"github.com/logwatch/logwatch/internal/setting"
)

// Flags are the command line's part of the configuration.
type Flags struct{ fs *pflag.FlagSet }

// NewFlags adds a flag for every key except lists to fs. Parsing fs reports values
// that are invalid by themselves; Apply reports those that do not fit the others.
func NewFlags(fs *pflag.FlagSet) *Flags {
	c := Default()
	for _, k := range c.keys() {
		if v, ok := k.value.(setting.Value); ok {
			flag := fs.VarPF(v, flagName(k.name), "", k.usage)
			if v.Type() == "bool" {
				flag.NoOptDefVal = "true"
			}
		}
	}
	return &Flags{fs}
}

// Apply returns c with the flags that were set on the command line put over it,
// and no others: a flag beats the file, a flag's default does not. The error names
// flags and keys, one a line.
func (f *Flags) Apply(c Config) (Config, error) {
	c.Patch, c.Annotations.Ceilings = maps.Clone(c.Patch), maps.Clone(c.Annotations.Ceilings)
	errs := problems{named: func(name string) string {
		if flag := flagName(name); f.fs.Changed(flag) {
			return "--" + flag
		}
		return name
	}}
	for _, k := range c.keys() {
		if v, ok := k.value.(setting.Value); ok && f.fs.Changed(flagName(k.name)) {
			errs.add(k.name, v.Set(f.fs.Lookup(flagName(k.name)).Value.String()))
		}
	}
	return errs.result(c)
}

var upper = regexp.MustCompile(`[A-Z]`)

// flagName is a key in kebab case: compression.codec → compression-codec.
func flagName(name string) string {
	return strings.ToLower(upper.ReplaceAllString(strings.ReplaceAll(name, ".", "-"), "-$0"))
}
