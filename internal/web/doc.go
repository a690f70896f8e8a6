// Package web is the page at /, which shows what the daemon does, and its routes.
//
//	GET /                     the page; /ui/ has its styles and scripts
//	GET /api/v1/status        a [View]: an api.Status, and its problems
//	GET /api/v1/container?namespace=&pod=&container=   the same of one, in detail
//	GET /api/v1/events?after= [Event]s as they happen, as server-sent events
//
// Events are numbered. A client that was disconnected sends the number of the last one
// that it has, in after or Last-Event-ID, and gets those since. `event: missed` carries
// how many it was too slow for. Fields may be added; within /v1 none changes its meaning.
//
// # Guarantees
//
//   - Read-only: no route changes anything, or accepts a method other than GET and HEAD.
//   - It has no goroutine and no timer of its own. Only requests cause work: all together
//     cause one snapshot per second at most, and for a tenth of the time if one takes
//     long. Details of containers are bounded in the same way.
//   - [Hub.Publish] never blocks and allocates nothing.
//   - No viewer holds up the daemon or another viewer: the last events are kept once for
//     all, each viewer reads on from its own position, and each write has a deadline.
//   - There are maxViewers of the events at most. None keeps others out for longer than
//     minStay.
//   - Names, paths, annotations and errors are hostile input: they travel as JSON and are
//     shown as text, with what is not printable escaped as display.Escape does. The
//     Content-Security-Policy allows only the page's own scripts and styles, and Trusted
//     Types forbid creating markup from text.
//   - Scripts of other sites get no answer.
//
// # Blocking and shutdown
//
// Handlers end with their request's context; the server's base context must end when the
// daemon stops.
//
// # Limitations
//
// An event may be lost: the numbers show it. Access is controlled by the server
// (metrics.webConfigFile).
package web
