package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/setting"
)

// kubelet is how kubelet treats containers' logs.
type kubelet struct {
	found  bool   // a process, or its configuration
	pid    int    // 0: it does not run
	within string // the program that it is a part of, whose settings are elsewhere
	file   string // its configuration's path on the node; "": none
	dir    string // of its drop-ins; "": none
	err    error  // of reading them

	MaxSize    int64 // bytes; negative: it does not rotate
	Interval   time.Duration
	PodLogsDir string
	Endpoint   string // of the runtime; "": not said

	from map[string]string // where a key is set: a path, or a flag; "": nowhere
	seen func(string) string
}

// Keys of its configuration that are looked at, with its defaults.
var kubeletDefaults = map[string]string{
	"containerLogMaxSize":         "10Mi",
	"containerLogMonitorInterval": "10s",
	"podLogsDir":                  "/var/log/pods",
	"containerRuntimeEndpoint":    "",
}

// kubeletFlags are older names of some keys; a flag beats every file.
var kubeletFlags = map[string]string{
	"containerLogMaxSize":      "container-log-max-size",
	"containerRuntimeEndpoint": "container-runtime-endpoint",
}

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

// findKubelet looks for the process and reads what it was started with.
func (n *node) findKubelet() kubelet {
	k := kubelet{from: map[string]string{}, seen: func(path string) string { return n.path(path) }}
	var args []string
	for _, p := range n.processes() {
		name := p.program()
		if !n.trusted(p) || p.inPod() { // the same goes for pods
			continue
		}
		if name == "kubelite" || name == "k3s" || name == "k3s-server" || name == "k3s-agent" {
			k.within = name
		}
		if name == "kubelet" {
			k.found, k.pid, k.within, args = true, p.PID, "", p.args
			k.seen = func(path string) string { return n.seenBy(p.PID, path) }
			break
		}
	}
	k.file, k.dir = flag(args, "config"), flag(args, "config-dir")
	if !k.found {
		for _, file := range kubeletFiles {
			if data, err := read(n.path(file)); err == nil && strings.Contains(string(data), "KubeletConfiguration") {
				k.found, k.file = true, file
				break
			}
		}
	}
	if k.found {
		k.err = k.load(args)
	}
	return k
}

// flag is the value of a long flag, as pflag takes it; the last one counts.
func flag(args []string, name string) (value string) {
	for i, a := range args {
		a, given, joined := strings.Cut(a, "=")
		if !strings.HasPrefix(a, "--") || strings.ReplaceAll(a[2:], "_", "-") != name {
			continue
		}
		if joined {
			value = given
		} else if i+1 < len(args) {
			value = args[i+1]
		}
	}
	return value
}

// dropInsAtMost bounds how many files are read.
const dropInsAtMost = 1000

// load puts file, drop-ins and flags over the defaults, as kubelet does.
func (k *kubelet) load(args []string) error {
	values := maps.Clone(kubeletDefaults)
	var err error
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
	bytes, e := setting.ParseSize(values["containerLogMaxSize"])
	if e != nil {
		e = fmt.Errorf("containerLogMaxSize %s: %w", k.origin("containerLogMaxSize"), e)
	}
	k.MaxSize = bytes
	var e2 error
	if k.Interval, e2 = time.ParseDuration(values["containerLogMonitorInterval"]); e2 != nil {
		e2 = fmt.Errorf("containerLogMonitorInterval %s: %w", k.origin("containerLogMonitorInterval"), e2)
	}
	k.PodLogsDir, k.Endpoint = values["podLogsDir"], values["containerRuntimeEndpoint"]
	return errors.Join(err, e, e2)
}

// dropIns are the files below the drop-ins' directory, in the order in which they
// hold.
func (k *kubelet) dropIns() (files []string) {
	if k.dir == "" {
		return nil
	}
	top := k.seen(k.dir)
	_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && filepath.Ext(path) == ".conf" && len(files) < dropInsAtMost {
			files = append(files, filepath.Join(k.dir, strings.TrimPrefix(path, top)))
		}
		return nil // what cannot be listed, kubelet would not start with
	})
	return files
}

// merge puts what a file sets over values.
func (k *kubelet) merge(values map[string]string, file string) error {
	data, err := read(k.seen(file))
	if err != nil {
		return err
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("read %s: it is no YAML", file) // not its content: it may have secrets
	}
	for key, def := range kubeletDefaults {
		switch v, ok := doc[key]; {
		case !ok:
		case v == nil, v == "": // as if it were not there
			values[key], k.from[key] = def, ""
		default:
			values[key], k.from[key] = fmt.Sprint(v), file
		}
	}
	return nil
}

// origin says where a key is set, behind its value.
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

// kubeletHeader makes a file one that kubelet reads.
var kubeletHeader = []string{"apiVersion: kubelet.config.k8s.io/v1beta1", "kind: KubeletConfiguration"}

// set are the commands that give keys of kubelet's configuration other values.
func (k kubelet) set(n *node, pairs ...string) []command {
	restart := " && " + string(n.ctl("restart", "kubelet"))
	var cmds []command
	var lines, wishes, removes []string
	for i := 0; i < len(pairs); i += 2 {
		wishes = append(wishes, pairs[i]+": "+pairs[i+1])
		lines = append(lines, quote(pairs[i]+": "+pairs[i+1]))
		removes = append(removes, "-e "+quote("/^"+pairs[i]+":/d"))
		if name := kubeletFlags[pairs[i]]; strings.HasPrefix(k.from[pairs[i]], "--") {
			cmds = append(cmds, k.unflag(n, name))
		}
	}
	all := strings.Join(lines, " ")
	data, err := read(k.seen(k.file))
	file := quote(k.file)
	switch {
	case k.dir != "":
		head := quote(kubeletHeader[0]) + " " + quote(kubeletHeader[1])
		to := filepath.Join(k.dir, k.dropInName())
		return append(cmds, command(fmt.Sprintf("mkdir -p %s && printf '%%s\\n' %s %s > %s%s", quote(filepath.Dir(to)), head, all, quote(to), restart)))
	case k.file == "":
		const dir = "/etc/kubernetes/kubelet.conf.d"
		k.dir = dir
		return append(k.set(n, pairs...), command("systemctl edit --full kubelet # add --config-dir="+dir+" to its command line"))
	case err == nil && strings.HasPrefix(strings.TrimSpace(string(data)), "{"):
		return append(cmds, command("${EDITOR:-vi} "+file+restart+" # set "+strings.Join(wishes, ", ")))
	}
	return append(cmds, command(edit(k.file, data, removes, all)+restart))
}

// dropInName comes behind the drop-ins that are there: the last one holds.
func (k kubelet) dropInName() string {
	const ours = "90-logwatch.conf"
	for _, file := range k.dropIns() {
		if filepath.Base(file) != ours && file > filepath.Join(k.dir, ours) {
			return "zz-logwatch.conf"
		}
	}
	return ours
}

// flagFiles are where installers put kubelet's command line.
var flagFiles = []string{
	"/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet",
	"/etc/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d/*.conf",
	"/usr/lib/systemd/system/kubelet.service", "/usr/lib/systemd/system/kubelet.service.d/*.conf",
}

// unflag takes a flag off kubelet's command line.
func (k kubelet) unflag(n *node, name string) command {
	for _, pattern := range flagFiles {
		files, _ := filepath.Glob(n.path(pattern)) // the patterns are good
		for _, file := range files {
			data, err := read(file)
			if err == nil && strings.Contains(string(data), "--"+name) {
				return command(fmt.Sprintf("sed -i -E %s %s && systemctl daemon-reload", quote(`s/ *--`+name+`[= ][^ "]+//g`), quote(n.shown(file))))
			}
		}
	}
	return command("systemctl edit --full kubelet # take --" + name + " off its command line")
}

func checkKubelet(_ context.Context, n *node) Check {
	k := n.kubelet()
	switch {
	case k.within != "" && !k.found:
		return skip("kubelet is a part of %s here, and its settings cannot be seen", k.within).
			because("It should rotate far later than logwatch: for k3s, --kubelet-arg=container-log-max-size=1Gi.")
	case !k.found:
		return n.onlyOwn(skip("no kubelet runs here, and no configuration of one was found"))
	case k.err != nil && n.blind(k.err):
		return n.unseen("kubelet's configuration", k.err)
	case k.err != nil:
		return warn("kubelet's configuration cannot be read").because("%v", k.err).do(n.logs("kubelet"))
	}
	how := text("containerLogMaxSize %s %s, containerLogMonitorInterval %v %s",
		size(k.MaxSize), k.origin("containerLogMaxSize"), k.Interval, k.origin("containerLogMonitorInterval"))
	if k.pid == 0 {
		return warn("kubelet does not run").because("Its configuration %s says %s.", k.file, how).do(n.ctl("start", "kubelet"))
	}
	return okay("kubelet runs (process %d): %s", k.pid, how)
}

func size(bytes int64) string { return setting.FormatSize(bytes) }

// largest is how large logwatch lets a live log become, in bytes: its limit, or
// half of its total, which overrides minRotationInterval. 0: it rotates none.
func largest(c config.Config) (most int64) {
	for _, p := range policies(c.Rules) {
		most = max(most, p.MaxSize)
		if p.Rotate && p.MinInterval > 0 {
			most = max(most, p.MaxTotalSize/2)
		}
	}
	if top := c.Annotations.Ceilings; c.Annotations.Enabled && most > 0 {
		size, _ := setting.ParseSize(top["maxSize"]) // 0: none
		total, _ := setting.ParseSize(top["maxTotalSize"])
		most = max(most, size, total/2)
	}
	return most
}

// What kubelet should have beside logwatch: docs/POLICY.md.
const (
	backstopSize     = 1 << 30
	backstopInterval = "1h"
	shortInterval    = time.Minute
)

func checkKubeletRotation(_ context.Context, n *node) Check {
	k, most := n.kubelet(), largest(n.settings().Config)
	switch {
	case !k.found || k.err != nil:
		return skip("kubelet's settings are not known: see kubelet")
	case k.MaxSize < 0:
		return okay("kubelet does not rotate: containerLogMaxSize is %s %s", size(k.MaxSize), k.origin("containerLogMaxSize"))
	case most == 0:
		return okay("logwatch rotates nothing (containerLogMaxSize -1), and kubelet does")
	}
	wanted := int64(backstopSize)
	for wanted < 4*most {
		wanted *= 2
	}
	pairs := []string{"containerLogMaxSize", size(max(wanted, k.MaxSize)), "containerLogMonitorInterval", backstopInterval}
	if k.Interval >= shortInterval {
		pairs = pairs[:2]
	}
	const why = "Two rotators on the same logs lose lines: on CRI-O a second reopening truncates the fresh log."
	said := text("%s %s", size(k.MaxSize), k.origin("containerLogMaxSize"))
	switch {
	case k.MaxSize <= most:
		return fail("kubelet rotates the same logs at %s", size(k.MaxSize)).
			because("containerLogMaxSize is %s; logwatch lets a live log reach %s.", said, size(most)).because(why).do(k.set(n, pairs...)...)
	case k.MaxSize < 2*most:
		return warn("kubelet rotates at %s, which is close to the %s that logwatch lets a live log reach", size(k.MaxSize), size(most)).
			because("containerLogMaxSize is %s.", said).because(why).do(k.set(n, pairs...)...)
	case k.Interval < shortInterval:
		return warn("kubelet looks at the logs each %v", k.Interval).
			because("containerLogMonitorInterval is %v %s. Whenever logwatch is late, as after a start, kubelet may come first.", k.Interval, k.origin("containerLogMonitorInterval")).
			because(why).do(k.set(n, pairs[2:]...)...)
	}
	return okay("kubelet rotates at %s each %v, and so never comes first", size(k.MaxSize), k.Interval)
}

func checkKubeletCleaning(_ context.Context, n *node) Check {
	k, s := n.kubelet(), n.settings()
	switch {
	case !k.found || k.err != nil:
		return skip("kubelet's settings are not known: see kubelet")
	case k.MaxSize >= 0:
		return okay("kubelet removes the logs of containers that it removes")
	case s.CleanRemovedContainers:
		return okay("logwatch removes the logs of removed containers, since kubelet does not")
	}
	return warn("nobody removes the logs of containers that are removed").
		because("kubelet does not with containerLogMaxSize %s %s: each restart of a container leaves a log.", size(k.MaxSize), k.origin("containerLogMaxSize")).
		do(n.set("cleanRemovedContainers", "true"))
}
