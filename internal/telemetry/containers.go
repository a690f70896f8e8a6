package telemetry

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Container is the state of one container's logs at a scrape.
type Container struct {
	Namespace, Pod, Container string

	Live, Total int64 // bytes of the live log, and of all logs
	Files       int
	Written     int64         // bytes written since the agent first saw the container; never decreases
	Rotations   uint64        // since then
	Retention   time.Duration // age of the oldest line kept
}

// containersAge is the maximum age of the values of a scrape: each read lists every
// container's directory, and several servers may scrape.
const containersAge = 5 * time.Second

// containers is the Collector of the per-container series.
type containers struct {
	read                                              func() []Container
	live, total, files, written, rotations, retention *prometheus.Desc

	mu   sync.Mutex
	at   time.Time
	last []Container
}

// Containers returns the Collector of the per-container series. Scrapes call read,
// one at a time and at most once per containersAge; nil from it means no series.
func Containers(read func() []Container) prometheus.Collector {
	labels := []string{"namespace", "pod", "container"}
	return &containers{
		read:      read,
		live:      desc("container_live_log_bytes", "Current size of a container's live log.", labels...),
		total:     desc("container_logs_bytes", "Current size of all logs of a container, including rotated logs and earlier restarts.", labels...),
		files:     desc("container_log_files", "Current number of log files of a container, including the live log.", labels...),
		written:   desc("container_written_bytes_total", "Total bytes that a container wrote to its log since logwatch first saw it, as of the last sweep or rotation.", labels...),
		rotations: desc("container_rotations_total", "Total number of rotations of a container's log.", labels...),
		retention: desc("container_oldest_line_age_seconds", "Current age of the oldest line kept of a container.", labels...),
	}
}

// Describe implements prometheus.Collector.
func (c *containers) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.live, c.total, c.files, c.written, c.rotations, c.retention} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *containers) Collect(ch chan<- prometheus.Metric) {
	for _, v := range c.now() {
		send := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, value, v.Namespace, v.Pod, v.Container)
		}
		send(c.live, prometheus.GaugeValue, float64(v.Live))
		send(c.total, prometheus.GaugeValue, float64(v.Total))
		send(c.files, prometheus.GaugeValue, float64(v.Files))
		send(c.written, prometheus.CounterValue, float64(v.Written))
		send(c.rotations, prometheus.CounterValue, float64(v.Rotations))
		send(c.retention, prometheus.GaugeValue, v.Retention.Seconds())
	}
}

func (c *containers) now() []Container {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil || time.Since(c.at) >= containersAge {
		c.last, c.at = distinct(c.read()), time.Now()
	}
	return c.last
}

// distinct merges containers with equal names: a pod and its successor share them for
// a moment, and so may names that differ only in bytes that are invalid in a label.
// A duplicate series fails the whole scrape.
func distinct(list []Container) []Container {
	type key struct{ namespace, pod, container string }
	at := map[key]int{}
	var out []Container
	for _, c := range list {
		c.Namespace, c.Pod, c.Container = valid(c.Namespace), valid(c.Pod), valid(c.Container)
		k := key{c.Namespace, c.Pod, c.Container}
		i, ok := at[k]
		if !ok {
			at[k] = len(out)
			out = append(out, c)
			continue
		}
		o := &out[i]
		o.Live += c.Live
		o.Total += c.Total
		o.Files += c.Files
		o.Written += c.Written
		o.Rotations += c.Rotations
		o.Retention = max(o.Retention, c.Retention)
	}
	return out
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
