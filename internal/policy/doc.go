// Package policy says which limits hold for one container: those of the
// configuration, or of the first override that matches it, changed by the
// annotations of its pod as far as the administrator lets them.
//
// # Guarantees
//
//   - What For returns would be valid as a configuration: config.Config.Validate
//     takes it, whatever the overrides and annotations say.
//   - No annotation gets more than its ceiling, or than the container has without
//     it where that is more. This holds as well for a total size that follows
//     from a maximum size or a number of files.
//   - An annotation that cannot be is ignored, and the next in line holds: the
//     one for the whole pod, then the configuration. One that asks for too much
//     gets the most there is. Both are told of, in a bounded number of Rejects
//     of bounded length with nothing in them that a terminal would interpret.
//   - The first override that matches is the only one that matters; what it does
//     not set is as for all containers.
//   - Sources names the origin of every field.
//
// # Annotations
//
// logwatch/max-size, max-files, max-total-size, max-age, min-rotation-interval,
// grace-period and compression hold for each container of a pod;
// logwatch/max-size.app holds for its container app, and beats the other.
//
// A larger size without a total size of its own, for the pod or the container,
// makes the total that size × the number of files; a total for the pod does not
// hold for a container that has a size of its own.
//
// # Blocking and shutdown
//
// Nothing blocks, and there is nothing to stop. A Resolver does not change: any
// number of goroutines may use it. For takes some microseconds and allocates:
// call it once a container, and again when the configuration was read again.
//
// # Not promised
//
// Kubernetes allows 63 characters behind the slash of an annotation's name, so
// that min-rotation-interval.NAME fits names of up to 41 characters alone. A
// container with a longer name can have its pod's annotations only.
//
// A sandbox has the annotations that its pod had when it was made. One that is
// changed later holds from the pod's next sandbox on.
package policy
