// Package web has the page at /, which shows people what the daemon does, and the
// few routes that it lives on.
//
//	GET /                     the page; /ui/ has its styles and scripts
//	GET /api/v1/status        a [View]: a control.Status, and what is wrong
//	GET /api/v1/container?namespace=&pod=&container=   the same of one, in detail
//	GET /api/v1/events?after= [Event]s as they happen, as server-sent events
//
// Events are numbered. Whoever was cut off names the last one that he has, in after or
// Last-Event-ID, and gets what came since. `event: missed` carries how many he was
// too slow for. Fields may be added; none changes its meaning or goes within /v1.
//
// # Guarantees
//
//   - Read-only: no route changes anything, or takes anything but GET and HEAD.
//   - An idle node does not wake up for it: it has no goroutine and no timer of its
//     own. Only requests cause work, and together they have the containers looked at
//     once a second at most, and for a tenth of the time if that takes long.
//   - [Hub.Publish] never blocks and allocates nothing, whoever is or is not there.
//   - No viewer holds up the daemon or another viewer, however slow: the last events
//     are kept once for all, each viewer reads on from where it was, and each write
//     has a deadline. There are maxViewers of them at most; one more is told so.
//   - Names, paths, annotations and errors are hostile input: they travel as JSON and
//     are shown as text, with what is not printable escaped as status.Escape does. The
//     Content-Security-Policy allows the page its own scripts and styles and nothing
//     else, and Trusted Types forbid to make any markup of text.
//   - A name that somebody had resolve to this host (DNS rebinding) gets no answer on a
//     loopback address, and neither do other sites' scripts.
//
// # Blocking and shutdown
//
// Handlers end with their request's context; the server's base context must end
// when the daemon stops, as that of telemetry.Server does.
//
// # Not promised
//
// That each event arrives: the numbers show what did not. Who may look: that is
// the server's matter (metrics.webConfigFile).
package web
