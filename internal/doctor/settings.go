package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
)

var configChecks = []check{{name: "config", run: checkConfig}}

// settings are the configuration that the checks use.
type settings struct {
	config.Config
	file  string          // "": none
	from  string          // where it was found, for messages
	flags map[string]bool // of the daemon, which override the file
	err   error           // the file is invalid; Config is the default
}

// installedFile is where a package puts the configuration.
const installedFile = "/etc/logwatch/logwatch.yaml"

// findSettings returns those of Options.ConfigFile, or of the daemon, or of the
// installed file, or the defaults.
func (n *node) findSettings() settings {
	if n.file != "" {
		return settings{file: n.file, from: "given with --config"}.parse(n.file)
	}
	if d := n.daemon(); d.pid != 0 {
		return d.settings
	}
	if n.exists(installedFile) {
		return settings{file: installedFile, from: "installed"}.parse(n.path(installedFile))
	}
	return settings{Config: config.Default(), from: "there is no configuration file"}
}

// parse reads the file, which is at path.
func (s settings) parse(path string) settings {
	data, err := read(path)
	if s.err = err; err == nil {
		s.Config, s.err = config.Parse(s.file, data)
	}
	return s.orDefault()
}

func (s settings) orDefault() settings {
	if s.err != nil {
		s.Config = config.Default()
	}
	return s
}

// settingsOf reads a daemon's command line as the daemon does.
func (n *node) settingsOf(p process) settings {
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	file := fs.String("config", "", "")
	flags := config.NewFlags(fs)
	s := settings{Config: config.Default(), from: fmt.Sprintf("of process %d", p.PID), flags: map[string]bool{}}
	if s.err = fs.Parse(p.args[1:]); s.err != nil {
		return s
	}
	fs.Visit(func(f *pflag.Flag) { s.flags[f.Name] = true })
	if s.file = *file; s.file != "" {
		if cwd, err := p.Cwd(); err == nil && !filepath.IsAbs(s.file) {
			s.file = filepath.Join(cwd, s.file)
		}
		s = s.parse(n.seenBy(p.PID, *file))
	}
	if s.err == nil {
		s.Config, s.err = flags.Apply(s.Config)
	}
	return s.orDefault()
}

// needConfig skips a check while the configuration cannot be read.
func needConfig(n *node) Check {
	if err := n.settings().err; n.noPermission(err) {
		return skipUnreadable("the configuration", err)
	}
	return Check{}
}

var atLine = regexp.MustCompile(`:(\d+): `)

func checkConfig(_ context.Context, n *node) Check {
	s := n.settings()
	switch {
	case s.err != nil && s.file == "":
		return found(Fail, "the daemon's flags are invalid").cause(s.err).detail("The other checks use the defaults.").
			fix("systemctl edit --full logwatch")
	case s.err != nil:
		at := command("")
		if m := atLine.FindStringSubmatch(s.err.Error()); m != nil {
			at = command("+" + m[1] + " ")
		}
		return found(Fail, "%s (%s) is invalid", s.file, s.from).cause(s.err).detail("The other checks use the defaults.").fix("${EDITOR:-vi} %s%s && logwatch check-config %[2]s", at, s.file)
	case s.file == "":
		return found(OK, "the defaults are used: %s", s.from)
	}
	return found(OK, "%s (%s) is valid", s.file, s.from)
}

// fileOrInstalled is the file to edit.
func (s settings) fileOrInstalled() string {
	if s.file == "" {
		return installedFile
	}
	return s.file
}

// set returns the command that sets top-level keys of the configuration, given as
// "key: value", and applies them.
func (n *node) set(lines ...string) command {
	s, d := n.settings(), n.daemon()
	var flags []string
	restart := false
	for _, l := range lines {
		key := keyOf(l)
		restart = restart || slices.Contains(startKeys, key)
		if name := "--" + kebab(key); s.flags[name[2:]] {
			flags = append(flags, name)
		}
	}
	change := command(display.Escape(strings.Join(lines, ", ")))
	switch {
	case len(flags) > 0:
		return "systemctl edit --full logwatch # remove " + command(strings.Join(flags, ", ")) + " from its command line, and set " + change + " in its file"
	case d.inPod:
		return "kubectl get configmaps --all-namespaces | grep logwatch # edit the one that the DaemonSet mounts: " + change
	}
	file := s.fileOrInstalled()
	path, then := n.path(file), command("")
	switch {
	case n.file != "":
		path = file
	case d.pid != 0:
		path = n.seenBy(d.pid, file)
	}
	switch {
	case d.pid != 0 && s.file == "":
		then = " # and start logwatch with --config " + command(quote(file))
	case d.pid != 0 && restart:
		then = " && " + systemctl("restart", "logwatch")
	case d.pid != 0:
		then = " && logwatch reload --config " + command(quote(file))
	}
	return setKeys(file, path, nil, lines, then)
}

// startKeys are keys that need a restart, of those that set is called with.
var startKeys = []string{"podLogsDir", "containerRuntimeEndpoint"}

var capital = regexp.MustCompile(`[A-Z]`)

// kebab returns a key's flag.
func kebab(key string) string { return strings.ToLower(capital.ReplaceAllString(key, "-$0")) }

func keyOf(line string) string {
	key, _, _ := strings.Cut(line, ":")
	return key
}

// setKeys returns the command that sets top-level keys of a YAML file, given as
// "key: value", and then runs another. The file's content is at path; a new file
// begins with header.
func setKeys(file, path string, header, lines []string, then command) command {
	data, err := read(path)
	q := quote(file)
	if strings.HasPrefix(strings.TrimSpace(string(data)), "{") { // JSON is not edited line by line
		return command("${EDITOR:-vi} "+q) + then + command(" # set "+display.Escape(strings.Join(lines, ", ")))
	}
	cmd, to := "mkdir -p "+quote(filepath.Dir(file)), " > "
	if err == nil {
		cmd, to, header = "sed -i", " >> ", nil
		for _, l := range lines {
			cmd += " -e " + quote("/^"+keyOf(l)+":/d")
		}
		cmd += " " + q
		if len(data) > 0 && data[len(data)-1] != '\n' {
			cmd += " && echo >> " + q
		}
	}
	cmd += ` && printf '%s\n'`
	for _, l := range slices.Concat(header, lines) {
		cmd += " " + quote(l)
	}
	return command(cmd+to+q) + then
}
