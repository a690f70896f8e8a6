package kubelet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
	"github.com/logwatch/logwatch/test/containerd"
)

// width is that of a line without its newline.
const width = 119

// pod is a static pod with one container, app, of the logwriter.
type pod struct {
	n    *node
	name string
	dir  string // of the logs, relative to podLogsDir
}

// podSpec describes a pod.
type podSpec struct {
	name    string
	rate    int    // bytes/s; 0: as fast as it goes
	lines   uint64 // 0: no end
	linger  bool   // keep running after the last line
	restart bool
	storage string // limits.ephemeral-storage
}

// lasting returns the number of lines that a rate makes in so many seconds.
func lasting(seconds float64, rate int) uint64 { return uint64(seconds * float64(rate) / (width + 1)) }

// run creates the manifest of a pod and waits for its log.
func (n *node) run(s podSpec) *pod {
	n.t.Helper()
	container := corev1.Container{
		Name: "app", Image: containerd.Image, ImagePullPolicy: corev1.PullNever, Command: []string{"/logwriter"},
		Args: []string{
			fmt.Sprintf("-line=%d", width), fmt.Sprintf("-rate=%d", s.rate), fmt.Sprintf("-lines=%d", s.lines), fmt.Sprintf("-linger=%v", s.linger),
		},
	}
	// kubelet gives each sandbox a seccomp profile, except for those of privileged
	// containers, and the built runc has no seccomp.
	privileged := true
	container.SecurityContext = &corev1.SecurityContext{Privileged: &privileged}
	if s.storage != "" {
		container.Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse(s.storage)}
	}
	grace := int64(1)
	manifest := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: s.name, Namespace: "default"},
		Spec: corev1.PodSpec{
			HostNetwork: true, TerminationGracePeriodSeconds: &grace, RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{container},
		},
	}
	if s.restart {
		manifest.Spec.RestartPolicy = corev1.RestartPolicyAlways
	}
	content, err := json.Marshal(manifest)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := os.WriteFile(n.manifest(s.name), content, 0o600); err != nil {
		n.t.Fatal(err)
	}
	p := &pod{n: n, name: s.name}
	testutil.Eventually(n.t, "the log of "+s.name, func() bool {
		logs, _ := filepath.Glob(filepath.Join(n.PodLogsDir(), fmt.Sprintf("default_%s-%s_*/app/0.log", s.name, hostname))) // the pattern is valid
		if len(logs) == 1 {
			p.dir, _ = filepath.Rel(n.PodLogsDir(), filepath.Dir(logs[0])) // it is below
		}
		return p.dir != ""
	})
	return p
}

func (n *node) manifest(name string) string { return filepath.Join(n.manifests(), name+".json") }

// remove removes the pod's manifest.
func (p *pod) remove() {
	p.n.t.Helper()
	if err := os.Remove(p.n.manifest(p.name)); err != nil {
		p.n.t.Fatal(err)
	}
}

func (p *pod) path() string { return filepath.Join(p.n.PodLogsDir(), p.dir) }

// names returns the names of the logs of one restart; "": of all.
func (p *pod) names(base string) (names []string) {
	p.n.t.Helper()
	entries, err := os.ReadDir(p.path())
	if err != nil && !os.IsNotExist(err) {
		p.n.t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), base) {
			names = append(names, e.Name())
		}
	}
	return names
}

// bytes returns the size of all logs.
func (p *pod) bytes() (sum int64) {
	for _, name := range p.names("") {
		if st, err := os.Stat(filepath.Join(p.path(), name)); err == nil {
			sum += st.Size()
		}
	}
	return sum
}

// logs is the path that kubelet serves for kubectl logs.
func (p *pod) logs(query string) string {
	return fmt.Sprintf("/containerLogs/default/%s-%s/app?%s", p.name, hostname, query)
}

// followTimeout ends a follower that waits for nothing. A busy machine takes longer than
// measure for what a container writes.
func followTimeout() time.Duration { return 4**measure + time.Minute }

// follow is kubectl logs -f, until kubelet ends it because the container has. The
// returned function waits for that.
func (p *pod) follow() func() linecheck.Report {
	p.n.t.Helper()
	type result struct {
		linecheck.Report
		error
	}
	ctx, cancel := context.WithTimeout(p.n.t.Context(), followTimeout())
	done := make(chan result, 1)
	go func() {
		defer cancel()
		body, err := p.n.open(ctx, p.logs("follow=true"))
		for err != nil && ctx.Err() == nil { // kubelet does not know yet that it has started
			time.Sleep(10 * time.Millisecond)
			body, err = p.n.open(ctx, p.logs("follow=true"))
		}
		if err != nil {
			done <- result{error: err}
			return
		}
		defer body.Close() //nolint:errcheck // opened for reading
		var checker linecheck.Checker
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			checker.Add(lines.Bytes())
		}
		done <- result{checker.Report(), lines.Err()}
	}()
	return func() linecheck.Report {
		p.n.t.Helper()
		r := <-done
		if r.error != nil {
			p.n.t.Errorf("follow %s: %v", p.name, r.error)
		}
		return r.Report
	}
}

// check fails the test unless each of so many lines is there once, in order.
func (p *pod) check(lines uint64) linecheck.Result {
	p.n.t.Helper()
	res, err := linecheck.Container(p.n.PodLogsDir(), p.dir)
	if err != nil {
		p.n.t.Fatal(err)
	}
	if err := res.OK(written(lines)); err != nil {
		p.n.t.Errorf("%s: %v", p.name, err)
	}
	if res.Pruned() > 0 {
		p.n.t.Errorf("%s: %d lines are missing at the front", p.name, res.Pruned())
	}
	return res
}

func written(lines uint64) map[string]uint64 { return map[string]uint64{crilog.Stdout: lines} }

// text returns what kubelet serves for kubectl logs, "" if it is an error.
func (p *pod) text(query string) string {
	text, _ := p.n.get(p.logs(query))
	return text
}

// container returns the ID of a restart, and whether it has ended.
func (p *pod) container(attempt uint32) (id string, ended bool) {
	p.n.t.Helper()
	list, err := p.n.Runtime().ListContainers(p.n.t.Context(), &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		LabelSelector: map[string]string{"io.kubernetes.pod.name": p.name + "-" + hostname},
	}})
	if err != nil {
		p.n.t.Fatal(err)
	}
	for _, c := range list.GetContainers() {
		if c.GetMetadata().GetAttempt() == attempt {
			return c.GetId(), c.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED
		}
	}
	return "", false
}

// wait blocks until the pod's first container has ended, for as long as it writes.
func (p *pod) wait() {
	p.n.t.Helper()
	for ended := false; !ended; {
		before := p.bytes()
		testutil.Eventually(p.n.t, "lines, or the end, of "+p.name, func() bool {
			_, ended = p.container(0)
			return ended || p.bytes() != before
		})
	}
}

// kill ends a container as a crash does.
func (p *pod) kill(attempt uint32) {
	p.n.t.Helper()
	id, _ := p.container(attempt)
	if _, err := p.n.Runtime().StopContainer(p.n.t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id}); err != nil {
		p.n.t.Fatal(err)
	}
}

// number is how a line has its number.
func number(line uint64) string { return fmt.Sprintf(" %010d ", line) }
