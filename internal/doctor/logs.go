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
	"time"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// tree is what is below podLogsDir.
type tree struct {
	err        error            // podLogsDir itself could not be listed
	pods       int              // directories
	containers map[string]int64 // bytes that a container's directory holds, by "<pod>/<container>"
	live       []liveLog
	rotated    []string // paths, as far as they may be needed
	newest     podlogs.Name
	newestPath string
}

// liveLog is N.log, whatever kind of file it is.
type liveLog struct {
	path   string // below root
	mode   fs.FileMode
	size   int64
	target string // of a link
}

// rotatedKept is how many paths of rotated logs are kept: to try something on.
const rotatedKept = 3

// walk lists podLogsDir, two levels deep, and follows no link below it.
func (n *node) walk() tree {
	t := tree{containers: map[string]int64{}}
	dir := n.path(n.settings().PodLogsDir)
	pods, err := os.ReadDir(dir)
	if err != nil {
		t.err = err
		return t
	}
	for _, pod := range pods {
		if !pod.IsDir() {
			continue
		}
		t.pods++
		containers, _ := os.ReadDir(filepath.Join(dir, pod.Name())) // it may have gone
		for _, c := range containers {
			if c.IsDir() {
				t.list(dir, filepath.Join(pod.Name(), c.Name()))
			}
		}
	}
	return t
}

// list adds a container's directory.
func (t *tree) list(dir, container string) {
	t.containers[container] = 0
	entries, _ := os.ReadDir(filepath.Join(dir, container)) // as above
	for _, e := range entries {
		path := filepath.Join(dir, container, e.Name())
		info, err := e.Info()
		if err != nil {
			continue // it has just been rotated
		}
		if info.Mode().IsRegular() {
			t.containers[container] += info.Size()
		}
		name, ok := podlogs.ParseName(e.Name())
		switch {
		case !ok:
		case name.Kind == podlogs.Live:
			l := liveLog{path: path, mode: info.Mode(), size: info.Size()}
			if info.Mode().Type() == fs.ModeSymlink {
				l.target, _ = os.Readlink(path) // "": it has gone
			}
			t.live = append(t.live, l)
		case info.Mode().IsRegular():
			if len(t.rotated) < rotatedKept {
				t.rotated = append(t.rotated, path)
			}
			if name.Stamp.After(t.newest.Stamp) {
				t.newest, t.newestPath = name, path
			}
		}
	}
}

func (t tree) held() (bytes int64) {
	for _, b := range t.containers {
		bytes += b
	}
	return bytes
}

// missing is the outcome of a check without a tree.
func (n *node) missing(t tree) Check {
	if n.blind(t.err) {
		return n.unseen(n.settings().PodLogsDir, t.err)
	}
	return skip("podLogsDir cannot be listed: see pod-logs-dir")
}

// formatsSeen bounds how many logs are opened to see their format.
const formatsSeen = 20

func checkLiveLogs(_ context.Context, n *node) Check {
	t := n.tree()
	if t.err != nil {
		return n.missing(t)
	}
	var links, strange []liveLog
	for _, l := range t.live {
		switch {
		case l.mode.Type() == fs.ModeSymlink:
			links = append(links, l)
		case !l.mode.IsRegular():
			strange = append(strange, l)
		}
	}
	switch {
	case len(links) > 0:
		c := fail("%d of %s are links, which are not rotated", len(links), plural(len(t.live), "live log")).
			because("%s leads to %s.", n.shown(links[0].path), links[0].target)
		if strings.Contains(links[0].target, "/docker/") {
			return c.because("Docker's json-file driver writes and rotates that file itself; cri-dockerd does not support the reopening of logs.").
				because(`Limit it there ("log-opts": {"max-size": "10m", "max-file": "5"}), or run the node with containerd or CRI-O.`).
				do("${EDITOR:-vi} /etc/docker/daemon.json && " + n.ctl("restart", "docker"))
		}
		return c.because("logwatch follows no link: who makes one could have any file renamed.").
			mend("readlink -f %s # see what makes it, and have that write to podLogsDir", n.shown(links[0].path))
	case len(strange) > 0:
		return fail("%d of %s are no regular files, and are not rotated", len(strange), plural(len(t.live), "live log")).
			mend("ls -l %s", n.shown(strange[0].path))
	}
	return n.formats(t.live)
}

// formats reads the first line of some logs.
func (n *node) formats(live []liveLog) Check {
	seen := 0
	for _, l := range live {
		if l.size == 0 || seen == formatsSeen {
			continue
		}
		first, err := firstLine(l.path)
		if err != nil {
			if n.blind(err) {
				return n.unseen("what live logs look like", err)
			}
			continue // it has just been rotated
		}
		seen++
		if _, err := crilog.Parse(first); err == nil {
			continue
		}
		c := warn("%s is not in CRI's format", n.shown(l.path))
		if bytes.HasPrefix(first, []byte(`{"log":`)) {
			c = fail("%s is in the format of Docker's json-file driver", n.shown(l.path)).
				because("Docker does not reopen a log that was renamed: it would write on into the rotated one.")
		}
		return c.because("It begins with: %s", clip(first)).
			mend("lsof %s # see what writes it", n.shown(l.path))
	}
	if len(live) == 0 {
		return okay("there are no live logs yet")
	}
	return okay("%s: regular files; %d of them looked into, all in CRI's format", plural(len(live), "live log"), seen)
}

func clip(b []byte) string { return string(b[:min(len(b), 60)]) }

// firstLine reads a log's first line, or as much as tells what it is.
func firstLine(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	buf := make([]byte, 512)
	got, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	first, _, _ := bytes.Cut(buf[:got], []byte{'\n'})
	return first, nil
}

// shown is a path without root, as on the node.
func (n *node) shown(path string) string {
	if rel, err := filepath.Rel(n.root, path); err == nil {
		return "/" + rel
	}
	return path
}

// linksDir is where kubelet makes links to the logs, for shippers.
const linksDir = "/var/log/containers"

func checkLogLinks(_ context.Context, n *node) Check {
	dir := n.settings().PodLogsDir
	entries, err := os.ReadDir(n.path(linksDir))
	switch {
	case n.blind(err):
		return n.unseen(linksDir, err)
	case errors.Is(err, fs.ErrNotExist):
		return skip("there is no %s: kubelet has made no links to logs", linksDir)
	case err != nil:
		return warn("%s cannot be listed", linksDir).because("%v", err).mend("ls -ld %s", linksDir)
	}
	var elsewhere []string
	good, dangling := 0, 0
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink {
			continue
		}
		target, err := os.Readlink(n.path(linksDir, e.Name()))
		if err != nil {
			continue
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(linksDir, target)
		}
		switch st, err := os.Lstat(n.path(target)); {
		case !strings.HasPrefix(filepath.Clean(target), filepath.Clean(dir)+"/"):
			elsewhere = append(elsewhere, e.Name()+" → "+target)
		case err != nil:
			dangling++
		case st.Mode().Type() == fs.ModeSymlink:
			next, _ := os.Readlink(n.path(target)) // "": it has gone
			elsewhere = append(elsewhere, e.Name()+" → "+next)
		default:
			good++
		}
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		return fail("links in %s lead out of podLogsDir (%d)", linksDir, len(elsewhere)).
			because("Log shippers read what is not rotated: %s.", some(elsewhere)).
			mend("ls -l %s | grep -v ' %s/' # see live-logs and kubelet's podLogsDir", linksDir, dir)
	}
	c := okay("the links in %s lead to logs in podLogsDir (%d)", linksDir, good)
	if dangling > 0 {
		c = c.because("%d more lead to logs that are gone; kubelet removes such links.", dangling)
	}
	return c
}

// ahead is how far a name's stamp is past the clock. It is made of local time.
func (t tree) ahead(now time.Time) time.Duration {
	if t.newest.Stamp.IsZero() {
		return 0
	}
	y, mo, d := now.Date()
	h, mi, s := now.Clock()
	return t.newest.Stamp.Sub(time.Date(y, mo, d, h, mi, s, 0, time.UTC))
}
