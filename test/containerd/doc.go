// Package containerd starts a private containerd for tests and benchmarks and
// runs pods on it the way kubelet does, with nothing but Go's module proxy and
// a C compiler: the programs are built from pinned versions, the one image is
// made here, pods use the host's network.
//
// Build (or ToolsFromPath, for an installed containerd) gives the Tools, Start
// gives a running Containerd. It needs root. It lives beside any other
// containerd: root, state, sockets, runc's state and the cgroup parent are its
// own, below one temporary directory or named after it. Shim sockets alone are
// in /run/containerd/s, where the shim's code wants them; their names are hashes
// that contain the private directory.
//
// # Guarantees
//
// Stop removes every pod, then ends the daemon, then removes the temporary
// directory, and says so when a mount or a process was left to be removed by
// force. It works after Kill and when called twice. A pod logs directory given
// in Options stays, with the logs in it.
//
// When the test process dies, the kernel kills the daemon with it. Shims,
// containers and mounts then stay until the next Start in the same BaseDir, or a
// call of RemoveStale: both remove what belongs to owners that are gone, which
// they know by a file lock and not by a guess.
//
// # Blocking and concurrency
//
// Methods block until the runtime has answered or their context ends. Build and
// ToolsFromPath wait for other processes that build into the same cache. Kill,
// Restart and Stop exclude each other; everything else may run at any time, and
// fails while the daemon is down. Methods of one Pod may be called from several
// goroutines.
//
// # Not promised
//
// No image but the built-in one (see test/logwriter) and those that Import puts in,
// no CNI, no AppArmor profile, no seccomp profile with the built runc, no kubelet:
// nothing restarts a container that ends.
package containerd
