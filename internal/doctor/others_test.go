package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const kubeletFile = "/var/lib/kubelet/config.yaml"

func kubeletHas(text string, args ...string) func(*fakeNode) {
	return func(f *fakeNode) {
		f.file(kubeletFile, "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"+text)
		f.process(append([]string{"/usr/bin/kubelet", "--config=" + kubeletFile}, args...)...)
	}
}

func TestKubelet(t *testing.T) {
	const dir, good = "/etc/kubernetes/kubelet.conf.d", "containerLogMaxSize: 1Gi\ncontainerLogMonitorInterval: 1h0m0s\n"
	logwatch := func(text string, then func(*fakeNode)) func(*fakeNode) {
		return func(f *fakeNode) { f.file("/etc/logwatch/logwatch.yaml", text); then(f) }
	}
	run(t, []scenario{
		{"none", "kubelet", nil, wants{Skip, "kubelet does not run here", "", ""}, false},
		{"runs", "kubelet", kubeletHas(good), wants{OK, "containerLogMaxSize 1Gi in /var/lib/kubelet/config.yaml, containerLogMonitorInterval 1h0m0s", "", ""}, false},
		{"defaults", "kubelet", func(f *fakeNode) { f.process("kubelet") }, wants{OK, "containerLogMaxSize 10Mi by default", "", ""}, false},
		{"does not run", "kubelet", func(f *fakeNode) { f.file(kubeletFile, "kind: KubeletConfiguration\n") }, wants{Warn, "does not run", kubeletFile, "systemctl start kubelet"}, false},
		{"another kind of file", "kubelet", func(f *fakeNode) { f.file("/etc/kubernetes/kubelet.conf", "kind: Config\n") }, wants{Skip, "kubelet does not run here", "", ""}, false},
		{"bad YAML", "kubelet", kubeletHas("a: [secret\n"), wants{Warn, "cannot be read", "invalid YAML", ""}, false},
		{"bad size", "kubelet", kubeletHas("containerLogMaxSize: \"\u202e\"\n"), wants{Warn, "cannot be read", `\u202e`, ""}, false},
		{"bad interval", "kubelet", kubeletHas("containerLogMonitorInterval: 10\n"), wants{Warn, "cannot be read", "missing unit", ""}, false},
		{"as part of k3s", "kubelet", func(f *fakeNode) { f.process("/usr/local/bin/k3s", "server") }, wants{Skip, "as part of k3s", "--kubelet-arg", ""}, false},
		{"not a pod's", "kubelet", func(f *fakeNode) {
			f.file("/proc/"+itoa(f.process("kubelet", "--config=/etc/shadow"))+"/cgroup", "0::/kubepods/besteffort/x\n")
		}, wants{Skip, "kubelet does not run here", "", ""}, false},
		{"not another user's", "kubelet", func(f *fakeNode) { f.processOf(7, 1000, "kubelet") }, wants{Skip, "kubelet does not run here", "", ""}, false},
		{"in a container", "kubelet", func(f *fakeNode) {
			f.file("/image/etc/k.yaml", good)
			f.link("/proc/"+itoa(f.process("kubelet", "--config", "k.yaml"))+"/root", "../../image")
			f.link("/proc/"+itoa(f.pid)+"/cwd", "/etc")
		}, wants{OK, "containerLogMaxSize 1Gi in k.yaml", "", ""}, false},

		{"good", "kubelet-rotation", kubeletHas(good), wants{OK, "at 1Gi and checks every 1h0m0s", "", ""}, false},
		{"unknown", "kubelet-rotation", nil, wants{Skip, "see kubelet", "", ""}, false},
		{"off", "kubelet-rotation", kubeletHas("containerLogMaxSize: \"-1\"\n"), wants{OK, "kubelet does not rotate", "", ""}, false},
		{"logwatch's is off", "kubelet-rotation", logwatch("containerLogMaxSize: -1", kubeletHas("")), wants{OK, "logwatch rotates nothing", "", ""}, false},
		{"as shipped", "kubelet-rotation", kubeletHas(""), wants{Fail, "kubelet rotates the same logs at 10Mi", "containerLogMaxSize 10Mi by default, containerLogMonitorInterval 10s by default; logwatch lets a live log reach 25Mi.", "sed -i"}, true},
		{"no newline at the end", "kubelet-rotation", kubeletHas("containerLogMaxSize: 20Mi"), wants{Fail, "at 20Mi", "20Mi in " + kubeletFile, "echo >>"}, true},
		{"close", "kubelet-rotation", kubeletHas("containerLogMaxSize: 49Mi\n"), wants{Warn, "close to logwatch", "reach 25Mi", "containerLogMaxSize: 1Gi"}, true},
		{"strict", "kubelet-rotation", logwatch("minRotationInterval: 0s\nunreadLogBudget: 0", kubeletHas("containerLogMaxSize: 20Mi\ncontainerLogMonitorInterval: 1m\n")), wants{OK, "at 20Mi and checks every 1m0s", "", ""}, false},
		{"below what waits", "kubelet-rotation", logwatch("unreadLogBudget: 4Gi", kubeletHas(good)), wants{Warn, "at 1Gi, and a log that waits for a log reader may reach 3.5Gi", "7/8", "containerLogMaxSize: 4146Mi"}, true},
		{"often", "kubelet-rotation", kubeletHas("containerLogMaxSize: 1Gi\n"), wants{Warn, "kubelet checks logs every 10s", "10s by default", "containerLogMonitorInterval: 1h"}, true},
		{"an override is larger", "kubelet-rotation", logwatch("overrides:\n- match: {pods: [a]}\n  maxSize: 1Gi\n", kubeletHas(good)), wants{Fail, "at 1Gi", "reach 2560Mi", "containerLogMaxSize: 10Gi"}, true},
		{"a ceiling is larger", "kubelet-rotation", logwatch("annotations: {enabled: true, ceilings: {maxSize: 2Gi}}", kubeletHas(good)), wants{Fail, "at 1Gi", "reach 2Gi", "containerLogMaxSize: 8Gi"}, true},
		{"drop-ins", "kubelet-rotation", func(f *fakeNode) {
			f.file(dir+"/10-a.conf", "containerLogMaxSize: 1Gi\n")
			f.file(dir+"/20-b.conf", "containerLogMaxSize: 30Mi\n")
			f.file(dir+"/30-c.yaml", "containerLogMaxSize: 2Gi\n") // no .conf: not read
			kubeletHas(good, "--config-dir", dir)(f)
		}, wants{Warn, "at 30Mi", dir + "/20-b.conf", "> " + dir + "/90-logwatch.conf && systemctl restart kubelet"}, true},
		{"a drop-in behind ours", "kubelet-rotation", func(f *fakeNode) {
			f.file(dir+"/99-z.conf", "containerLogMaxSize: 30Mi\n")
			kubeletHas(good, "--config-dir="+dir)(f)
		}, wants{Warn, "at 30Mi", "", dir + "/zz-logwatch.conf"}, true},
		{"a drop-in takes a key back", "kubelet-rotation", func(f *fakeNode) {
			f.file(dir+"/10-a.conf", "containerLogMaxSize: null\n")
			kubeletHas(good, "--config-dir="+dir)(f)
		}, wants{Fail, "at 10Mi", "by default", ""}, true},
		{"JSON", "kubelet-rotation", func(f *fakeNode) {
			f.file(kubeletFile, `{"kind":"KubeletConfiguration","containerLogMaxSize":"20Mi"}`)
			f.process("kubelet", "--config", kubeletFile)
		}, wants{Fail, "at 20Mi", "", "${EDITOR:-vi} " + kubeletFile + " && systemctl restart kubelet # set containerLogMaxSize: 1Gi"}, false},
		{"flags alone", "kubelet-rotation", func(f *fakeNode) { f.process("kubelet") }, wants{Fail, "at 10Mi", "", "add --config-dir=" + dir}, false},

		{"it cleans", "kubelet-cleaning", kubeletHas(""), wants{OK, "kubelet removes", "", ""}, false},
		{"no cleaning", "kubelet-cleaning", kubeletHas("containerLogMaxSize: -1Mi\n"), wants{Warn, "are not removed", "each restart", "cleanRemovedContainers: true"}, true},
		{"logwatch cleans", "kubelet-cleaning", logwatch("cleanRemovedContainers: true", kubeletHas("containerLogMaxSize: \"-1\"\n")), wants{OK, "logwatch removes", "", ""}, false},
		{"unknown", "kubelet-cleaning", nil, wants{Skip, "", "", ""}, false},
	})
}

// TestKubeletFlag: a flag beats each file, and has to go from where it is set.
func TestKubeletFlag(t *testing.T) {
	f := newFake(t)
	const env = "/var/lib/kubelet/kubeadm-flags.env"
	f.file(env, `KUBELET_KUBEADM_ARGS="--container-log-max-size=12Mi --node-ip=10.0.0.1"`+"\n")
	kubeletHas("", "--container_log_max_size", "12Mi")(f)
	c := f.check("kubelet-rotation")
	wants{Fail, "at 12Mi", "12Mi by --container-log-max-size", "sed -i -E"}.hold(t, c)
	f.fix(c)
	f.file("/proc/101/cmdline", "/usr/bin/kubelet\x00--config="+kubeletFile+"\x00") // after the restart
	wants{OK, "at 1Gi and checks every 1h0m0s", "", ""}.hold(t, f.check("kubelet-rotation"))
	left, err := os.ReadFile(f.root + env)
	if err != nil || string(left) != `KUBELET_KUBEADM_ARGS=" --node-ip=10.0.0.1"`+"\n" && string(left) != `KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1"`+"\n" {
		t.Errorf("%q %v", left, err)
	}
}

func TestLogrotate(t *testing.T) {
	rules := func(text string) func(*fakeNode) {
		return func(f *fakeNode) {
			f.file("/etc/logrotate.conf", "# see man\nweekly\nrotate 4\ninclude /etc/logrotate.d\n")
			f.file("/etc/logrotate.d/apt", "/var/log/apt/term.log {\n  monthly\n}\n")
			f.file("/etc/logrotate.d/pods", text)
		}
	}
	run(t, []scenario{
		{"not installed", "logrotate", nil, wants{OK, "not installed", "", ""}, false},
		{"others' logs", "logrotate", rules("/var/log/*.log\n/var/log/a/b/*.log {\n}\n"), wants{OK, "(2)", "", ""}, false},
		{"pods", "logrotate", rules("/var/log/pods/*/*/*.log {\n  size 10M\n  rotate 5\n}\n"), wants{Fail, "rules for containers' logs", "/etc/logrotate.d/pods:1: /var/log/pods/*/*/*.log.", "sed -i '1,4s/^/#/' /etc/logrotate.d/pods"}, true},
		{"some pods", "logrotate", rules("/var/log/pods/kube-system_*/[!a]*/0.log\n{\n  copytruncate\n}\n"), wants{Fail, "", "0.log, with copytruncate", ""}, true},
		{"rotated logs", "logrotate", rules("/var/log/p?ds/*/*/*.log.* {\n}\n"), wants{Fail, "", "/var/log/p?ds", ""}, true},
		{"among others", "logrotate", rules("/var/log/x.log\n\"/var/log/pods/*/*/*.log\" /var/log/y.log {\n}\n"), wants{Fail, "", "pods:2:", "sed -i '2s|"}, true},
		{"copytruncate for all", "logrotate", func(f *fakeNode) {
			f.file("/etc/logrotate.conf", "copytruncate\n/var/log/pods/*/*/*.log { size 1M }\n")
		}, wants{Fail, "", "/etc/logrotate.conf:2: /var/log/pods/*/*/*.log, with copytruncate", "sed -i '2,2s/^/#/' /etc/logrotate.conf"}, true},
		{"behind a script", "logrotate", rules("/var/log/x {\n  postrotate\n    x() { }\n  /var/log/pods/*/*/*.log {\n  endscript\n}\n/var/log/pods/*/*/1.log {\n}\n"), wants{Fail, "", "pods:7:", "'7,8s"}, true},
		{"links", "logrotate", rules("/var/log/containers/*.log {\n}\n"), wants{Warn, "the links to containers' logs", "3.8.2", "sed -i '1,2s/^/#/'"}, true},
		{"disabled", "logrotate", func(f *fakeNode) {
			rules("")(f)
			f.file("/etc/logrotate.d/pods.disabled", "/var/log/pods/*/*/*.log {\n}\n")
		}, wants{OK, "", "", ""}, false},
		{"includes itself", "logrotate", rules("include /etc/logrotate.conf\n"), wants{OK, "", "", ""}, false},
		{"a link to podLogsDir", "logrotate", func(f *fakeNode) {
			f.remove("/var/log/pods")
			f.file("/data/pods/a_b_c/app/0.log", "")
			f.link("/var/log/pods", f.root+"/data/pods")
			rules("/data/pods/*/*/*.log {\n}\n")(f)
		}, wants{Fail, "", "/data/pods/*/*/*.log", ""}, true},
		{"cannot be read", "logrotate", func(f *fakeNode) {
			rules("")(f)
			f.remove("/etc/logrotate.d/apt")
			f.file("/etc/logrotate.d/apt", strings.Repeat("#", maxFileBytes+1))
		}, wants{Warn, "some of logrotate's rules cannot be read", "larger than", "logrotate --debug"}, false},
	})
}

// TestLogrotateAgrees holds our reading of rules against logrotate's own.
func TestLogrotateAgrees(t *testing.T) {
	logrotate, err := exec.LookPath("logrotate")
	if err != nil {
		logrotate = "/usr/sbin/logrotate"
	}
	if _, err := os.Stat(logrotate); err != nil {
		const why = "logrotate is not installed: apt-get install logrotate"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "pods/a_b_c/app/0.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"DIR/pods/*/*/*.log {\n}\n",
		"# DIR/pods/*/*/*.log {\n",
		"DIR/pods/*/*.log {\n}\n",
		"DIR/pods/[!z]*/app/?.log {\n}\n",
		"DIR/other.log \"DIR/pods/a_b_c/app/0.log\" {\n  postrotate\n  }\n  endscript\n}\n",
		"DIR/other.log {\n  postrotate\n DIR/pods/*/*/*.log {\n  endscript\n}\n",
		"DIR/other.log {\n  postrotate\n    x() {\n    }\n DIR/pods/*/*/*.log {\n  endscript\n}\n",
		"DIR/other.log\n\n# more\n   DIR/pods/*/*/*.log\n{\n}\n",
		"DIR/*/a_b_c/app/*.log.* {\n}\n",
	} {
		text = strings.ReplaceAll(text, "DIR", dir)
		conf := filepath.Join(dir, "conf")
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// --debug: it changes nothing.
		out, err := exec.Command(logrotate, "--debug", "--state", filepath.Join(dir, "state"), conf).CombinedOutput()
		theirs := strings.Contains(string(out), "considering log "+log)
		if strings.Contains(string(out), "bad top line") {
			t.Fatalf("%v\n%s", err, out)
		}
		p := logrotateParser{n: &node{root: "/"}}
		p.include(conf)
		ours := false
		for _, r := range p.rules {
			for _, pat := range r.patterns {
				ours = ours || covers(pat.text, filepath.Join(dir, "pods"), 2, []string{"0.log"})
			}
		}
		if ours != theirs {
			t.Errorf("we say %v, logrotate %v to\n%s\n%s", ours, theirs, text, out)
		}
	}
}

func FuzzLogrotate(f *testing.F) {
	f.Add("/a/*.log {\n copytruncate\n}\n/b \"c d\"\n{\nprerotate\nendscript\n}\n")
	f.Add("include \"=/x\n{ }\n/'\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := logrotateParser{n: &node{root: t.TempDir()}}
		p.parse("/f", text)
		lines := strings.Count(text, "\n") + 1
		for _, r := range p.rules {
			for _, pat := range r.patterns {
				if pat.line < 1 || pat.line > r.last || r.last > lines {
					t.Errorf("line %d of %d to %d in %q", pat.line, r.last, lines, text)
				}
			}
			if len(r.patterns) > 0 {
				r.report(Check{}, func(pattern) bool { return true })
			}
		}
	})
}

// TestConmon: CRI-O's log_size_max has conmon truncate logs by itself, and newer
// ones can rotate them.
func TestConmon(t *testing.T) {
	conmon := func(args ...string) func(*fakeNode) {
		return func(f *fakeNode) {
			f.process(append([]string{"/usr/libexec/crio/conmon", "-b", "/run/x", "-l", "/var/log/pods/shop_web-0_u1/app/0.log"}, args...)...)
		}
	}
	run(t, []scenario{
		{"none", "conmon", nil, wants{OK, "no container is monitored by conmon", "", ""}, false},
		{"without a limit", "conmon", conmon("--syslog"), wants{OK, "logs of 1 container to other", "", ""}, false},
		{"no limit", "conmon", conmon("--log-size-max", "-1"), wants{OK, "to other rotators", "", ""}, false},
		{"podman's", "conmon", func(f *fakeNode) {
			f.process("conmon", "-l", "k8s-file:/var/lib/containers/ctr.log", "--log-size-max=1000000")
		}, wants{OK, "no container", "", ""}, false},
		{"truncates", "conmon", conmon("--log-size-max", "10000000"), wants{Fail, "conmon truncates the logs of 1 container", "process 101: /usr/libexec/crio/conmon", "systemctl restart crio"}, false},
		{"rotates", "conmon", conmon("--log-size-max=1000000", "--log-rotate", "--log-max-files=3"), wants{Warn, "conmon rotates the logs of 1 container", "0.log.1", "crio.conf.d"}, false},
		{"both", "conmon", func(f *fakeNode) { conmon("--log-rotate")(f); conmon("--log-size-max=1000000")(f) }, wants{Fail, "conmon truncates", "", ""}, false},
		{"another user's", "conmon", func(f *fakeNode) { f.processOf(300, 1000, "conmon", "-l", "/var/log/pods/x", "--log-rotate") }, wants{OK, "no container", "", ""}, false},
	})
	f := newFake(t)
	conmon("--log-size-max=1000000")(f)
	f.fix(f.check("conmon"))
	data, err := os.ReadFile(f.root + "/etc/crio/crio.conf.d/99-logwatch.conf")
	if err != nil || string(data) != "[crio.runtime]\nlog_size_max = -1\n" {
		t.Errorf("%q %v", data, err)
	}
}

func TestShippers(t *testing.T) {
	const file = "/etc/logwatch/logwatch.yaml"
	runs := func(conf string, args ...string) func(*fakeNode) {
		return func(f *fakeNode) {
			f.file(file, conf)
			f.process(args...)
		}
	}
	run(t, []scenario{
		{"none", "shippers", nil, wants{OK, "no known log shipper", "", ""}, false},
		{"none that can be seen", "shippers", func(f *fakeNode) { f.link("/proc/self/ns/pid", "pid:[4026539999]") }, wants{Skip, "no log shipper is visible", "hostPID", ""}, false},
		{"its profile", "shippers", runs("collectorProfile: vector\n", "/usr/bin/vector"), wants{OK, "vector can keep up: minRotationInterval 1s, rotatedLogGracePeriod 1m5s", "", ""}, false},
		{"no profile", "shippers", runs("", "/usr/bin/vector", "--config", "x"), wants{Warn, "vector may miss lines: rotatedLogGracePeriod is 0s, and should be 1m5s", "(process 101) needs 1s and 1m5s", "collectorProfile: vector"}, true},
		{"no file", "shippers", func(f *fakeNode) { f.process("/fluent-bit/bin/fluent-bit") }, wants{Warn, "fluent-bit may miss", "", "mkdir -p /etc/logwatch && printf"}, true},
		{"the daemon takes it", "shippers", func(f *fakeNode) {
			f.file(file, "")
			f.daemon("--config", file)
			f.process("vector")
		}, wants{Warn, "vector may miss", "", " && logwatch reload --config " + file}, true},
		{"the wrong profile", "shippers", runs("collectorProfile: vector\n", "/usr/share/filebeat/bin/filebeat"), wants{Warn, "minRotationInterval is 1s, and should be 12s", "", "collectorProfile: filebeat"}, true},
		{"keys of its own", "shippers", runs("minRotationInterval: 2s\n# end", "/usr/bin/otelcol-contrib"), wants{Warn, "minRotationInterval is 2s", "", "minRotationInterval: 10s"}, true},
		{"two", "shippers", func(f *fakeNode) {
			runs("collectorProfile: fluent-bit\n", "fluent-bit")(f)
			f.process("vector")
			f.process("/opt/datadog-agent/bin/agent/agent", "run")
		}, wants{Warn, "agent, fluent-bit, vector may miss", "minRotationInterval", "minRotationInterval: 12s"}, true},
		{"strict on purpose", "shippers", runs("collectorProfile: none\n", "alloy", "run"), wants{Warn, "minRotationInterval is 0s, and should be 5s", "", "collectorProfile: alloy"}, true},
		{"an override", "shippers", runs("collectorProfile: alloy\noverrides:\n- match: {pods: [x]}\n  minRotationInterval: 0s\n", "alloy"), wants{Warn, "override 1", "should have 5s and 5s", "overrides"}, false},
		{"zstd", "shippers", runs("collectorProfile: alloy\ncompression: {codec: zstd}\n", "alloy"), wants{Warn, ".zst", "", "gzip"}, false},
		{"a flag of the daemon", "shippers", func(f *fakeNode) {
			f.daemon("--min-rotation-interval", "1s")
			f.process("vlagent-prod")
		}, wants{Warn, "should be 12s", "", "remove --min-rotation-interval from its command line"}, false},
		{"the daemon in a pod", "shippers", func(f *fakeNode) {
			f.file("/proc/"+itoa(f.daemon())+"/cgroup", "0::/kubepods/x\n")
			f.process("promtail")
		}, wants{Warn, "promtail may miss", "", "configmaps"}, false},
		{"a hostile name", "shippers", runs("", "/bin/fluentd\x1b[2J\nfix: rm -rf /"), wants{OK, "no known log shipper", "", ""}, false},
	})
	f := newFake(t)
	for args, want := range map[string]string{
		"ruby -Eascii /usr/bin/fluentd -c x": "fluentd", "ruby3.1 /opt/app.rb": "", "td-agent": "fluentd", "/usr/bin/elastic-agent": "filebeat",
		"grafana-agent": "alloy", "otelcol": "otel", "/awscollector otel-collector": "", "aws-otel-collector": "otel", "vlagent": "vlagent", "agent run": "",
	} {
		p, err := f.node().proc.Proc(f.process(strings.Fields(args)...))
		if err != nil {
			t.Fatal(err)
		}
		if got := shipperOf(process{p, strings.Fields(args)}); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
		if i, g := profileOf(want); want != "" && i+g == 0 {
			t.Errorf("no profile %q", want)
		}
	}
}
