package doctor

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

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

// Where logrotate's configuration begins, as the distributions' cron jobs and
// timers have it.
const (
	logrotateConf = "/etc/logrotate.conf"
	logrotateDir  = "/etc/logrotate.d"
)

// includesAtMost bounds what is read: an include may include itself.
const includesAtMost = 1000

// rules reads logrotate's configuration.
func (n *node) rules() (rules []rule, err error) {
	p := logrotateParser{n: n}
	if !n.exists(logrotateConf) {
		p.include(logrotateDir)
		return p.rules, p.err
	}
	p.include(logrotateConf)
	return p.rules, p.err
}

type logrotateParser struct {
	n        *node
	rules    []rule
	read     int
	err      error // the first
	truncate bool  // copytruncate outside of any block
}

// taboo are the endings of files that logrotate leaves out of a directory.
var taboo = []string{
	".rpmorig", ".rpmsave", ".rpmnew", ".rhn-cfg-tmp-", ",v", ".swp", "~", ".cfsaved", ".disabled", ".bak",
	".dpkg-dist", ".dpkg-old", ".dpkg-new", ".dpkg-bak", ".dpkg-del", ".dpkg-tmp",
}

func (p *logrotateParser) include(file string) {
	if p.read++; p.read > includesAtMost {
		return
	}
	st, err := os.Stat(p.n.path(file))
	if err == nil && st.IsDir() {
		entries, err := os.ReadDir(p.n.path(file))
		p.fail(err)
		for _, e := range entries {
			skipped := slices.ContainsFunc(taboo, func(end string) bool { return strings.HasSuffix(e.Name(), end) }) ||
				strings.Contains(e.Name(), ".ucf-") || e.IsDir()
			if !skipped {
				p.include(filepath.Join(file, e.Name()))
			}
		}
		return
	}
	data, err := read(p.n.path(file))
	if err != nil {
		p.fail(err)
		return
	}
	p.parse(file, string(data))
}

func (p *logrotateParser) fail(err error) {
	if p.err == nil && err != nil && !os.IsNotExist(err) {
		p.err = err
	}
}

// parse reads one file: directives, one a line, and blocks of patterns and
// directives in braces.
func (p *logrotateParser) parse(file, content string) {
	var r rule
	inBlock, inScript := false, false
	number := 0
	for l := range strings.Lines(content) {
		number++
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		word := strings.Fields(l)[0]
		switch {
		case inScript:
			inScript = word != "endscript"
		case !inBlock && (strings.ContainsRune(`/"'~{`, rune(l[0])) || len(r.patterns) > 0):
			before, after, open := strings.Cut(l, "{")
			for _, text := range words(before) {
				r.patterns = append(r.patterns, pattern{text, number})
			}
			if inBlock = open; !open {
				continue
			}
			r.file, r.copytruncate = file, p.truncate
			if !strings.Contains(after, "}") {
				continue
			}
			l = after
			fallthrough
		case inBlock && strings.Contains(l, "}"):
			r.copytruncate = r.copytruncate || strings.Contains(l, "copytruncate")
			r.last = number
			p.rules = append(p.rules, r)
			r, inBlock = rule{}, false
		case inBlock:
			switch word {
			case "copytruncate":
				r.copytruncate = true
			case "nocopytruncate":
				r.copytruncate = false
			case "prerotate", "postrotate", "firstaction", "lastaction", "preremove":
				inScript = true
			}
		case word == "copytruncate":
			p.truncate = true
		case word == "include":
			p.include(strings.Trim(strings.TrimSpace(strings.TrimPrefix(l, word)), `"'=`))
		}
	}
}

// words parts patterns at blanks that are not in quotes.
func words(s string) (list []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		end := strings.IndexAny(s, " \t")
		if s[0] == '"' || s[0] == '\'' {
			if close := strings.IndexByte(s[1:], s[0]); close >= 0 {
				list = append(list, s[1:1+close])
				s = s[close+2:]
				continue
			}
		}
		if end < 0 {
			end = len(s)
		}
		list = append(list, s[:end])
		s = s[end:]
	}
	return list
}

// Names as they are in the two directories, for patterns to be held against.
var (
	logNames  = []string{"0.log", "1.log", "12.log", "0.log.20260102-030405", "0.log.20260102-030405.gz"}
	linkNames = []string{"web-0_default_app-" + strings.Repeat("0a", 32) + ".log"}
)

// covers reports whether a pattern fits a name that is depth directories of any
// name below dir.
func covers(glob, dir string, depth int, names []string) bool {
	parts := strings.Split(path.Clean(strings.ReplaceAll(glob, "[!", "[^")), "/")
	above := strings.Split(path.Clean(dir), "/")
	if len(parts) != len(above)+depth+1 {
		return false
	}
	for i, name := range above {
		if !fits(parts[i], name) {
			return false
		}
	}
	return slices.ContainsFunc(names, func(name string) bool { return fits(parts[len(parts)-1], name) })
}

func fits(glob, name string) bool {
	ok, err := path.Match(glob, name)
	return ok && err == nil || glob == name
}

func checkLogrotate(_ context.Context, n *node) Check {
	rules, err := n.rules()
	if n.blind(err) {
		return n.unseen("logrotate's rules", err)
	}
	dirs := []string{n.settings().PodLogsDir}
	if real, err := filepath.EvalSymlinks(n.path(dirs[0])); err == nil && n.shown(real) != path.Clean(dirs[0]) {
		dirs = append(dirs, n.shown(real))
	}
	var logs, links Check
	for _, r := range rules {
		var onLogs, onLinks []pattern
		for _, p := range r.patterns {
			switch {
			case slices.ContainsFunc(dirs, func(dir string) bool { return covers(p.text, dir, 2, logNames) }):
				onLogs = append(onLogs, p)
			case covers(p.text, linksDir, 0, linkNames):
				onLinks = append(onLinks, p)
			}
		}
		if len(onLogs) > 0 {
			logs = r.tell(logs, onLogs)
		}
		if len(onLinks) > 0 {
			links = r.tell(links, onLinks)
		}
	}
	switch {
	case logs.Detail != "":
		logs.Status, logs.Summary = Fail, "logrotate has rules for containers' logs"
		return logs.because("Two rotators lose lines; copytruncate loses what is written while it copies, and leaves a hole where the runtime goes on.")
	case links.Detail != "":
		links.Status, links.Summary = Warn, "logrotate has rules for the links to containers' logs"
		return links.because("logrotate 3.8.2 and later leave links alone, and end with an error each time; before that they rotated what the link led to.")
	case err != nil:
		return warn("not all of logrotate's rules could be read").because("%v", err).mend("logrotate --debug %s", logrotateConf)
	case !n.exists(logrotateConf) && !n.exists(logrotateDir):
		return okay("logrotate is not installed")
	}
	return okay("none of logrotate's rules (%d) is for containers' logs", len(rules))
}

// tell adds what is wrong with a rule to c, and what takes it away.
func (r rule) tell(c Check, bad []pattern) Check {
	how := ""
	if r.copytruncate {
		how = ", with copytruncate"
	}
	for _, p := range bad {
		c = c.because("%s:%d: %s%s.", r.file, p.line, p.text, how)
	}
	if len(bad) == len(r.patterns) {
		return c.do(command(fmt.Sprintf("sed -i '%d,%ds/^/#/' %s", r.patterns[0].line, r.last, quote(r.file))))
	}
	for _, p := range bad {
		c = c.do(command(fmt.Sprintf("sed -i %s %s", quote(fmt.Sprintf(`%ds|"\?%s"\?||`, p.line, literal(p.text))), quote(r.file))))
	}
	return c
}

// literal makes a sed pattern that fits s alone.
func literal(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.*[]^$|`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
