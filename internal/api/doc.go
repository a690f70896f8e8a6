// Package api has the types of the daemon's control socket, and its [Client]: HTTP with JSON on a Unix socket. Package server is the daemon's end.
//
//	GET  /v1/status?namespace=&pod=&container=&detail=1   a Status
//	POST /v1/rotate   a Selector   one Result a line, as they come
//	POST /v1/reload   reloads the configuration; 204
//	GET  /debug/pprof/   Go's profiles
//
// Empty names in a query or Selector match all. With detail=1 the answer has the
// policy of each container. An error is a status code from 400 on, with an [Error] as
// its body. Fields may be added; within /v1 none is removed or changes its meaning.
//
// # Limitations
//
// Names in an answer are as the runtime reports them, and not safe to print to a
// terminal.
package api
