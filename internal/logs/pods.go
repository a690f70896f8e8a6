package logs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logwatch/logwatch/internal/status"
)

// pod is a pod's directory: <namespace>_<name>_<uid>, none of which has a "_".
type pod struct {
	namespace, name, uid string
}

func (p pod) dir() string { return p.namespace + "_" + p.name + "_" + p.uid }

func parsePod(dir string) (p pod, ok bool) {
	parts := strings.Split(dir, "_")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return p, false
	}
	return pod{parts[0], parts[1], parts[2]}, true
}

func (d *dir) pods() (found []pod, err error) {
	names, err := d.subs()
	for _, n := range names {
		if p, ok := parsePod(n); ok {
			found = append(found, p)
		}
	}
	return found, err
}

// choosePod opens the directory of the pod that is meant. Pods of the same name
// come one after another, as a StatefulSet's do: the newest is the one that logged
// last, and those before it are told.
func (r *run) choosePod(root *dir) (*dir, error) {
	all, err := root.pods()
	if err != nil {
		return nil, fmt.Errorf("logs: list %s: %w", r.PodLogsDir, err)
	}
	label := status.Escape(r.Namespace + "/" + r.Pod)
	named := slices.DeleteFunc(all, func(p pod) bool { return p.namespace != r.Namespace || p.name != r.Pod })
	if len(named) == 0 {
		return nil, fmt.Errorf("no logs of %s below %s: is the pod on this node? ls %s", label, r.PodLogsDir, r.PodLogsDir)
	}
	meant := slices.DeleteFunc(slices.Clone(named), func(p pod) bool { return !strings.HasPrefix(p.uid, r.UID) })
	switch {
	case len(meant) == 0:
		return nil, fmt.Errorf("no pod %s has the UID %q: there is %s", label, r.UID, uids(named))
	case len(meant) > 1 && r.UID != "":
		return nil, fmt.Errorf("--uid %q: several pods %s have it: there is %s", r.UID, label, uids(meant))
	case len(meant) > 1:
		last := make(map[pod]time.Time)
		for _, p := range meant {
			last[p] = root.lastLogged(p)
		}
		slices.SortFunc(meant, func(a, b pod) int {
			return cmp.Or(last[b].Compare(last[a]), strings.Compare(a.uid, b.uid))
		})
		_, _ = fmt.Fprintf(r.Notes, "logwatch: %d pods had the name %s: this is the one that logged last, %s; before it, with --uid: %s\n",
			len(meant), label, uids(meant[:1]), uids(meant[1:]))
	}
	return root.sub(meant[0].dir())
}

func uids(pods []pod) string {
	var list []string
	for _, p := range pods {
		list = append(list, status.Escape(p.uid))
	}
	return strings.Join(list, ", ")
}

// lastLogged is when something was last written to any of a pod's logs; for a pod
// without logs, when its directory changed.
func (d *dir) lastLogged(p pod) (last time.Time) {
	pd, err := d.sub(p.dir())
	if err != nil {
		return last
	}
	defer pd.f.Close() //nolint:errcheck // opened for reading
	names, err := pd.subs()
	if err != nil {
		return last
	}
	for _, n := range names {
		cd, err := pd.sub(n)
		if err != nil {
			continue
		}
		gens, err := cd.list()
		for i := range gens {
			for _, kind := range gens[i].kinds() {
				if at, statErr := cd.stat(gens[i].name(kind)); err == nil && statErr == nil && at.modified.After(last) {
					last = at.modified
				}
			}
		}
		_ = cd.f.Close() // opened for reading
	}
	if own, err := pd.stat(""); last.IsZero() && err == nil {
		last = own.modified
	}
	return last
}

func (r *run) noContainer(names []string) error {
	label := status.Escape(r.Namespace + "/" + r.Pod)
	if len(names) == 0 {
		return fmt.Errorf("%s has no logs yet: %s is empty", label, status.Escape(r.pod.f.Name()))
	}
	for i := range names {
		names[i] = status.Escape(names[i])
	}
	return fmt.Errorf("%s has no container %q: it has %s", label, r.Container, strings.Join(names, ", "))
}

// Complete returns what an argument NAMESPACE/POD/CONTAINER that begins like this
// may be, up to the next slash. Names that no Kubernetes object has are left out:
// the shell would show them as they are.
func Complete(podLogsDir, begun string) []string {
	root, err := openRoot(podLogsDir)
	if err != nil {
		return nil
	}
	defer root.f.Close() //nolint:errcheck // opened for reading
	all, err := root.pods()
	if err != nil {
		return nil
	}
	parts := strings.Split(begun, "/")
	var found []string
	add := func(text string, names ...string) {
		if strings.HasPrefix(text, begun) && !slices.ContainsFunc(names, unusual) {
			found = append(found, text)
		}
	}
	for _, p := range all {
		switch {
		case len(parts) == 1:
			add(p.namespace+"/", p.namespace)
		case len(parts) == 2 && p.namespace == parts[0]:
			add(p.namespace+"/"+p.name, p.name)
		case len(parts) == 3 && p.namespace == parts[0] && p.name == parts[1]:
			names, err := root.containers(p)
			for _, n := range names {
				if err == nil {
					add(p.namespace+"/"+p.name+"/"+n, n)
				}
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func (d *dir) containers(p pod) (names []string, err error) {
	pd, err := d.sub(p.dir())
	if err != nil {
		return nil, err
	}
	names, err = pd.subs()
	return names, errors.Join(err, pd.f.Close())
}

// unusual reports whether a name is none that Kubernetes allows.
func unusual(name string) bool {
	return name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != ""
}
