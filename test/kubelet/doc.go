// Package kubelet tests logwatch beside a real kubelet. The kubelet runs standalone with
// static pods on the containerd of package containerd, and is built from the module in
// build, with which the project itself has nothing in common. The tests require root,
// and Go's module proxy the first time: the program is kept in the same cache.
//
// A kubelet has paths that no flag changes, and sets kernel parameters. It runs in a mount
// namespace of its own, in which private directories and files cover those, so a kubelet
// of the machine is not disturbed.
package kubelet
