package doctor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

var logChecks = []check{
	{"live-logs", checkLiveLogs, []need{needConfig, needTree}},
	{"log-writers", checkLogWriters, []need{needConfig, needTree}},
	{"log-links", checkLogLinks, []need{needConfig}},
}

// tree is what is below podLogsDir.
type tree struct {
	err        error // podLogsDir cannot be listed
	pods       int   // directories
	containers []container
}

// container is a container's directory.
type container struct {
	dir   string // relative to podLogsDir
	files []podlogs.File
}

// maxFiles bounds what is listed of a container's directory.
const maxFiles = 10_000

func (n *node) listTree() (t tree) {
	dir := n.path(n.settings().PodLogsDir)
	pods, err := os.ReadDir(dir)
	t.err = err
	for _, p := range pods {
		if p.IsDir() {
			t.pods++
		}
	}
	for _, c := range podlogs.ContainerDirs(dir) {
		files, _ := podlogs.ListDir(n.podLogs(), c, maxFiles) // it may have been removed
		t.containers = append(t.containers, container{c, files})
	}
	return t
}

// size returns the size of a container's logs, in bytes.
func (c container) size() (bytes int64) {
	for _, f := range c.files {
		if f.Regular {
			bytes += f.Size
		}
	}
	return bytes
}

// logPath returns the path of a log on the node.
func (n *node) logPath(dir string, f podlogs.File) string {
	return filepath.Join(n.settings().PodLogsDir, dir, f.String())
}

// needTree skips a check while podLogsDir cannot be listed.
func needTree(n *node) Check {
	if err := n.tree().err; err != nil {
		c := found(Skip, "podLogsDir cannot be listed: see pod-logs-dir")
		c.err = err
		return c
	}
	return Check{}
}

func (n *node) podLogs() podlogs.FS { return n.sys.podLogs(n.path(n.settings().PodLogsDir)) }

// openForWrite reports whether any process has a log open for writing.
func (n *node) openForWrite(dir string, name podlogs.Name) (bool, error) {
	d, err := n.podLogs().OpenDir(dir)
	if err != nil {
		return false, err
	}
	defer d.Close() //nolint:errcheck // opened for reading
	f, _, err := podlogs.OpenRegular(d, name.String())
	if err != nil {
		return false, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return f.OpenForWrite()
}

// maxFormats bounds how many logs are read.
const maxFormats = 20

func checkLiveLogs(_ context.Context, n *node) Check {
	live, read := 0, 0
	var links, irregular []string // paths
	var bad *Check
	for _, c := range n.tree().containers {
		for _, f := range c.files {
			path := n.logPath(c.dir, f)
			if f.Kind != podlogs.Live {
				continue
			}
			live++
			switch _, err := os.Readlink(n.path(path)); {
			case err == nil:
				links = append(links, path)
			case !f.Regular:
				irregular = append(irregular, path)
			case f.Size > 0 && read < maxFormats && bad == nil:
				first, err := n.firstLine(c.dir, f)
				if n.noPermission(err) {
					return skipUnreadable("the content of live logs", err)
				}
				if err == nil { // else it has just been rotated
					read++
					bad = n.badFormat(path, first)
				}
			}
		}
	}
	switch {
	case len(links) > 0:
		return n.linkedLogs(links, live)
	case len(irregular) > 0:
		return found(Fail, "%d of %s are not regular files with one link, and are not rotated", len(irregular), display.Plural(live, "live log")).
			fix("ls -l %s", irregular[0])
	case bad != nil:
		return *bad
	case live == 0:
		return found(OK, "there are no live logs yet")
	}
	return found(OK, "%s: regular files; %d were read, all in CRI's format", display.Plural(live, "live log"), read)
}

func (n *node) linkedLogs(links []string, live int) Check {
	target, _ := os.Readlink(n.path(links[0])) // "": it has just been removed
	c := found(Fail, "%d of %s are symbolic links, and are not rotated", len(links), display.Plural(live, "live log")).
		detail("%s points to %s.", links[0], target)
	if strings.Contains(target, "/docker/") {
		return c.detail("Docker's json-file driver writes and rotates that file itself; cri-dockerd cannot reopen logs.").
			detail(`Limit it there ("log-opts": {"max-size": "10m", "max-file": "5"}), or run the node with containerd or CRI-O.`).
			run("${EDITOR:-vi} /etc/docker/daemon.json && " + systemctl("restart", "docker"))
	}
	return c.detail("logwatch follows no link: it could point to any file.").
		fix("readlink -f %s # find what creates it, and change it to write to podLogsDir", links[0])
}

// badFormat returns the Check for a log that is not in CRI's format, or nil.
func (n *node) badFormat(path string, first []byte) *Check {
	if _, err := crilog.Parse(first); err == nil {
		return nil
	}
	c := found(Warn, "%s is not in CRI's format", path)
	if bytes.HasPrefix(first, []byte(`{"log":`)) {
		c = found(Fail, "%s is in the format of Docker's json-file driver", path).
			detail("Docker cannot reopen a renamed log: it would keep writing to the rotated one.")
	}
	c = c.detail("It begins with: %s", string(first[:min(len(first), 60)])).fix("lsof %s # find what writes it", path)
	return &c
}

// firstLine reads a log's first line, or enough of it to see the format.
func (n *node) firstLine(dir string, f podlogs.File) ([]byte, error) {
	r, err := podlogs.OpenLog(n.podLogs(), dir, f.String())
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // opened for reading
	buf := make([]byte, 512)
	size, err := io.ReadFull(r, buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	first, _, _ := bytes.Cut(buf[:size], []byte{'\n'})
	return first, nil
}

// checkLogWriters finds containers that write to a rotated log: their log was not
// reopened. For a moment of each rotation that is normal.
func checkLogWriters(ctx context.Context, n *node) Check {
	stuck := n.tree().containers
	for pass := range 2 {
		if pass > 0 {
			n.sys.pause(ctx)
		}
		candidates := stuck
		stuck = nil
		for _, c := range candidates {
			if pass > 0 {
				c.files, _ = podlogs.ListDir(n.podLogs(), c.dir, maxFiles) // it may have been removed
			}
			at, err := n.writesRotated(c)
			if err != nil {
				return skipUnreadable("which logs are open for writing", err)
			}
			if at != nil {
				stuck = append(stuck, container{c.dir, []podlogs.File{*at}})
			}
		}
		if len(stuck) == 0 {
			return found(OK, "no container writes to a rotated log")
		}
	}
	c := found(Warn, "rotated logs are still open for writing: %s", display.Plural(len(stuck), "container")).
		detail("The runtime has not reopened the log after a rotation. No line is lost, but nothing limits the file, such as %s.", n.logPath(stuck[0].dir, stuck[0].files[0]))
	if n.daemon().pid == 0 {
		return c.run(n.start())
	}
	for _, s := range stuck {
		o := podlogs.OwnerOf(s.dir)
		c = c.fix("logwatch rotate %s", o.Namespace+"/"+o.Pod+"/"+o.Container)
	}
	return c
}

// writesRotated returns the newest rotated log that is open for writing while the
// live log is absent, or empty and not open. The error: leases do not work.
func (n *node) writesRotated(c container) (*podlogs.File, error) {
	for _, f := range slices.Backward(c.files) { // a live log comes behind its rotated ones
		if f.Kind != podlogs.Live && f.Kind != podlogs.Rotated || !f.Regular {
			continue
		}
		open, err := n.openForWrite(c.dir, f.Name)
		switch {
		case errors.Is(err, podlogs.ErrLeaseUnsupported), n.noPermission(err):
			return nil, err
		case f.Kind == podlogs.Live && (open || f.Size > 0):
			return nil, nil
		case open:
			return &f, nil
		}
	}
	return nil, nil
}

// linksDir is where kubelet creates links to the logs, for log shippers.
const linksDir = "/var/log/containers"

func checkLogLinks(_ context.Context, n *node) Check {
	dir := n.settings().PodLogsDir
	entries, err := os.ReadDir(n.path(linksDir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return found(Skip, "%s does not exist: kubelet has created no links to logs", linksDir)
	case err != nil:
		return found(Warn, "%s cannot be listed", linksDir).cause(err).fix("ls -ld %s", linksDir)
	}
	var elsewhere []string
	good, dangling := 0, 0
	for _, e := range entries {
		target, err := os.Readlink(n.path(linksDir, e.Name()))
		if err != nil {
			continue // not a link
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(linksDir, target)
		}
		next, lerr := os.Readlink(n.path(target))
		switch {
		case !strings.HasPrefix(filepath.Clean(target), filepath.Clean(dir)+"/"):
			elsewhere = append(elsewhere, e.Name()+" → "+target)
		case lerr == nil:
			elsewhere = append(elsewhere, e.Name()+" → "+next)
		case !n.exists(target):
			dangling++
		default:
			good++
		}
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		return found(Fail, "links in %s point outside podLogsDir (%d)", linksDir, len(elsewhere)).
			detail("Log shippers read files that are not rotated: %s.", firstFew(elsewhere)).
			fix("ls -l %s | grep -v ' %s/' # see live-logs and kubelet's podLogsDir", linksDir, dir)
	}
	c := found(OK, "the links in %s point to logs in podLogsDir (%d)", linksDir, good)
	if dangling > 0 {
		c = c.detail("%d more point to logs that were removed; kubelet removes such links.", dangling)
	}
	return c
}
