package doctor

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/logwatch/logwatch/internal/display"
)

// rotatorChecks are about other programs that rotate containers' logs.
var rotatorChecks = []check{
	{"logrotate", checkLogrotate, []need{needConfig}},
	{"conmon", checkConmon, []need{needConfig}},
}

// rule is a block of logrotate's configuration.
type rule struct {
	file         string // on the node
	last         int    // the line of its closing brace
	patterns     []pattern
	copytruncate bool
}

type pattern struct {
	text string
	line int // from 1
}

// Where logrotate's configuration begins, in distributions' cron jobs and timers.
const (
	logrotateConf = "/etc/logrotate.conf"
	logrotateDir  = "/etc/logrotate.d"
)

// logrotateRules reads logrotate's configuration.
func (n *node) logrotateRules() ([]rule, error) {
	p := logrotateParser{n: n}
	if n.exists(logrotateConf) {
		p.include(logrotateConf)
	} else {
		p.include(logrotateDir)
	}
	return p.rules, p.err
}

type logrotateParser struct {
	n        *node
	rules    []rule
	files    int
	err      error // the first
	truncate bool  // copytruncate outside of any block
}

// maxIncludes bounds what is read: a file may include itself.
const maxIncludes = 1000

// taboo are the endings of files that logrotate skips in a directory.
var taboo = []string{
	".rpmorig", ".rpmsave", ".rpmnew", ".rhn-cfg-tmp-", ",v", ".swp", "~", ".cfsaved", ".disabled", ".bak",
	".dpkg-dist", ".dpkg-old", ".dpkg-new", ".dpkg-bak", ".dpkg-del", ".dpkg-tmp",
}

// include reads a file, or the files of a directory.
func (p *logrotateParser) include(file string) {
	if p.files++; p.files > maxIncludes {
		return
	}
	var data []byte
	entries, err := os.ReadDir(p.n.path(file))
	if err != nil {
		data, err = read(p.n.path(file))
	}
	if err != nil && p.err == nil && !os.IsNotExist(err) {
		p.err = err
	}
	for _, e := range entries {
		skipped := slices.ContainsFunc(taboo, func(end string) bool { return strings.HasSuffix(e.Name(), end) })
		if !skipped && !e.IsDir() && !strings.Contains(e.Name(), ".ucf-") {
			p.include(filepath.Join(file, e.Name()))
		}
	}
	p.parse(file, string(data))
}

var (
	// hidden are comments and scripts.
	hidden = regexp.MustCompile(`(?ms)^[ \t]*#[^\n]*|^[ \t]*(?:prerotate|postrotate|firstaction|lastaction|preremove)\b.*?^[ \t]*endscript\b[^\n]*`)
	// blocks are directives and patterns, and what braces enclose behind them.
	blocks = regexp.MustCompile(`([^{}]*)(?:\{([^}]*)\}|$)`)
	// words are patterns on a line, some in quotes.
	words = regexp.MustCompile(`"([^"]*)"|'([^']*)'|(\S+)`)
)

// parse reads one file: directives, one a line, and blocks of patterns and
// directives in braces.
func (p *logrotateParser) parse(file, content string) {
	content = hidden.ReplaceAllStringFunc(content, func(s string) string { return strings.Repeat("\n", strings.Count(s, "\n")) })
	line, counted := 1, 0
	lineAt := func(offset int) int {
		line, counted = line+strings.Count(content[counted:offset], "\n"), offset
		return line
	}
	for _, at := range blocks.FindAllStringSubmatchIndex(content, -1) {
		r := rule{file: file}
		number := lineAt(at[2])
		for l := range strings.Lines(content[at[2]:at[3]]) {
			directive, value, _ := strings.Cut(strings.TrimSpace(l), " ")
			switch {
			case len(r.patterns) > 0 || strings.ContainsAny(directive[:min(1, len(directive))], `/"'~`):
				for _, w := range words.FindAllStringSubmatch(l, -1) {
					r.patterns = append(r.patterns, pattern{w[1] + w[2] + w[3], number})
				}
			case directive == "copytruncate":
				p.truncate = true
			case directive == "include":
				p.include(strings.Trim(value, `"'= `))
			}
			number++
		}
		if at[4] < 0 {
			continue // the end, without a block
		}
		r.copytruncate = p.truncate
		for word := range strings.FieldsSeq(content[at[4]:at[5]]) {
			r.copytruncate = (r.copytruncate || word == "copytruncate") && word != "nocopytruncate"
		}
		r.last = lineAt(at[1])
		p.rules = append(p.rules, r)
	}
}

// Names as in the two directories, to match patterns with.
var (
	logNames  = []string{"0.log", "1.log", "12.log", "0.log.20260102-030405", "0.log.20260102-030405.gz"}
	linkNames = []string{"web-0_default_app-" + strings.Repeat("0a", 32) + ".log"}
)

// covers reports whether a pattern matches one of the names, depth directories of
// any name below dir.
func covers(glob, dir string, depth int, names []string) bool {
	parts := strings.Split(path.Clean(strings.ReplaceAll(glob, "[!", "[^")), "/")
	above := strings.Split(path.Clean(dir), "/")
	if len(parts) != len(above)+depth+1 {
		return false
	}
	matches := func(i int, name string) bool {
		ok, err := path.Match(parts[i], name)
		return ok && err == nil || parts[i] == name
	}
	for i, name := range above {
		if !matches(i, name) {
			return false
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return matches(len(parts)-1, name) })
}

func checkLogrotate(_ context.Context, n *node) Check {
	rules, err := n.logrotateRules()
	dirs := []string{n.settings().PodLogsDir}
	if target, err := filepath.EvalSymlinks(n.path(dirs[0])); err == nil {
		dirs = append(dirs, n.shown(target))
	}
	onLogs := func(p pattern) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return covers(p.text, dir, 2, logNames) })
	}
	onLinks := func(p pattern) bool { return covers(p.text, linksDir, 0, linkNames) && !onLogs(p) }
	logs := found(Fail, "logrotate has rules for containers' logs")
	links := found(Warn, "logrotate has rules for the links to containers' logs")
	for _, r := range rules {
		logs, links = r.report(logs, onLogs), r.report(links, onLinks)
	}
	switch {
	case logs.Detail != "":
		return logs.detail("Two rotators lose lines; copytruncate loses what is written during the copy, and leaves a hole where the runtime continues.")
	case links.Detail != "":
		return links.detail("logrotate 3.8.2 and later skip links, and end with an error each time; earlier versions rotated the links' targets.")
	case err != nil:
		return found(Warn, "some of logrotate's rules cannot be read").cause(err).fix("logrotate --debug %s", logrotateConf)
	case !n.exists(logrotateConf) && !n.exists(logrotateDir):
		return found(OK, "logrotate is not installed")
	}
	return found(OK, "none of logrotate's rules (%d) is for containers' logs", len(rules))
}

var special = regexp.MustCompile(`[\\.*\[\]^$|]`) // in sed's patterns

// report adds a rule's bad patterns to a Check, with the commands that disable
// them.
func (r rule) report(c Check, bad func(pattern) bool) Check {
	how := ""
	if r.copytruncate {
		how = ", with copytruncate"
	}
	var cmds []command
	for _, p := range r.patterns {
		if bad(p) {
			c = c.detail("%s:%d: %s%s.", r.file, p.line, p.text, how)
			expr := fmt.Sprintf(`%ds|"\?%s"\?||`, p.line, special.ReplaceAllString(p.text, `\$0`))
			cmds = append(cmds, command("sed -i "+quote(expr)+" "+quote(r.file)))
		}
	}
	if len(cmds) > 0 && len(cmds) == len(r.patterns) { // the whole rule
		cmds = []command{command(fmt.Sprintf("sed -i '%d,%ds/^/#/' %s", r.patterns[0].line, r.last, quote(r.file)))}
	}
	return c.run(cmds...)
}

// checkConmon finds CRI-O's monitors that limit a log's size by themselves. At
// --log-size-max conmon starts the log again, and what it had is lost; with
// --log-rotate it renames it to N.log.1.
func checkConmon(_ context.Context, n *node) Check {
	below := filepath.Clean(n.settings().PodLogsDir) + "/"
	total, truncating, rotating := 0, 0, 0
	var first process
	for _, p := range n.processes() {
		if p.program() != "conmon" || !n.trusted(p.uid()) ||
			!slices.ContainsFunc(p.args, func(a string) bool { return strings.HasPrefix(strings.TrimPrefix(a, "k8s-file:"), below) }) {
			continue
		}
		total++
		limit := flag(p.args, "log-size-max")
		switch {
		case slices.Contains(p.args, "--log-rotate"):
			rotating++
		case limit != "" && limit != "0" && limit[0] != '-':
			truncating++
		default:
			continue
		}
		if first.args == nil {
			first = p
		}
	}
	var c Check
	switch {
	case truncating > 0:
		c = found(Fail, "conmon truncates the logs of %s by itself", display.Plural(truncating, "container")).
			detail("With --log-size-max, what the log has at that size is lost.")
	case rotating > 0:
		c = found(Warn, "conmon rotates the logs of %s by itself", display.Plural(rotating, "container")).
			detail("Two rotators lose lines; files such as 0.log.1 are neither compressed nor pruned.")
	case total == 0:
		return found(OK, "no container is monitored by conmon")
	default:
		return found(OK, "conmon leaves the logs of %s to other rotators", display.Plural(total, "container"))
	}
	const file = "/etc/crio/crio.conf.d/99-logwatch.conf"
	return c.detail("As process %d: %s. CRI-O's log_size_max sets it for containers that start from then on.", first.PID, strings.Join(first.args, " ")).
		fix(`mkdir -p %s && printf '%%s\n' '[crio.runtime]' 'log_size_max = -1' > %s && %s # then restart the pods`, filepath.Dir(file), file, systemctl("restart", "crio"))
}
