// Command logwriter writes numbered lines, so that a test can detect whether a line was
// lost, doubled or moved on its way into a container log. It is the only binary of the
// test image (see test/containerd): the process of containers and, with -pause, of
// sandboxes.
//
// Lines have the format of internal/linecheck. Each stream is numbered from 1. Whole
// lines are written in batches, with one write each, to use as little CPU time as
// possible on a machine where something else is measured.
//
// SIGTERM or SIGINT stops it at the end of a line, with exit status 0. A write that
// blocks is completed first, so a stop takes as long as the reader.
//
// A rate may not be reached, but it is not exceeded for longer than a second, in which a
// late writer catches up.
package main
