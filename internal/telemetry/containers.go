package telemetry

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Container is one container's logs at a scrape.
type Container struct {
	Namespace, Pod, Container string

	Live, Total int64 // bytes: of the live log, and of all
	Files       int
	Written     int64         // bytes that came since the daemon's start; never less than before
	Rotations   uint64        // since then
	Retention   time.Duration // how far back its logs reach
}

// containersAge is how old what a scrape shows may be: reading it costs a listing
// for each container, and there may be several who scrape.
const containersAge = 5 * time.Second

// containers is the Collector of the series for each container.
type containers struct {
	read                                              func() []Container
	live, total, files, written, rotations, retention *prometheus.Desc

	mu   sync.Mutex
	at   time.Time
	last []Container
}

// Containers returns the Collector of the series for each container. read is
// called at a scrape, one at a time and not more often than each containersAge;
// nil from it: no series.
func Containers(read func() []Container) prometheus.Collector {
	labels := []string{"namespace", "pod", "container"}
	return &containers{
		read:      read,
		live:      desc("container_live_log_bytes", "Bytes of a container's live log.", labels...),
		total:     desc("container_logs_bytes", "Bytes of all logs of a container, rotated and of earlier restarts included.", labels...),
		files:     desc("container_log_files", "Log files that a container has, the live one included.", labels...),
		written:   desc("container_written_bytes_total", "Bytes that a container wrote to its log since the daemon first saw it, as the sweeps and rotations found them. Its rate is the container's.", labels...),
		rotations: desc("container_rotations_total", "Rotations of a container's log.", labels...),
		retention: desc("container_retention_seconds", "Age of the oldest line that is kept of a container: how far back its logs reach.", labels...),
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

// distinct adds up containers of equal names, as a pod and its successor have
// them for a moment, or names that differ only in bytes that no label may have:
// the same series twice would be an error of the whole scrape.
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
