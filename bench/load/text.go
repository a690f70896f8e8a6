package load

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"time"
)

// Text writes size bytes, rounded up to a line, of a container log like those of real
// programs: JSON, klog and nginx lines in random order, with a runtime's prefix. It
// writes the same text every time.
func Text(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	g := generator{rand.New(rand.NewPCG(20, 26)), time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	var line []byte
	for n := int64(0); n < size; n += int64(len(line)) {
		line = g.line(line[:0])
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

type generator struct {
	*rand.Rand
	now time.Time
}

var (
	methods  = []string{"GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"}
	routes   = []string{"/api/v1/orders", "/api/v1/users", "/healthz", "/metrics", "/static/app.js", "/api/v2/search", "/login"}
	statuses = []int{200, 200, 200, 200, 200, 201, 204, 301, 304, 400, 404, 500, 503}
	agents   = []string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "kube-probe/1.36", "curl/8.14.1", "Go-http-client/2.0",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
	}
	verbs   = []string{"Starting", "Syncing", "Finished syncing", "Updating", "Deleting", "Observed", "Retrying", "Failed to update"}
	kinds   = []string{"Deployment", "ReplicaSet", "Pod", "Service", "EndpointSlice", "Node", "ConfigMap", "Lease"}
	files   = []string{"controller.go:412", "reflector.go:359", "event.go:377", "replica_set.go:679", "leaderelection.go:281", "trace.go:236"}
	spaces  = []string{"default", "kube-system", "monitoring", "payments", "checkout"}
	levels  = []string{"info", "info", "info", "info", "debug", "warn", "error"}
	loggers = []string{"http", "db", "cache", "queue", "auth"}
	texts   = []string{
		"request served", "cache miss", "query took longer than expected", "message acknowledged", "token refreshed",
		"connection reset by peer, retrying", "context deadline exceeded",
	}
)

func pick[T any](g generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) line(b []byte) []byte {
	g.now = g.now.Add(time.Duration(g.ExpFloat64() * float64(200*time.Microsecond)))
	b = g.now.AppendFormat(b, "2006-01-02T15:04:05.000000000Z")
	stream := " stdout F "
	if g.IntN(10) == 0 {
		stream = " stderr F "
	}
	b = append(b, stream...)
	switch n := g.IntN(10); {
	case n < 5:
		b = g.json(b)
	case n < 7:
		b = g.klog(b)
	default:
		b = g.nginx(b)
	}
	return append(b, '\n')
}

func (g *generator) json(b []byte) []byte {
	b = append(b, `{"level":"`...)
	b = append(b, pick(*g, levels)...)
	b = append(b, `","ts":"`...)
	b = g.now.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","logger":"`...)
	b = append(b, pick(*g, loggers)...)
	b = append(b, `","msg":"`...)
	b = append(b, pick(*g, texts)...)
	return fmt.Appendf(b, `","trace_id":"%016x%016x","span_id":"%016x","user_id":%d,"method":"%s","path":"%s/%d","status":%d,"duration_ms":%.3f,"bytes":%d}`,
		g.Uint64(), g.Uint64(), g.Uint64(), g.IntN(50_000), pick(*g, methods), pick(*g, routes), g.IntN(100_000), pick(*g, statuses),
		g.ExpFloat64()*20, g.IntN(40_000))
}

func (g *generator) klog(b []byte) []byte {
	b = append(b, "IIIWE"[g.IntN(5)])
	b = g.now.AppendFormat(b, "0102 15:04:05.000000")
	b = append(b, "       1 "...)
	b = append(b, pick(*g, files)...)
	return fmt.Appendf(b, `] "%s" kind="%s" object="%s/app-%d-%s" resourceVersion="%d" elapsed="%.3fms"`,
		pick(*g, verbs), pick(*g, kinds), pick(*g, spaces), g.IntN(40), strconv.FormatUint(g.Uint64()%60466176, 36), 81_000_000+g.IntN(900_000), g.ExpFloat64()*8)
}

func (g *generator) nginx(b []byte) []byte {
	b = fmt.Appendf(b, "10.%d.%d.%d - - [", g.IntN(4), g.IntN(32), g.IntN(255))
	b = g.now.AppendFormat(b, "02/Jan/2006:15:04:05 +0000")
	return fmt.Appendf(b, `] "%s %s?id=%d HTTP/1.1" %d %d "-" "%s" %.3f`,
		pick(*g, methods), pick(*g, routes), g.IntN(1_000_000), pick(*g, statuses), g.IntN(60_000), pick(*g, agents), g.ExpFloat64()/20)
}
