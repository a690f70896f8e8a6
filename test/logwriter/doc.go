// Command logwriter writes numbered lines, so that a test can tell whether a
// line was lost, doubled or moved on its way into a container log. It is the
// only binary of the test image (see test/containerd): it is the containers'
// process and, with -pause, the sandbox's too.
//
// Lines come from internal/numbered. Each stream counts on its own, from 1.
// Lines are written in batches of whole lines, each batch with one write: the
// program is to cost as little as possible of the machine that it shares with
// what is measured.
//
// SIGTERM or SIGINT stops the writing at the end of a line; the exit status is
// 0 then. A write that blocks, since nobody reads, is finished first: a stop
// waits for the reader for as long as the reader takes.
//
// It does not promise that a rate is reached, only that it is not exceeded for
// longer than a second (the time that a late writer may catch up).
package main
