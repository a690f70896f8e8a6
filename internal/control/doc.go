// Package control is how commands ask the daemon: HTTP with JSON on a Unix
// socket. [Server] is the daemon's end, [Client] the commands'.
//
//	GET  /v1/status?namespace=&pod=&container=&detail=1   a Status
//	POST /v1/rotate   a Selector   one Result a line, as they come
//	GET  /debug/pprof/   Go's profiles
//
// Names in a query or Selector that are empty fit all. detail=1 has the policy of
// each container in the answer. An error is a status code from 400 on, with an
// [Error] as its body. Fields may be added to what is here; none changes its
// meaning or goes within /v1.
//
// # Guarantees
//
//   - The socket is its owner's alone (0600) from its first moment.
//   - One left by a dead daemon is replaced; one on which somebody answers, and
//     what is no socket, is not touched.
//   - No client holds up the daemon, however slow: each write to one has a
//     deadline, and jobs hand their results over without waiting.
//
// # Blocking and shutdown
//
// [Server.Run] blocks until its context ends, and no goroutine is left when it
// returns; it takes stopTimeout more at most. Where it cannot listen it says so
// once, and tries again now and then.
//
// # Not promised
//
// That names in an answer are fit for a terminal: they are what the runtime says.
package control
