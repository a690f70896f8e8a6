// Package image tests what runs logwatch in a cluster: the container image
// (Dockerfile, hack/image), the manifests for Kubernetes and OpenShift, and
// kubelet's drop-in (configs).
//
// There is no cluster in these tests. The image is built by hack/image and imported
// into a real containerd, and a pod is made there of the very pod spec that kustomize
// renders, translated to CRI as kubelet does it. What that pod may do is what the
// manifest gives it: the same capabilities, seccomp profile, mounts and user. Of the
// manifests that need something that is not here (OpenShift, a cluster network, the
// Prometheus Operator) the shape is checked alone.
package image
