package shippers

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"golang.org/x/sys/unix"

	"github.com/logwatch/logwatch/internal/crilog"
)

// shipper is a log shipper: how it is run, and how its output is read.
type shipper struct {
	name string
	// args returns the command, given what fills its configuration.
	args func(t *testing.T, s settings) []string
	// parser returns a function that reads one line of the output and calls add for
	// each line of a container.
	parser func() parser
	// short: TestShippers runs it. The others would be built for minutes more.
	short bool
}

type parser func(output []byte, add func(pod string, line []byte)) error

var shippers = []shipper{
	{"otel", otelArgs, func() parser { return parseOTel }, true},
	{"rsyslog", rsyslogArgs, parseRsyslog, true},
	{"filebeat", filebeatArgs, func() parser { return parseFilebeat }, false},
	{"promtail", promtailArgs, func() parser { return parsePromtail }, false},
}

// settings fill a shipper's configuration.
type settings struct {
	Pods       string // podLogsDir
	Containers string // /var/log/containers of a node
	Dir        string // for the shipper's own files
	Output     string
}

// file writes a configuration file.
func (s settings) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(s.Dir, name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // a short file fails the shipper
	if err := template.Must(template.New(name).Parse(text)).Execute(f, s); err != nil {
		t.Fatal(err)
	}
	return path
}

// otelConfig is the filelog receiver of opentelemetry.io's "Important Components for
// Kubernetes", with the checkpoints that its Helm chart adds for storeCheckpoints.
const otelConfig = `
extensions:
  file_storage:
    directory: {{.Dir}}
receivers:
  filelog:
    include: ["{{.Pods}}/*/*/*.log"]
    start_at: end
    include_file_path: true
    include_file_name: false
    storage: file_storage
    operators:
      - {id: container-parser, type: container}
exporters:
  file: {path: "{{.Output}}", append: true}
service:
  extensions: [file_storage]
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [filelog], exporters: [file]}
`

func otelArgs(t *testing.T, s settings) []string {
	t.Helper()
	return []string{buildOTel(t), "--config", "file:" + s.file(t, "otel.yaml", otelConfig)}
}

// parseOTel reads one batch of the file exporter.
func parseOTel(output []byte, add func(string, []byte)) error {
	var batch struct {
		ResourceLogs []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeLogs []struct {
				LogRecords []struct {
					Body struct{ StringValue string }
				}
			}
		}
	}
	if err := json.Unmarshal(output, &batch); err != nil {
		return err
	}
	for _, resource := range batch.ResourceLogs {
		pod := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "k8s.pod.name" {
				pod = a.Value.StringValue
			}
		}
		for _, scope := range resource.ScopeLogs {
			for _, record := range scope.LogRecords {
				add(pod, []byte(record.Body.StringValue))
			}
		}
	}
	return nil
}

// rsyslogConfig is the input of rsyslog's mmkubernetes page. That module is left out: it
// only adds what the API server knows.
const rsyslogConfig = `
global(workDirectory="{{.Dir}}")
module(load="imfile" mode="inotify")
template(name="line" type="string" string="%$!metadata!filename% %msg%\n")
input(type="imfile" file="{{.Containers}}/*.log" tag="kubernetes" addmetadata="on")
action(type="omfile" file="{{.Output}}" template="line")
`

func rsyslogArgs(t *testing.T, s settings) []string {
	t.Helper()
	rsyslogd, err := exec.LookPath("rsyslogd")
	if err != nil {
		rsyslogd = "/usr/sbin/rsyslogd" // which only root's PATH has
	}
	if unix.Access(rsyslogd, unix.X_OK) != nil {
		needed(t, "rsyslog is not installed: apt-get install --no-install-recommends rsyslog")
	}
	return []string{rsyslogd, "-n", "-f", s.file(t, "rsyslog.conf", rsyslogConfig), "-i", filepath.Join(s.Dir, "pid")}
}

// parseRsyslog reads the name of a link and a record of a log.
func parseRsyslog() parser {
	joiners := map[string]*crilog.Joiner{}
	return func(output []byte, add func(string, []byte)) error {
		path, record, _ := bytes.Cut(output, []byte{' '})
		l, err := crilog.Parse(record)
		if err != nil {
			return err
		}
		pod := podOf(string(path))
		if joiners[pod] == nil {
			joiners[pod] = &crilog.Joiner{}
		}
		if line, whole := joiners[pod].Add(l); whole {
			add(pod, line)
		}
		return nil
	}
}

// filebeatConfig is the input of Filebeat's filebeat-kubernetes.yaml, without the
// processors that ask the API server.
const filebeatConfig = `
filebeat.inputs:
  - type: container
    paths: ["{{.Containers}}/*.log"]
output.file:
  path: "{{.Dir}}"
  filename: output
  rotate_every_kb: 100000000
`

func filebeatArgs(t *testing.T, s settings) []string {
	t.Helper()
	return []string{
		buildModule(t, "github.com/elastic/beats/v7", "v7.17.29", "./filebeat"), "-e", "--strict.perms=false",
		"-c", s.file(t, "filebeat.yml", filebeatConfig), "--path.home", s.Dir, "--path.data", filepath.Join(s.Dir, "data"),
	}
}

func parseFilebeat(output []byte, add func(string, []byte)) error {
	var event struct {
		Message string
		Log     struct{ File struct{ Path string } }
	}
	if err := json.Unmarshal(output, &event); err != nil {
		return err
	}
	add(podOf(event.Log.File.Path), []byte(event.Message))
	return nil
}

// promtailConfig is the scrape configuration of Promtail's Helm chart, without the labels
// that the API server knows.
const promtailConfig = `
server: {disable: true}
clients: [{url: "http://127.0.0.1:9/"}]
positions: {filename: "{{.Dir}}/positions.yaml"}
scrape_configs:
  - job_name: kubernetes-pods
    pipeline_stages: [{cri: {}}]
    static_configs:
      - labels: {__path__: "{{.Pods}}/*/*/*.log"}
`

// promtailArgs has Promtail print what it would send, and keep no positions.
func promtailArgs(t *testing.T, s settings) []string {
	t.Helper()
	return []string{
		"/bin/sh", "-c", `output=$1; shift; exec "$0" "$@" >>"$output"`, buildPromtail(t), s.Output,
		"-dry-run", "-config.file=" + s.file(t, "promtail.yaml", promtailConfig),
	}
}

// parsePromtail reads a time, labels and a line; what comes before the first entry has no
// labels.
func parsePromtail(output []byte, add func(string, []byte)) error {
	_, rest, found := bytes.Cut(output, []byte(`filename="`))
	path, rest, _ := bytes.Cut(rest, []byte{'"'})
	_, line, _ := bytes.Cut(rest, []byte{'}'})
	if found {
		pod, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(filepath.Dir(filepath.Dir(string(path)))), "default_"), "_")
		add(pod, bytes.TrimLeft(line, "\t "))
	}
	return nil
}

// podOf returns the pod of a link in containersDir.
func podOf(link string) string {
	pod, _, _ := strings.Cut(filepath.Base(link), "_")
	return pod
}
