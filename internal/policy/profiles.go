package policy

// profiles are the values of collectorProfile: what log shippers with their
// default settings need to read every line once.
//
// The interval is longer than the time between two checks of the shipper;
// otherwise it never opens a log that is created and rotated in between. The grace
// period is how long the shipper may still be reading a log after its rotation, or
// need to find it under its rotated name.
var profiles = map[string]Patch{
	// Polls every 250 ms and reads the old log to its end before it opens the new
	// one; a second rotation in that time skips a file. Twenty polls.
	"alloy": {interval: "5s", grace: "5s"},
	// Scans every 10 s, and misses a log that fills faster. It keeps a rotated log
	// open for 60 s (close_timeout).
	"datadog": {interval: "12s", grace: "65s"},
	// Scans every 10 s. Twelve, since two scans are 10 s plus the time of a scan
	// apart. An open log is closed once it has been removed, read or not: two scans
	// and its longest backoff of 10 s.
	"filebeat": {interval: "12s", grace: "30s"},
	// Compares inodes every 2 s in case inotify misses a move; keeps reading a
	// renamed log for 5 s (Rotate_Wait), then closes it. A second rotation within
	// these 5 s would leave it with three open logs. 2 + 5 s, and a margin.
	"fluent-bit": {interval: "5s", grace: "10s"},
	// Keeps reading a renamed log for 5 s (rotate_wait), and loses track of
	// rotations that follow one another within that time: twice that, for a busy
	// thread.
	"fluentd": {interval: "10s", grace: "10s"},
	// No shipper reads the files: rotate at the limit, keep nothing back.
	"none": {interval: "0s", grace: "0s"},
	// Polls every 200 ms, yet rotations up to 6 s apart lost lines.
	"otel": {interval: "10s", grace: "10s"},
	// Reads rotated logs too, so it need not see a log while it is live; but it
	// looks for new names only every 60 s and skips .gz: a rotated log must stay
	// uncompressed for longer than that.
	"vector": {interval: "1s", grace: "65s"},
	// Backs off to 10 s between two checks. After a restart it finds its position
	// by the inode, unless that is a .gz by then: the time of a restart.
	"vlagent": {interval: "12s", grace: "65s"},
}
