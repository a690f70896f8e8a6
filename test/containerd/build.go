package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What Build installs. The versions are pinned, so that tests are repeatable, and are
// part of the cache directory's name, so that a new version is a new build.
const (
	containerdVersion = "v2.4.2"
	containerdModule  = "github.com/containerd/containerd/v2"
	runcVersion       = "v1.5.2"
	runcModule        = "github.com/opencontainers/runc"
	logwriterPackage  = "github.com/logwatch/logwatch/test/logwriter"
)

// CacheEnv names the environment variable that moves the cache of built
// programs from its default, logwatch in the user's cache directory.
const CacheEnv = "LOGWATCH_TEST_CACHE"

// lockPoll is the pause between two checks for the end of another process's build.
const lockPoll = 100 * time.Millisecond

// Tools are the absolute paths of the programs that a private containerd needs.
type Tools struct {
	Containerd string
	Shim       string // containerd-shim-runc-v2
	Ctr        string
	Runc       string
	Image      string // OCI image archive with the logwriter
}

// Build builds the tools from source, once per version: about a minute and a half
// the first time, under a second afterwards (the logwriter is always built again, from
// the tree that this package was compiled from). It requires the go command, gcc and,
// the first time, a Go module proxy. log, if not nil, is called before slow steps.
func Build(ctx context.Context, log func(string)) (Tools, error) {
	cache, unlock, err := openCache(ctx)
	if err != nil {
		return Tools{}, err
	}
	defer unlock()
	bin := filepath.Join(cache, "containerd-"+containerdVersion+"_runc-"+runcVersion, "bin")
	if err := fill(bin, log, func(tmp string) error { return installAll(ctx, tmp) }); err != nil {
		return Tools{}, err
	}
	return findTools(ctx, bin, cache)
}

// Cached returns the directory name of the cache of built programs. If it does not
// exist, build fills it: the name must change with what is built. build's directory is
// a temporary one, which gets its name when build has succeeded. log, if not nil, is
// called before slow steps.
func Cached(ctx context.Context, name string, log func(string), build func(dir string) error) (string, error) {
	cache, unlock, err := openCache(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(cache, name)
	return dir, fill(dir, log, build)
}

// fill has build fill dir unless it exists, atomically, by a rename: an interrupted
// build does not look complete.
func fill(dir string, log func(string), build func(dir string) error) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if log == nil {
		log = func(string) {}
	}
	log("building into " + dir + ": minutes, this once")
	began := time.Now()
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("remove an unfinished build: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return fmt.Errorf("create the directory for test programs: %w", err)
	}
	if err := build(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("rename the built programs: %w", err)
	}
	log(fmt.Sprintf("built in %s", time.Since(began).Round(time.Second)))
	return nil
}

// ToolsFromPath uses the containerd that is installed in dir, such as a
// distribution's in /usr/bin; what is not there is searched for in PATH. Only the
// logwriter and its image are built.
func ToolsFromPath(ctx context.Context, dir string) (Tools, error) {
	cache, unlock, err := openCache(ctx)
	if err != nil {
		return Tools{}, err
	}
	defer unlock()
	return findTools(ctx, dir, cache)
}

func findTools(ctx context.Context, dir, cache string) (Tools, error) {
	var t Tools
	for name, path := range map[string]*string{
		"containerd": &t.Containerd, shimName: &t.Shim, "ctr": &t.Ctr, "runc": &t.Runc,
	} {
		found, err := exec.LookPath(filepath.Join(dir, name))
		if err != nil {
			found, err = exec.LookPath(name)
		}
		if err != nil {
			return Tools{}, fmt.Errorf("find %s in %s or PATH: %w; install it, or remove the directory if it is a test cache", name, dir, err)
		}
		if *path, err = filepath.Abs(found); err != nil {
			return Tools{}, fmt.Errorf("find %s: %w", name, err)
		}
	}
	var err error
	t.Image, err = buildImage(ctx, cache)
	return t, err
}

// openCache creates the cache directory and takes its lock: go test runs packages in
// parallel processes, and two of them must not build into one directory.
func openCache(ctx context.Context) (dir string, unlock func(), err error) {
	dir = os.Getenv(CacheEnv)
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", nil, fmt.Errorf("find a cache directory for test programs: %w; set %s", err, CacheEnv)
		}
		dir = filepath.Join(user, "logwatch")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, fmt.Errorf("resolve %s: %w", CacheEnv, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, fmt.Errorf("create the cache directory of test programs: %w; set %s to a writable directory", err, CacheEnv)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", nil, fmt.Errorf("open the lock of the test cache: %w", err)
	}
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return dir, func() { _ = lock.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return "", nil, errors.Join(fmt.Errorf("lock %s: %w", lock.Name(), err), lock.Close())
		}
		select {
		case <-ctx.Done():
			return "", nil, errors.Join(fmt.Errorf("wait for another build to release %s: %w", lock.Name(), ctx.Err()), lock.Close())
		case <-time.After(lockPoll):
		}
	}
}

// installAll builds containerd's programs and runc into bin.
func installAll(ctx context.Context, bin string) error {
	args := []string{"install", "-ldflags=-s -w"}
	for _, name := range []string{"containerd", shimName, "ctr"} {
		args = append(args, containerdModule+"/cmd/"+name+"@"+containerdVersion)
	}
	if err := GoCommand(ctx, bin, args, "GOBIN="+bin, "CGO_ENABLED=0"); err != nil {
		return fmt.Errorf("build containerd: %w", err)
	}
	// runc enters namespaces in C, before Go's threads exist.
	args = []string{"install", "-ldflags=-s -w", runcModule + "@" + runcVersion}
	if err := GoCommand(ctx, bin, args, "GOBIN="+bin, "CGO_ENABLED=1"); err != nil {
		return fmt.Errorf("build runc: %w; it requires gcc and the C library's headers", err)
	}
	return nil
}

// buildLogwriter builds the image's static program at path.
func buildLogwriter(ctx context.Context, path string) error {
	// The program must match this package: use the tree that it was compiled from.
	// With -trimpath that is unknown; then use the working directory, which go test
	// sets to a directory in the module.
	dir := "."
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if _, err := os.Stat(file); err == nil {
			dir = filepath.Dir(file)
		}
	}
	args := []string{"build", "-buildvcs=false", "-ldflags=-s -w", "-o", path, logwriterPackage}
	if err := GoCommand(ctx, dir, args, "CGO_ENABLED=0"); err != nil {
		return fmt.Errorf("build the logwriter: %w", err)
	}
	return nil
}

// GoCommand runs the go command in dir, for this platform. Settings of the caller's build
// (flags, targets, workspaces) would break or change the result, so they are replaced;
// those of proxy and module cache are kept.
func GoCommand(ctx context.Context, dir string, args []string, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	// GOFLAGS must not be empty: an empty one falls back to "go env -w".
	cmd.Env = append(os.Environ(), "GOFLAGS=-trimpath", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH, "GOWORK=off", "GOBIN=")
	cmd.Env = append(cmd.Env, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("run go %s: %w; under sudo keep the path: sudo env PATH=\"$PATH\" …", args[0], err)
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, lastLines(out.Bytes(), 20))
	}
	return nil
}

// lastLines returns the last n lines of a program's output.
func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
