package config

import (
	"slices"
	"time"
)

// profile is what a log shipper needs, so as to read every line once.
type profile struct {
	name string
	// minRotationInterval: longer than the shipper takes to look at a log again,
	// or it never opens a generation that came and went in between.
	minRotationInterval time.Duration
	// rotatedLogGracePeriod: as long as it may still be reading a log after its
	// rotation, or finds it under its rotated name.
	rotatedLogGracePeriod time.Duration
}

// profiles are the values of collectorProfile. They are for the shippers' own
// defaults: who scans more rarely needs more.
var profiles = byName(
	// Nothing known of the shipper. Most look about once a second; the newest
	// rotated log stays plain anyhow.
	profile{"", time.Second, 0},
	// Nobody reads the files but people: rotate at the limit, keep nothing back.
	profile{"none", 0, 0},
	// Compares inodes each 2 s, lest inotify loses a move; reads a renamed log on
	// for 5 s (Rotate_Wait) and closes it then. A second rotation within these 5 s
	// would leave it with three logs in hand. 2 + 5 s, and some.
	profile{"fluent-bit", 5 * time.Second, 10 * time.Second},
	// Reads a renamed log on for 5 s (rotate_wait), and loses track of rotations
	// that follow one another within that time: twice it, for a busy thread.
	profile{"fluentd", 10 * time.Second, 10 * time.Second},
	// Reads rotated logs too, so it need not see a log while it is live; but it
	// looks for new names each 60 s alone, and leaves out .gz: a generation must
	// stay plain for longer than that.
	profile{"vector", time.Second, 65 * time.Second},
	// Scans each 10 s. Twelve, since between two scans there are 10 s plus what
	// the scan takes. An open log is closed once it has been removed, read or not:
	// two scans and its longest backoff of 10 s.
	profile{"filebeat", 12 * time.Second, 30 * time.Second},
	// Polls each 250 ms and reads the old log to its end before it opens the new
	// one; a second rotation in that time skips a generation. Twenty polls.
	profile{"alloy", 5 * time.Second, 5 * time.Second},
	// Polls each 200 ms, yet rotations up to 6 s apart lost lines.
	profile{"otel", 10 * time.Second, 10 * time.Second},
	// Backs off to 10 s between two looks. After a restart it finds by the inode
	// where it was, unless that is a .gz by now: time for a restart.
	profile{"vlagent", 12 * time.Second, 65 * time.Second},
	// Scans each 10 s, and misses a log that fills faster. It holds a rotated one
	// for 60 s (close_timeout).
	profile{"datadog", 12 * time.Second, 65 * time.Second},
)

func byName(list ...profile) map[string]profile {
	m := make(map[string]profile, len(list))
	for _, p := range list {
		m[p.name] = p
	}
	return m
}

// profileNames are the values of collectorProfile that name something, sorted.
func profileNames() []string {
	var names []string
	for name := range profiles {
		if name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p profile) interval() Duration {
	return Duration{Duration: p.minRotationInterval, unset: true}
}

func (p profile) grace() Duration {
	return Duration{Duration: p.rotatedLogGracePeriod, unset: true}
}

// applyProfile gives the two keys that were not set what the profile says. It is
// to be done whenever one of the three may have changed.
func (c *Config) applyProfile() {
	p := profiles[c.CollectorProfile] // validate tells of a name that is unknown
	if !c.MinRotationInterval.IsSet() {
		c.MinRotationInterval = p.interval()
	}
	if !c.RotatedLogGracePeriod.IsSet() {
		c.RotatedLogGracePeriod = p.grace()
	}
}
