// Package cri talks to a container runtime over its Container Runtime
// Interface: it keeps the inventory of containers and their log paths, and asks
// for logs to be reopened.
//
// # Guarantees
//
//   - One connection, used again; it comes back by itself when the runtime
//     does.
//   - A steady [Inventory.Refresh] is one RPC, whatever the number of
//     containers: a container's log path never changes, so it is asked for once.
//   - An error of [Client.ReopenContainerLog] is classified by its gRPC code
//     and by what ContainerStatus says afterwards, never by its text.
//
// # Blocking and shutdown
//
// Every call blocks until the runtime answers or the timeout passes that the
// Client was made with. Close ends calls that are under way.
//
// # Not promised
//
// That the inventory is true now: it is as old as the last Refresh. Container
// events are not used: containerd before 2 gives one client's events to
// another, and CRI-O does not send any unless told to.
package cri
