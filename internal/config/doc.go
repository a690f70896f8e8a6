// Package config reads what the operator wants: defaults first, then a YAML
// file, then the flags of the command line.
//
// # Guarantees
//
//   - A Config that Load, Parse or Flags.Apply returned without an error is valid.
//   - Reading is strict. A key that is unknown, in another case, twice there,
//     without a value or of the wrong type is an error, and so is a second
//     document. An error is "file:line: key: what to do". A file that cannot be
//     read so has its first problem reported; values that cannot be are reported
//     all at once, each on a line of its own.
//   - A file must be valid by itself. A flag replaces a good value of the file, it
//     does not repair a bad one.
//   - Each key of the file is a flag of the same name in kebab case, nested keys
//     joined by a dash (compression.codec: --compression-codec). Lists have none.
//   - Parse of what Marshal wrote gives the same Config.
//   - Config is a plain value: it can be copied, and compared with
//     reflect.DeepEqual. Copies share the overrides, which nobody changes.
//   - What an override makes of the rest is held against the same rules as the
//     rest, so that With gives a Config that is valid.
//
// # What depends on other keys
//
// minRotationInterval and rotatedLogGracePeriod are unset until somebody writes
// them. Unset they hold what the collectorProfile needs, or the default without
// one; Marshal writes them as "". So the profile can be in the file and a value
// in a flag or the other way round: what was written wins, whoever wrote it.
//
// An override's maxSize without a maxTotalSize makes the total its maxSize ×
// maxFiles, even if containerLogMaxTotalSize is set, which was meant for another
// size.
//
// # How a file is read
//
// sigs.k8s.io/yaml makes JSON of it and decodes that into the Config, as kubelet
// does with its own: scalars are those of YAML 1.1 (010 is eight), a number
// for a text is taken as that text. Before that the file is read as nodes, for
// what a decoder does not tell: the lines of the keys, lists of sections
// included, and what it would let pass.
//
// Keys that kubelet has too bear kubelet's names and formats. What this package
// is stricter about than kubelet: a size must be a whole number of bytes, so that
// 10m (a thousandth) is an error and not a limit of one byte. Durations may be
// whole days too: 14d is 336h. In a list, a text that YAML takes for something
// else must be in quotes.
//
// # Blocking and shutdown
//
// Load reads a file and Endpoint stats a few sockets. There are no goroutines
// and there is nothing to stop.
//
// # Not promised
//
// Marshal fails for a text with a control character that YAML forbids.
//
// Validate looks at values only. It does not look at the node: whether podLogsDir
// exists or a runtime answers may change while the daemon runs, so the daemon
// asks when it needs to know.
//
// runtimeRequestTimeout has no upper limit, but above 4s a reopen that hangs may
// outlive the 5 s that the daemon has to exit after SIGTERM. The daemon then
// exits without the answer; the next start repairs what is missing.
package config
