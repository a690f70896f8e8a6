// Package config reads the configuration: defaults, then a YAML file, then flags.
//
// # Guarantees
//
//   - A Config that Load, Parse or Flags.Apply returned without an error is valid.
//   - Parsing is strict. An unknown key, a duplicate key, a key without a value, a
//     value of another type and a second document are errors. All of them are
//     reported at once as "file:line: key: what to do", one a line; values that do
//     not fit each other are reported when each is valid by itself.
//   - A file must be valid by itself. A flag replaces a valid value of the file, it
//     does not repair an invalid one.
//   - Each key of the file is a flag of the same name in kebab case, nested keys
//     joined by a dash (compression.codec: --compression-codec). Lists have none.
//   - podLogsDir is absolute and clean.
//   - Parse of the output of Marshal gives the same Config.
//   - Config can be copied and compared with reflect.DeepEqual. Copies share the
//     patches and overrides, which do not change once they are read.
//
// # How a file is read
//
// One table has a row for each key with its flag, its variable and whether it takes
// effect on reload; a per-container key is a row of policy.Fields. The file is read
// as YAML nodes, since decoders do not report the lines of keys. A size must be a
// whole number of bytes, so that 10m (a thousandth) is an error and not a limit of
// one byte. Text that YAML takes for something else must be in quotes.
//
// # Blocking and shutdown
//
// Load reads a file and Endpoint stats a few sockets. There are no goroutines and
// there is nothing to stop.
//
// # Limitations
//
// The node is not checked: whether podLogsDir exists or a runtime responds may
// change while the daemon runs.
//
// runtimeRequestTimeout has no upper limit, but above 4s a hanging reopen may outlive
// the 5 s that the daemon has to exit after SIGTERM. The next start repairs what is
// missing.
package config
