package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoSocket is returned by Endpoint while none of the usual sockets exists. The
// runtime may not have been started yet: a caller can wait and retry.
var ErrNoSocket = errors.New("no container runtime socket found")

// usualSockets are those of containerd, CRI-O and cri-dockerd. /var/run is a link
// to /run on most nodes, but need not be one in a container's image.
var usualSockets = []string{
	"/run/containerd/containerd.sock",
	"/run/crio/crio.sock",
	"/run/cri-dockerd.sock",
	"/var/run/containerd/containerd.sock",
	"/var/run/crio/crio.sock",
	"/var/run/cri-dockerd.sock",
}

const scheme = "unix://"

// Endpoint returns the address to dial, unix:///…: the configured one, whether it
// exists or not, or else the first usual socket that exists now. The error wraps
// ErrNoSocket when there is none.
func (c Config) Endpoint() (string, error) {
	if err := checkEndpoint(c.ContainerRuntimeEndpoint); err != nil {
		return "", fmt.Errorf("containerRuntimeEndpoint: %w", err)
	}
	if path := strings.TrimPrefix(c.ContainerRuntimeEndpoint, scheme); path != "" {
		return scheme + path, nil
	}
	return firstSocket(usualSockets)
}

func firstSocket(paths []string) (string, error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			return scheme + path, nil
		}
	}
	return "", fmt.Errorf("%w (tried %s): start the runtime, or set containerRuntimeEndpoint",
		ErrNoSocket, strings.Join(paths, ", "))
}

// checkEndpoint accepts unix:///path, /path and "".
func checkEndpoint(endpoint string) error {
	path := strings.TrimPrefix(endpoint, scheme)
	if endpoint != "" && !filepath.IsAbs(path) {
		return fmt.Errorf("invalid socket %q: use unix:// and an absolute path, such as unix:///run/containerd/containerd.sock", endpoint)
	}
	return checkSocketLength(path)
}

// maxSocketPath is the longest path in bytes that fits sockaddr_un with its final
// zero byte, see unix(7).
const maxSocketPath = 107

func checkSocketLength(path string) error {
	if len(path) > maxSocketPath {
		return fmt.Errorf("invalid socket %q: must be at most %d bytes long, got %d", path, maxSocketPath, len(path))
	}
	return nil
}
