// Package policy decides each container's limits: those of the configuration, its
// profile and the first override that matches, changed by the pod's annotations as
// far as the ceilings allow.
//
// # Guarantees
//
//   - Fields is the only list of the fields of a Policy. A new field is a field of
//     the struct and a row of the table; the configuration's key, flag, override,
//     annotation, ceiling and documentation follow from the row.
//   - The policy that For returns would be valid as a configuration.
//   - No annotation gets more than its ceiling, or than the container has without
//     it where that is more. This includes a total size that follows from a maximum
//     size or a number of files.
//   - An invalid annotation is ignored, and the next in line applies: the pod's,
//     then the configuration. One that asks for too much is capped. Both are
//     reported, in a bounded number of RejectedAnnotations of bounded length that
//     are safe for a terminal.
//   - The first override that matches is the only one that applies.
//   - Sources names the origin of every field.
//
// # Annotations
//
// logwatch/max-size and so on apply to each container of a pod; logwatch/max-size.app
// applies to its container app, and takes precedence. A size without a total of its
// own, for the pod or the container, makes the total that size × the number of
// files; a total for the pod does not apply to a container with its own size.
//
// # Blocking and shutdown
//
// Nothing blocks, and there is nothing to stop. A Resolver does not change: any
// number of goroutines may use it. For takes microseconds and allocates: call it once
// per container and configuration.
//
// # Limitations
//
// Kubernetes allows 63 characters after the slash of an annotation's name, so that
// min-rotation-interval.NAME fits names of up to 41 characters. A sandbox has the
// annotations that its pod had when it was created; later changes apply from the
// pod's next sandbox on.
package policy
