package logs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/display"
	"github.com/logwatch/logwatch/internal/podlogs"
)

// choosePod returns the directory of the selected pod. Pods of the same name exist
// one after another, as a StatefulSet's do: the one that logged last is chosen, and
// a warning lists the earlier ones.
func (r *run) choosePod() (string, error) {
	all, err := podlogs.Pods(r.PodLogsDir)
	if err != nil {
		return "", fmt.Errorf("logs: %w: specify the directory with --pod-logs-dir, or the daemon's file with --config", explain(err))
	}
	label := display.Escape(r.Namespace + "/" + r.Pod)
	named := slices.DeleteFunc(all, func(dir string) bool {
		p := podlogs.OwnerOf(dir)
		return p.Namespace != r.Namespace || p.Pod != r.Pod || p.UID == ""
	})
	if len(named) == 0 {
		return "", fmt.Errorf("no logs of %s below %s: is the pod on this node? ls %s", label, r.PodLogsDir, r.PodLogsDir)
	}
	matching := slices.DeleteFunc(slices.Clone(named), func(dir string) bool { return !strings.HasPrefix(podlogs.OwnerOf(dir).UID, r.UID) })
	switch {
	case len(matching) == 0:
		return "", fmt.Errorf("no pod %s has the UID %q: there is %s", label, r.UID, uids(named))
	case len(matching) > 1 && r.UID != "":
		return "", fmt.Errorf("--uid %q: several pods %s have it: there is %s", r.UID, label, uids(matching))
	case len(matching) > 1:
		last := make(map[string]time.Time)
		for _, dir := range matching {
			last[dir] = r.lastLogged(dir)
		}
		slices.SortFunc(matching, func(a, b string) int { return cmp.Or(last[b].Compare(last[a]), strings.Compare(a, b)) })
		_, _ = fmt.Fprintf(r.Warnings, "logwatch: %d pods had the name %s: this is the one that logged last, %s; before it, with --uid: %s\n",
			len(matching), label, uids(matching[:1]), uids(matching[1:]))
	}
	return matching[0], nil
}

func uids(dirs []string) string {
	var list []string
	for _, dir := range dirs {
		list = append(list, display.Escape(podlogs.OwnerOf(dir).UID))
	}
	return strings.Join(list, ", ")
}

// lastLogged is the time of the last write to any of a pod's logs; for a pod
// without logs, when its directory changed.
func (r *run) lastLogged(pod string) (last time.Time) {
	names, _ := podlogs.Containers(r.PodLogsDir, pod)
	for _, name := range names {
		files, _ := podlogs.ListDir(r.fs, pod+"/"+name, maxGenerations)
		for _, f := range files {
			if f.Modified.After(last) {
				last = f.Modified
			}
		}
	}
	if d, err := r.fs.OpenDir(pod); err == nil {
		if st, err := d.Stat("."); err == nil && last.IsZero() {
			last = st.Modified
		}
		_ = d.Close() // opened for reading
	}
	return last
}

func (r *run) noContainer(names []string) error {
	label := display.Escape(r.Namespace + "/" + r.Pod)
	if len(names) == 0 {
		return fmt.Errorf("%s has no logs yet: %s is empty", label, display.Escape(r.PodLogsDir+"/"+r.pod))
	}
	for i := range names {
		names[i] = display.Escape(names[i])
	}
	return fmt.Errorf("%s has no container %q: it has %s", label, r.Container, strings.Join(names, ", "))
}

// Complete returns the completions, up to the next slash, of an argument
// NAMESPACE/POD/CONTAINER. Names that no Kubernetes object can have are left out:
// the shell would print them unescaped.
func Complete(podLogsDir, prefix string) []string {
	parts := strings.Split(prefix, "/")
	var found []string
	add := func(text string, names ...string) {
		if strings.HasPrefix(text, prefix) && !slices.ContainsFunc(names, isInvalid) {
			found = append(found, text)
		}
	}
	pods, _ := podlogs.Pods(podLogsDir)
	for _, dir := range pods {
		p := podlogs.OwnerOf(dir)
		switch {
		case p.UID == "":
		case len(parts) == 1:
			add(p.Namespace+"/", p.Namespace)
		case len(parts) == 2 && p.Namespace == parts[0]:
			add(p.Namespace+"/"+p.Pod, p.Pod)
		case len(parts) == 3 && p.Namespace == parts[0] && p.Pod == parts[1]:
			names, _ := podlogs.Containers(podLogsDir, dir)
			for _, n := range names {
				add(p.Namespace+"/"+p.Pod+"/"+n, n)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// isInvalid reports whether Kubernetes does not allow a name.
func isInvalid(name string) bool {
	return name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != ""
}
