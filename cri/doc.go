// Package cri talks to a container runtime over the Container Runtime Interface:
// it keeps the inventory of containers and their log paths, and requests the
// reopening of logs.
//
// # Guarantees
//
//   - One connection, which is re-established when the runtime comes back.
//   - A steady [Inventory.Refresh] is one RPC, whatever the number of containers: a
//     container's log path never changes, so it is requested once.
//   - Only a failed list means that the runtime is unreachable. A container whose
//     status cannot be read stays unresolved, and concerns no other container.
//   - What was known of a pod stays known when reading it again fails.
//   - An error of [Client.ReopenContainerLog] is classified by its gRPC code and by
//     a ContainerStatus call afterwards, never by its text.
//
// # Blocking and shutdown
//
// Every call blocks until the runtime answers or the Client's timeout passes.
// Close ends calls in progress. The package starts no goroutines but those of a
// shared Refresh, which end with it.
//
// # Limitations
//
// The inventory is as old as the last Refresh. Container events are not used:
// containerd before 2.0 delivers one client's events to another, and CRI-O sends
// none unless configured to.
package cri
