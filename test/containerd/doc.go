// Package containerd starts a private containerd for tests and benchmarks and runs
// pods on it as kubelet does. It requires only Go's module proxy and a C compiler: the
// programs are built from pinned versions, the image is built here, and pods use the
// host's network.
//
// Build (or ToolsFromPath, for an installed containerd) returns the Tools, Start a
// running Containerd. It requires root. It does not interfere with other instances of
// containerd: root, state, sockets, runc's state and the cgroup parent are below one
// temporary directory or named after it. Only shim sockets are in /run/containerd/s,
// where the shim creates them; their names are hashes that include the private
// directory.
//
// # Guarantees
//
// Stop removes every pod, stops the daemon, and removes the temporary directory. It
// returns an error if a mount or a process had to be removed by force. It works after
// Kill and when called twice. A pod logs directory given in Options is kept, with its
// logs.
//
// When the test process dies, the kernel kills the daemon. Shims, containers and
// mounts then stay until the next Start in the same BaseDir, or a call of RemoveStale:
// both remove what belongs to dead owners, which a file lock proves.
//
// # Blocking and concurrency
//
// Methods block until the runtime has answered or their context ends. Build and
// ToolsFromPath wait for other processes that build into the same cache. Kill,
// Restart and Stop exclude each other; everything else may run at any time, and
// fails while the daemon is down. Methods of one Pod may be called from several
// goroutines.
//
// # Limitations
//
// There are no images except for the built-in one (see test/logwriter) and imported
// ones, no CNI, no AppArmor profile, no seccomp profile with the built runc, and no
// kubelet: nothing restarts a container that ends.
package containerd
