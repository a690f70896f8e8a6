package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoSocket is what Endpoint returns while none of the usual sockets exists.
// The runtime may not have been started yet: a caller can wait and ask again.
var ErrNoSocket = errors.New("no container runtime socket found")

// usualSockets are where containerd, CRI-O and cri-dockerd listen. /var/run is a
// link to /run on most nodes, but need not be one in a container's image.
var usualSockets = []string{
	"/run/containerd/containerd.sock",
	"/run/crio/crio.sock",
	"/run/cri-dockerd.sock",
	"/var/run/containerd/containerd.sock",
	"/var/run/crio/crio.sock",
	"/var/run/cri-dockerd.sock",
}

const scheme = "unix://"

// maxSocketPath is the longest path in bytes that fits sockaddr_un with its
// final zero byte, see unix(7).
const maxSocketPath = 107

// Endpoint returns the address to dial, unix:///…: the configured one, whether
// it exists or not, or else the first usual socket that exists now. The error
// wraps ErrNoSocket when there is none.
func (c Config) Endpoint() (string, error) {
	path, err := socketPath(c.ContainerRuntimeEndpoint)
	if err != nil {
		return "", fmt.Errorf("containerRuntimeEndpoint: %w", err)
	}
	if path == "" {
		if path, err = firstSocket(usualSockets); err != nil {
			return "", err
		}
	}
	return scheme + path, nil
}

func firstSocket(paths []string) (string, error) {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w (looked for %s): start the runtime, or set containerRuntimeEndpoint",
		ErrNoSocket, strings.Join(paths, ", "))
}

// socketPath takes unix:///path or /path; "" stays "".
func socketPath(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	path := strings.TrimPrefix(endpoint, scheme)
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is no socket: write unix:// and an absolute path, such as unix:///run/containerd/containerd.sock", endpoint)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("%q is %d bytes long: the kernel takes at most %d", path, len(path), maxSocketPath)
	}
	return path, nil
}
