// Package daemon joins the parts: what the watcher finds due goes to a pool of
// rotations, what a rotation leaves goes to a pool of housekeeping, and a sweep
// every few seconds finds whatever was missed.
//
// The way of an event: watcher → [Daemon].due → rotations pool → [Daemon].rotate
// → rotator.Rotate → [Daemon].tidy → housekeeping pool → rotator.Housekeep.
// Every cause of a rotation enters at due.
//
// # Guarantees
//
//   - One rotation and one housekeeping at a time for a container; one
//     container's error never stops another's.
//   - Housekeeping runs in a pool of its own: no compression or pruning, however
//     slow, holds a rotation back.
//   - Nothing is renamed unless the runtime has just said that the container
//     runs, or its log proves it by growing; and nothing is removed before the
//     runtime has answered once.
//   - One logwatch a podLogsDir: a second one is refused.
//   - Whoever asks it (metrics, health, the control socket) holds up neither the
//     rotations nor the watcher; a port or a socket that is not to be had stops
//     nothing.
//
// # Blocking and shutdown
//
// Run blocks until its context ends. It then stops the watcher, drops what is
// queued, waits for the rotations under way and ends compressions half way
// (the next start does them again). It takes at most shutdownTimeout.
package agent
