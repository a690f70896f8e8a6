// Package server serves the daemon's control socket (see package api), its metrics and
// health, and its page (see package web).
//
// # Guarantees
//
//   - The control socket is accessible only to its owner (0600) from its first moment.
//     One that a dead daemon left is replaced; one that another daemon listens on, and
//     a file that is not a socket, is unchanged.
//   - No client, however slow or hostile, holds up the daemon: connections, headers
//     and bodies are limited, and each read and write has a deadline.
//   - On a loopback address a foreign name (DNS rebinding) gets no answer.
//
// # Blocking and shutdown
//
// [Run] blocks until its context ends, and leaves no goroutine behind; it takes at
// most stopTimeout longer. What it cannot listen on is logged once and tried again.
package server
