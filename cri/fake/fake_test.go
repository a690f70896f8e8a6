package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/logwatch/logwatch/internal/crilog"
	"github.com/logwatch/logwatch/internal/linecheck"
	"github.com/logwatch/logwatch/internal/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a runtime and a client of it until the test ends.
func start(t testing.TB, opts Options) (*Runtime, runtimeapi.RuntimeServiceClient) {
	t.Helper()
	opts.Dir = t.TempDir()
	r, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(r.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return r, runtimeapi.NewRuntimeServiceClient(conn)
}

func run(t testing.TB, r *Runtime, spec ContainerSpec) *Container {
	t.Helper()
	c, err := r.RunContainer(spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func reopen(ctx context.Context, client runtimeapi.RuntimeServiceClient, c *Container) error {
	_, err := client.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: c.ID()})
	return err
}

// rotate renames the live log and reopens it.
func rotate(t testing.TB, client runtimeapi.RuntimeServiceClient, c *Container, n int) (rotated string) {
	t.Helper()
	rotated = fmt.Sprintf("%s.%06d", c.LogPath(), n)
	if err := os.Rename(c.LogPath(), rotated); err != nil {
		t.Fatal(err)
	}
	if err := reopen(t.Context(), client, c); err != nil {
		t.Fatal(err)
	}
	return rotated
}

// files returns all the log's files, oldest first.
func files(t testing.TB, c *Container) []string {
	t.Helper()
	names, err := filepath.Glob(c.LogPath() + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return append(names, c.LogPath())
}

// records reads the files one after the other.
func records(t testing.TB, names ...string) []crilog.Line {
	t.Helper()
	var out []crilog.Line
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		reader := crilog.NewReader(f)
		for {
			l, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l.Content, l.TimeText = slices.Clone(l.Content), slices.Clone(l.TimeText)
			out = append(out, l)
		}
		_ = f.Close()
	}
	return out
}

// checkWhole fails the test unless every line written is in the files once, in order.
func checkWhole(t testing.TB, c *Container) {
	t.Helper()
	var joiner crilog.Joiner
	var checker linecheck.Checker
	for _, l := range records(t, files(t, c)...) {
		if content, whole := joiner.Add(l); whole {
			checker.Add(content)
		}
	}
	report := checker.Report()
	if err := report.OK(c.Written()); err != nil {
		t.Error(err)
	}
	if n := report.Pruned(); n > 0 {
		t.Errorf("%d lines are missing at the front", n)
	}
	if n := len(joiner.Rest()); n > 0 {
		t.Errorf("%d bytes of lines without an end", n)
	}
	if err := c.Err(); err != nil {
		t.Error(err)
	}
}

func wantCode(t testing.TB, err error, want codes.Code) {
	t.Helper()
	if got := status.Code(err); got != want {
		t.Errorf("got %v (%v); want code %v", got, err, want)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return info.Size()
}

func TestInventory(t *testing.T) {
	r, client := start(t, Options{})
	c := run(t, r, ContainerSpec{
		Namespace: "shop", Pod: "cart-0", UID: "u1", Name: "web", Attempt: 3,
		Labels: map[string]string{"app": "cart"}, Annotations: map[string]string{"logs": "keep"},
	})
	run(t, r, ContainerSpec{Namespace: "shop", Pod: "cart-0", UID: "u1", Name: "side"})
	run(t, r, ContainerSpec{Pod: "other"})

	if want := filepath.Join(r.PodLogsDir(), "shop_cart-0_u1", "web", "3.log"); c.LogPath() != want || c.Dir() != filepath.Dir(want) {
		t.Errorf("log path %s; want %s", c.LogPath(), want)
	}
	if info, err := os.Stat(c.LogPath()); err != nil || info.Mode().Perm()&^0o640 != 0 {
		t.Errorf("%v, %v", info, err)
	}
	st, err := client.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: c.ID()})
	if err != nil {
		t.Fatal(err)
	}
	s := st.Status
	if s.LogPath != c.LogPath() || s.State != runtimeapi.ContainerState_CONTAINER_RUNNING || s.Metadata.Attempt != 3 || s.Metadata.Name != "web" {
		t.Errorf("status %v", s)
	}
	for k, want := range map[string]string{
		"io.kubernetes.pod.namespace": "shop", "io.kubernetes.pod.name": "cart-0",
		"io.kubernetes.pod.uid": "u1", "io.kubernetes.container.name": "web",
	} {
		if s.Labels[k] != want {
			t.Errorf("label %s is %q; want %q", k, s.Labels[k], want)
		}
	}
	checkSandboxes(t, client)
}

// TestLists: both list all containers, a stream in several messages.
func TestLists(t *testing.T) {
	r, client := start(t, Options{})
	var want []string
	for i := range 4 {
		c := run(t, r, ContainerSpec{Pod: fmt.Sprint("cart-", i)})
		want = append(want, c.ID())
		if i == 2 {
			c.Exit()
		}
	}
	list, err := client.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(list.Containers); !slices.Equal(got, want) {
		t.Errorf("list: %v; want %v", got, want)
	}
	if got := streamed(t, client); !slices.Equal(got, want) {
		t.Errorf("stream: %v; want %v", got, want)
	}
}

func checkSandboxes(t *testing.T, client runtimeapi.RuntimeServiceClient) {
	t.Helper()
	pods, err := client.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
	if err != nil || len(pods.Items) != 2 {
		t.Fatalf("%v, %v; want 2 sandboxes", pods, err)
	}
	p := pods.Items[0]
	if p.Labels["app"] != "cart" || p.Labels[labelPod] != "cart-0" || p.Annotations["logs"] != "keep" || p.Metadata.Uid != "u1" || p.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		t.Errorf("sandbox %v", p)
	}
}

func ids(list []*runtimeapi.Container) (out []string) {
	for _, c := range list {
		out = append(out, c.Id)
	}
	return out
}

func streamed(t *testing.T, client runtimeapi.RuntimeServiceClient) (out []string) {
	t.Helper()
	stream, err := client.StreamContainers(t.Context(), &runtimeapi.StreamContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		some, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ids(some.Containers)...)
	}
}

func TestVersion(t *testing.T) {
	for b, want := range map[Style]string{Containerd: "containerd", CRIO: "cri-o"} {
		_, client := start(t, Options{Style: b, NoStream: true})
		v, err := client.Version(t.Context(), &runtimeapi.VersionRequest{})
		if err != nil || v.RuntimeName != want || v.RuntimeApiVersion != "v1" {
			t.Errorf("%v, %v", v, err)
		}
		stream, err := client.StreamContainers(t.Context(), &runtimeapi.StreamContainersRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		wantCode(t, err, codes.Unimplemented)
		_, err = client.Attach(t.Context(), &runtimeapi.AttachRequest{})
		wantCode(t, err, codes.Unimplemented)
	}
}

func TestExitAndRemove(t *testing.T) {
	for _, b := range []Style{Containerd, CRIO} {
		r, client := start(t, Options{Style: b})
		c := run(t, r, ContainerSpec{Writer: &Pattern{BytesPerSecond: 5e6, StderrEvery: 3}, Annotations: map[string]string{"logs": "keep"}})
		testutil.Eventually(t, "the container writes", func() bool { return c.BytesWritten() > 100_000 })
		c.Exit()
		st, err := client.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: c.ID()})
		if err != nil || st.Status.State != runtimeapi.ContainerState_CONTAINER_EXITED || st.Status.FinishedAt == 0 {
			t.Errorf("%v, %v", st, err)
		}
		checkWhole(t, c)
		pods, err := client.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
		if err != nil || len(pods.Items) != 1 || pods.Items[0].State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY || pods.Items[0].Annotations["logs"] != "keep" {
			t.Errorf("sandboxes of an exited container: %v, %v", pods, err)
		}
		if got := size(c.LogPath()); got != c.BytesWritten() {
			t.Errorf("the log has %d bytes; BytesWritten is %d", got, c.BytesWritten())
		}
		wantCode(t, reopen(t.Context(), client, c), codes.Unknown) // no code of its own
		if err := c.Write("stdout", nil); err == nil {
			t.Error("a container that has exited writes")
		}
		c.Remove()
		_, err = client.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: c.ID()})
		wantCode(t, err, codes.NotFound)
		want := codes.NotFound
		if b == CRIO {
			want = codes.Unknown // CRI-O gives this one no code
		}
		wantCode(t, reopen(t.Context(), client, c), want)
		pods, err = client.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
		if err != nil || len(pods.Items) != 0 || !exists(c.LogPath()) {
			t.Errorf("sandboxes %v, %v; log there: %v", pods, err, exists(c.LogPath()))
		}
	}
}

func TestLineFormat(t *testing.T) {
	for b, suffix := range map[Style]string{Containerd: "Z", CRIO: time.Now().Format("-07:00")} {
		r, _ := start(t, Options{Style: b})
		c := run(t, r, ContainerSpec{})
		exact, long := strings.Repeat("x", maxRecord), strings.Repeat("y", 2*maxRecord+1)
		for _, content := range []string{"", "short", exact, long} {
			if err := c.Write("stderr", []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		got := records(t, c.LogPath())
		want := []struct {
			partial bool
			length  int
		}{{false, 0}, {false, 5}, {false, maxRecord}, {true, maxRecord}, {true, maxRecord}, {false, 1}}
		if len(got) != len(want) {
			t.Fatalf("%d records; want %d", len(got), len(want))
		}
		for i, l := range got {
			if l.Partial != want[i].partial || len(l.Content) != want[i].length || l.Stream != "stderr" {
				t.Errorf("record %d: partial %v, %d bytes of %s", i, l.Partial, len(l.Content), l.Stream)
			}
			if !strings.HasSuffix(string(l.TimeText), suffix) || time.Since(l.Time).Abs() > time.Minute {
				t.Errorf("record %d: time %s", i, l.TimeText)
			}
		}
		if c.Write("stdin", nil) == nil || c.Write("stdout", []byte("two\nlines")) == nil {
			t.Error("a bad line was written")
		}
		if err := c.WriteNumbered("stdout", 10, 50); err != nil || c.Written()["stdout"] != 10 {
			t.Errorf("%v, %v", err, c.Written())
		}
	}
}

func TestPathsThatCannotBeOpened(t *testing.T) {
	r, client := start(t, Options{})
	fifo := filepath.Join(r.PodLogsDir(), "fifo")
	link := filepath.Join(r.PodLogsDir(), "link")
	outside := filepath.Join(t.TempDir(), "0.log")
	if err := errors.Join(mkfifo(fifo), os.Symlink(outside, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		NoLog, fifo, link, outside, "relative/0.log",
		r.PodLogsDir(), r.PodLogsDir() + "/../../0.log", r.PodLogsDir() + "/no/dir/0.log",
	} {
		c := run(t, r, ContainerSpec{LogPath: path})
		want := path
		if path == NoLog {
			want = ""
		}
		st, err := client.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: c.ID()})
		if err != nil || st.Status.LogPath != want {
			t.Errorf("%s: %v, %v", path, st, err)
		}
		if c.Write("stdout", nil) == nil || c.Err() == nil {
			t.Errorf("%s: a line was written", path)
		}
		wantCode(t, reopen(t.Context(), client, c), codes.Unknown)
	}
	if exists(outside) {
		t.Errorf("%s was made", outside)
	}
	inside := filepath.Join(r.PodLogsDir(), "inside.log")
	if err := run(t, r, ContainerSpec{LogPath: inside}).Write("stdout", nil); err != nil {
		t.Error(err)
	}
	if _, err := r.RunContainer(ContainerSpec{Pod: "../x"}); err == nil {
		t.Error("a pod's name led out of the directory")
	}
}
