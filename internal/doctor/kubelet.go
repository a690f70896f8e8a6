package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/setting"
)

var kubeletChecks = []check{
	{"kubelet", checkKubelet, nil},
	{"kubelet-rotation", checkKubeletRotation, []need{needConfig, needKubelet}},
	{"kubelet-cleaning", checkKubeletCleaning, []need{needConfig, needKubelet}},
}

// kubelet is kubelet's configuration of container logs.
type kubelet struct {
	found bool   // a process, or its configuration
	pid   int    // 0: it does not run
	host  string // the program that it is part of; its settings are elsewhere
	file  string // its configuration's path; "": none
	dir   string // of its drop-ins; "": none
	err   error  // of reading them

	MaxSize    int64 // bytes; negative: it does not rotate
	Interval   time.Duration
	PodLogsDir string
	Endpoint   string // of the runtime; "": not set

	from map[string]string        // where a key is set: a path, or a flag; "": nowhere
	path func(seen string) string // where a path that kubelet sees is
}

const (
	maxSizeKey  = "containerLogMaxSize"
	intervalKey = "containerLogMonitorInterval"
	dirKey      = "podLogsDir"
	endpointKey = "containerRuntimeEndpoint"
)

// kubeletDefaults are the keys of its configuration that matter here.
var kubeletDefaults = map[string]string{maxSizeKey: "10Mi", intervalKey: "10s", dirKey: "/var/log/pods", endpointKey: ""}

// kubeletFlags are older names of some keys; a flag overrides every file.
var kubeletFlags = map[string]string{maxSizeKey: "container-log-max-size", endpointKey: "container-runtime-endpoint"}

// kubeletFiles are where installers put its configuration, for when it does not
// run.
var kubeletFiles = []string{
	"/var/lib/kubelet/config.yaml",
	"/etc/kubernetes/kubelet/config.json",
	"/etc/kubernetes/kubelet/kubelet-config.json",
	"/etc/kubernetes/kubelet-config.yaml",
	"/etc/kubernetes/kubelet.conf",
	"/home/kubernetes/kubelet-config.yaml",
}

// findKubelet finds the process, and reads what it was started with.
func (n *node) findKubelet() kubelet {
	k := kubelet{from: map[string]string{}, path: func(path string) string { return n.path(path) }}
	var args []string
	for _, p := range n.processes() {
		name := p.program()
		switch {
		case !n.trusted(p.uid()) || p.inPod(): // either may have any name
		case name == "kubelet" && !k.found:
			k.found, k.pid, args = true, p.PID, p.args
			k.path = func(path string) string { return n.seenBy(p.PID, path) }
		case slices.Contains([]string{"kubelite", "k3s", "k3s-server", "k3s-agent"}, name):
			k.host = name
		}
	}
	k.file, k.dir = flag(args, "config"), flag(args, "config-dir")
	for _, file := range kubeletFiles {
		if k.found {
			break
		}
		if data, err := read(n.path(file)); err == nil && strings.Contains(string(data), "KubeletConfiguration") {
			k.found, k.file = true, file
		}
	}
	if k.found {
		k.err = k.load(args)
	}
	return k
}

// flag returns the value of a long flag, as pflag takes it; the last one counts.
func flag(args []string, name string) (value string) {
	for i, a := range args {
		a, given, joined := strings.Cut(a, "=")
		switch {
		case !strings.HasPrefix(a, "--") || strings.ReplaceAll(a[2:], "_", "-") != name:
		case joined:
			value = given
		case i+1 < len(args):
			value = args[i+1]
		}
	}
	return value
}

// load applies file, drop-ins and flags to the defaults, as kubelet does.
func (k *kubelet) load(args []string) (err error) {
	values := maps.Clone(kubeletDefaults)
	if k.file != "" {
		err = k.merge(values, k.file)
	}
	for _, file := range k.dropIns() {
		err = errors.Join(err, k.merge(values, file))
	}
	for key, name := range kubeletFlags {
		if v := flag(args, name); v != "" {
			values[key], k.from[key] = v, "--"+name
		}
	}
	size, serr := setting.ParseSize(values[maxSizeKey])
	if serr != nil {
		serr = fmt.Errorf("%s %s: %w", maxSizeKey, k.origin(maxSizeKey), serr)
	}
	interval, ierr := time.ParseDuration(values[intervalKey])
	if ierr != nil {
		ierr = fmt.Errorf("%s %s: %w", intervalKey, k.origin(intervalKey), ierr)
	}
	k.MaxSize, k.Interval, k.PodLogsDir, k.Endpoint = size, interval, values[dirKey], values[endpointKey]
	return errors.Join(err, serr, ierr)
}

// dropIns returns the drop-in files, in the order in which they apply.
func (k *kubelet) dropIns() (files []string) {
	const maxDropIns = 1000
	if k.dir == "" {
		return nil
	}
	top := k.path(k.dir)
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".conf" && len(files) < maxDropIns {
			files = append(files, filepath.Join(k.dir, strings.TrimPrefix(path, top)))
		}
		return nil // kubelet does not start with what cannot be listed
	})
	return files
}

// merge applies what a file sets to values.
func (k *kubelet) merge(values map[string]string, file string) error {
	data, err := read(k.path(file))
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("read %s: invalid YAML", file) // without its content: it may have secrets
	}
	for key, byDefault := range kubeletDefaults {
		switch v, ok := doc[key]; {
		case !ok:
		case v == nil, v == "": // the default
			values[key], k.from[key] = byDefault, ""
		default:
			values[key], k.from[key] = fmt.Sprint(v), file
		}
	}
	return nil
}

// origin is where a key is set, for a message.
func (k *kubelet) origin(key string) string {
	switch from := k.from[key]; {
	case from == "":
		return "by default"
	case strings.HasPrefix(from, "--"):
		return "by " + from
	default:
		return "in " + from
	}
}

// rotation is how kubelet rotates, for a message.
func (k *kubelet) rotation() string {
	return text("%s %s %s, %s %v %s", maxSizeKey, setting.FormatSize(k.MaxSize), k.origin(maxSizeKey), intervalKey, k.Interval, k.origin(intervalKey))
}

// set returns the commands that set keys of kubelet's configuration, given as
// "key: value".
func (k *kubelet) set(lines ...string) (cmds []command) {
	for _, l := range lines {
		if key := keyOf(l); strings.HasPrefix(k.from[key], "--") {
			cmds = append(cmds, removeFlag(kubeletFlags[key]))
		}
	}
	file, dir := k.file, k.dir
	if file == "" && dir == "" {
		dir = "/etc/kubernetes/kubelet.conf.d"
	}
	var header []string
	if dir != "" { // a drop-in: the last one has precedence
		file = filepath.Join(dir, "90-logwatch.conf")
		if slices.ContainsFunc(k.dropIns(), func(f string) bool { return f > file }) {
			file = filepath.Join(dir, "zz-logwatch.conf")
		}
		header = []string{"apiVersion: kubelet.config.k8s.io/v1beta1", "kind: KubeletConfiguration"}
	}
	cmds = append(cmds, setKeys(file, k.path(file), header, lines, " && "+systemctl("restart", "kubelet")))
	if dir != k.dir {
		cmds = append(cmds, command("systemctl edit --full kubelet # add --config-dir="+dir+" to its command line"))
	}
	return cmds
}

// flagFiles are where installers put kubelet's command line.
const flagFiles = "/var/lib/kubelet/kubeadm-flags.env /etc/default/kubelet /etc/sysconfig/kubelet " +
	"/etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d/*.conf " +
	"/usr/lib/systemd/system/kubelet.service /usr/lib/systemd/system/kubelet.service.d/*.conf"

// removeFlag is what removes a flag from kubelet's command line, wherever that is.
func removeFlag(name string) command {
	return command(fmt.Sprintf("sed -i -E %s $(grep -ls -e %s %s) && systemctl daemon-reload",
		quote(`s/ *--`+name+`[= ][^ "]+//g`), "--"+name, flagFiles))
}

func checkKubelet(_ context.Context, n *node) Check {
	k := n.kubelet()
	switch {
	case k.host != "" && !k.found:
		return found(Skip, "kubelet runs as part of %s, and its settings cannot be read", k.host).
			detail("It should rotate far later than logwatch: for k3s, --kubelet-arg=container-log-max-size=1Gi.")
	case !k.found:
		return n.orHidden(found(Skip, "kubelet does not run here, and it has no configuration"))
	case k.err != nil:
		return found(Warn, "kubelet's configuration cannot be read").cause(k.err).run(logsOf("kubelet"))
	}
	if k.pid == 0 {
		return found(Warn, "kubelet does not run").detail("Its configuration %s has %s.", k.file, k.rotation()).run(systemctl("start", "kubelet"))
	}
	return found(OK, "kubelet runs (process %d): %s", k.pid, k.rotation())
}

// maxLiveLog returns the size, in bytes, that logwatch lets a live log reach: its
// limit, or half of its total, which overrides minRotationInterval. 0: it rotates
// none.
func maxLiveLog(c config.Config) (live int64) {
	for _, p := range policies(c.Rules) {
		live = max(live, p.MaxSize)
		if p.Rotate && p.MinInterval > 0 {
			live = max(live, p.MaxTotalSize/2)
		}
	}
	if top := c.Annotations.Ceilings; c.Annotations.Enabled && live > 0 {
		size, _ := setting.ParseSize(top["maxSize"]) // 0: none
		total, _ := setting.ParseSize(top["maxTotalSize"])
		live = max(live, size, total/2)
	}
	return live
}

// maxUnread returns how much, in bytes, the largest container may have with all of the unread-log
// budget; 0: nothing is held. A live log that waits for a log reader may reach most of that.
func maxUnread(c config.Config) (total int64) {
	if c.UnreadLogBudget == 0 {
		return 0
	}
	for _, p := range policies(c.Rules) {
		total = max(total, p.MaxTotalSize)
	}
	return total + c.UnreadLogBudget
}

// needKubelet skips a check without kubelet's settings.
func needKubelet(n *node) Check {
	if k := n.kubelet(); !k.found || k.err != nil {
		return found(Skip, "kubelet's settings are not known: see kubelet")
	}
	return Check{}
}

func checkKubeletRotation(_ context.Context, n *node) Check {
	const minBackstop, minInterval = int64(1 << 30), time.Minute // docs/POLICY.md
	k, live, unread := n.kubelet(), maxLiveLog(n.settings().Config), maxUnread(n.settings().Config)
	switch {
	case k.MaxSize < 0:
		return found(OK, "kubelet does not rotate: %s is %s %s", maxSizeKey, setting.FormatSize(k.MaxSize), k.origin(maxSizeKey))
	case live == 0:
		return found(OK, "logwatch rotates nothing (containerLogMaxSize -1), and kubelet does")
	}
	var c Check
	backstop := max(minBackstop, 4*live, k.MaxSize)
	if backstop < unread/8*7 {
		backstop = unread
	}
	lines := []string{maxSizeKey + ": " + setting.FormatSize(backstop), intervalKey + ": 1h"}
	if k.Interval >= minInterval {
		lines = lines[:1]
	}
	switch {
	case k.MaxSize <= live:
		c = found(Fail, "kubelet rotates the same logs at %s", setting.FormatSize(k.MaxSize))
	case k.MaxSize < 2*live:
		c = found(Warn, "kubelet rotates at %s, close to logwatch", setting.FormatSize(k.MaxSize))
	case k.MaxSize < unread/8*7:
		c = found(Warn, "kubelet rotates at %s, and a log that waits for a log reader may reach %s", setting.FormatSize(k.MaxSize), display.Bytes(unread/8*7)).
			detail("That is 7/8 of the largest total and unreadLogBudget together.")
	case k.Interval < minInterval:
		c = found(Warn, "kubelet checks logs every %v", k.Interval).
			detail("Whenever logwatch is late, as after a start, kubelet may rotate first.")
		lines = lines[1:]
	default:
		return found(OK, "kubelet rotates at %s and checks every %v: logwatch always rotates first", setting.FormatSize(k.MaxSize), k.Interval)
	}
	return c.detail("kubelet has %s; logwatch lets a live log reach %s.", k.rotation(), setting.FormatSize(live)).
		detail("Two rotators on the same logs lose lines: on CRI-O a second reopen truncates the new log.").run(k.set(lines...)...)
}

func checkKubeletCleaning(_ context.Context, n *node) Check {
	k, s := n.kubelet(), n.settings()
	switch {
	case k.MaxSize >= 0:
		return found(OK, "kubelet removes the logs of containers that it removes")
	case s.CleanRemovedContainers:
		return found(OK, "logwatch removes the logs of deleted containers, since kubelet does not")
	}
	return found(Warn, "the logs of deleted containers are not removed").
		detail("kubelet does not with %s %s %s: each restart of a container leaves a log.", maxSizeKey, setting.FormatSize(k.MaxSize), k.origin(maxSizeKey)).
		run(n.set("cleanRemovedContainers: true"))
}
