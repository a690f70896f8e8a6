package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/status"
)

func sortByPID(list []process) {
	slices.SortFunc(list, func(a, b process) int { return a.PID - b.PID })
}

// settings are the configuration that the checks go by.
type settings struct {
	config.Config
	file  string          // "": none
	from  string          // whose it is, for people
	flags map[string]bool // of the daemon, which beat the file
	err   error           // the file is no good; Config is the default
}

// usualFiles are where a package puts the configuration.
var usualFiles = []string{"/etc/logwatch/logwatch.yaml"}

// findSettings takes the file that was named, or what the daemon runs with, or an
// installed file, or the defaults.
func (n *node) findSettings() settings {
	if n.file != "" {
		s := settings{file: n.file, from: "as named with --config"}
		return s.parse(n.file)
	}
	if w := n.worker(); w.pid != 0 && w.settings.from != "" {
		return w.settings
	}
	for _, file := range usualFiles {
		if n.exists(file) {
			return settings{file: file, from: "as installed"}.parse(n.path(file))
		}
	}
	return settings{Config: config.Default(), from: "no file was named or found"}
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

// worker is the logwatch that runs, and others beside it.
type worker struct {
	pid      int // 0: none
	settings settings
	inPod    bool
	others   []process
}

// findWorker looks for processes that are `logwatch run`, and takes the one that
// holds the lock of its podLogsDir. With a configuration that was named, only one
// that works on the same directory counts.
func (n *node) findWorker() (w worker) {
	wanted := ""
	if n.file != "" {
		wanted = filepath.Clean(n.settings().PodLogsDir)
	}
	var list []process
	best, most := -1, 0
	for _, p := range n.processes() {
		if !strings.HasPrefix(p.program(), "logwatch") || !slices.Contains(p.args, "run") {
			continue
		}
		s := n.settingsOf(p)
		pid, err := n.sys.holder(s.PodLogsDir)
		holds := err == nil && pid == p.PID
		// A pod may call its processes anything, and another node may run in a
		// container of this one.
		if !holds && (!n.trusted(p) || p.inPod() && !n.isolated() || !n.sharesDir(p.PID, s.PodLogsDir)) {
			continue
		}
		list = append(list, p)
		rank := 1
		if holds {
			rank = 2
		}
		if rank > most && (wanted == "" || filepath.Clean(s.PodLogsDir) == wanted) {
			best, most = len(list)-1, rank
			w.pid, w.settings, w.inPod = p.PID, s, p.inPod()
		}
	}
	if best >= 0 {
		list = slices.Delete(list, best, best+1)
	}
	w.others = list
	return w
}

// sharesDir reports whether a path is the same directory for a process as for the
// node, as far as that can be seen.
func (n *node) sharesDir(pid int, path string) bool {
	ours, err := os.Stat(n.path(path))
	if err != nil {
		return true
	}
	theirs, err := os.Stat(n.seenBy(pid, path))
	return err != nil || os.SameFile(ours, theirs)
}

// trusted reports whether a process is root's or this user's: others may call
// theirs anything.
func (n *node) trusted(p process) bool {
	uid := p.uid()
	return uid == 0 || uid == n.sys.euid
}

// settingsOf reads a daemon's command line as it did itself.
func (n *node) settingsOf(p process) settings {
	fs := pflag.NewFlagSet("run", pflag.ContinueOnError)
	file := fs.String("config", "", "")
	flags := config.NewFlags(fs)
	s := settings{from: fmt.Sprintf("of process %d", p.PID), flags: map[string]bool{}}
	if s.err = fs.Parse(p.args[1:]); s.err != nil {
		return s.orDefault()
	}
	fs.Visit(func(f *pflag.Flag) { s.flags[f.Name] = true })
	s.Config = config.Default()
	if *file != "" {
		s.file = *file
		if !filepath.IsAbs(s.file) {
			if cwd, err := p.Cwd(); err == nil {
				s.file = filepath.Join(cwd, s.file)
			}
		}
		s = s.parse(n.seenBy(p.PID, *file))
	}
	if s.err == nil {
		s.Config, s.err = flags.Apply(s.Config)
	}
	return s.orDefault()
}

var atLine = regexp.MustCompile(`:(\d+): `)

func checkConfig(_ context.Context, n *node) Check {
	s := n.settings()
	switch {
	case s.err != nil && n.blind(s.err):
		return n.unseen(s.file, s.err)
	case s.err != nil && s.file == "":
		return fail("the flags of the daemon cannot be used").because("%v", s.err).because("The other checks go by the defaults.").
			mend("systemctl edit --full logwatch")
	case s.err != nil:
		c := fail("%s (%s) cannot be used", s.file, s.from)
		for l := range strings.SplitSeq(s.err.Error(), "\n") {
			c = c.because("%s", l)
		}
		at := ""
		if m := atLine.FindStringSubmatch(s.err.Error()); m != nil {
			at = "+" + m[1] + " "
		}
		return c.because("The other checks go by the defaults.").
			do(command(fmt.Sprintf("${EDITOR:-vi} %s%s && logwatch check-config %[2]s", at, quote(s.file))))
	case s.file == "":
		return okay("the defaults hold: %s", s.from)
	}
	return okay("%s (%s) is good", s.file, s.from)
}

// set is the command that gives top-level keys of the configuration new values,
// and has the daemon take them. The pairs are keys and values.
func (n *node) set(pairs ...string) command {
	s, w := n.settings(), n.worker()
	var lines, wishes, removes, flags []string
	fixed := false
	for i := 0; i < len(pairs); i += 2 {
		lines = append(lines, quote(pairs[i]+": "+pairs[i+1]))
		wishes = append(wishes, pairs[i]+": "+pairs[i+1])
		fixed = fixed || slices.Contains(fixedKeys, pairs[i])
		removes = append(removes, "-e "+quote("/^"+pairs[i]+":/d"))
		if name := kebab(pairs[i]); s.flags[name] {
			flags = append(flags, "--"+name)
		}
	}
	wish := status.Escape(strings.Join(wishes, ", "))
	switch {
	case len(flags) > 0:
		return command(fmt.Sprintf("systemctl edit --full logwatch # remove %s from its command line, and set %s in its file", strings.Join(flags, ", "), wish))
	case w.inPod:
		return command("kubectl get configmaps --all-namespaces | grep logwatch # edit the one that the DaemonSet mounts: " + wish)
	}
	file := s.file
	if file == "" {
		file = usualFiles[0]
	}
	q := quote(file)
	data, err := read(n.where(file))
	all := strings.Join(lines, " ")
	var cmd string
	switch {
	case err != nil && s.file == "":
		cmd = fmt.Sprintf("mkdir -p %s && printf '%%s\\n' %s > %s", quote(filepath.Dir(file)), all, q)
	case strings.HasPrefix(strings.TrimSpace(string(data)), "{"): // JSON is not changed line by line
		return command(fmt.Sprintf("${EDITOR:-vi} %s # set %s", q, wish))
	default:
		cmd = edit(file, data, removes, all)
	}
	switch {
	case w.pid != 0 && s.file == "":
		cmd += " # and start logwatch with --config " + q
	case w.pid != 0 && fixed:
		cmd += " && " + string(n.ctl("restart", "logwatch"))
	case w.pid != 0:
		cmd += " && logwatch reload --config " + q
	}
	return command(cmd)
}

// fixedKeys take effect at a start alone, of those that set is called with.
var fixedKeys = []string{"podLogsDir", "containerRuntimeEndpoint", "runtimeRequestTimeout", "controlSocket"}

// where a configuration file is: the daemon may be in a container.
func (n *node) where(file string) string {
	switch w := n.worker(); {
	case n.file != "":
		return file
	case w.pid != 0:
		return n.seenBy(w.pid, file)
	}
	return n.path(file)
}

// edit is the command that takes top-level keys out of a YAML file and writes
// them anew at its end. lines and removes are quoted.
func edit(file string, data []byte, removes []string, lines string) string {
	end := ""
	if len(data) > 0 && data[len(data)-1] != '\n' {
		end = "echo >> " + quote(file) + " && "
	}
	return fmt.Sprintf("sed -i %s %s && %sprintf '%%s\\n' %s >> %[2]s", strings.Join(removes, " "), quote(file), end, lines)
}

var capital = regexp.MustCompile(`[A-Z]`)

// kebab is a key's flag.
func kebab(key string) string { return strings.ToLower(capital.ReplaceAllString(key, "-$0")) }

// writable is what a directory must be for the daemon.
const writable = unix.R_OK | unix.W_OK | unix.X_OK
