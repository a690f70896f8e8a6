package agent

import (
	"fmt"
	"strings"
	"sync"

	"github.com/logwatch/logwatch/cri"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/policy"
	"github.com/logwatch/logwatch/internal/pressure"
	"github.com/logwatch/logwatch/rotator"
	"github.com/logwatch/logwatch/watcher"
)

// rules are a configuration in force: what holds for each container. A reload
// puts others in their place, whole.
type rules struct {
	cfg      config.Config
	resolver *policy.Resolver

	mu sync.Mutex
	// known are the policies of directories whose containers are known.
	known map[string]containerPolicy
}

// containerPolicy is a policy and the container that it is for: the next one in
// the same directory may have another.
type containerPolicy struct {
	containerID string
	policy      policy.Effective
}

func newRules(cfg config.Config) (*rules, error) {
	resolver, err := policy.New(cfg.Rules)
	if err != nil {
		return nil, err
	}
	return &rules{cfg: cfg, resolver: resolver, known: map[string]containerPolicy{}}, nil
}

// effective is what holds for a container's directory. Before its container is
// known its names are read from the path, which kubelet makes of them; labels and
// annotations are not known then.
func (d *Daemon) effective(dir string) policy.Effective {
	r := d.rules.Load()
	c, ok := d.inventory.ByDir(d.cfg.PodLogsDir + "/" + dir)
	if !ok {
		d.newcomers.add(dir)
		return r.resolver.For(subjectOf(dir))
	}
	r.mu.Lock()
	known, ok := r.known[dir]
	r.mu.Unlock()
	if ok && known.containerID == c.ID {
		return known.policy
	}
	known = containerPolicy{c.ID, r.resolver.For(policy.Subject{
		Namespace: c.Namespace, Pod: c.Pod, Container: c.Name, Labels: c.PodLabels, Annotations: c.PodAnnotations,
	})}
	r.mu.Lock()
	if len(r.known) >= knownAtMost {
		clear(r.known)
	}
	r.known[dir] = known
	r.mu.Unlock()
	d.tellRejects(c, known.policy)
	return known.policy
}

// knownAtMost bounds the memory: more directories than a node has containers.
const knownAtMost = 20_000

// subjectOf reads "<namespace>_<pod>_<uid>/<container>".
func subjectOf(dir string) policy.Subject {
	pod, container, _ := strings.Cut(dir, "/")
	namespace, rest, _ := strings.Cut(pod, "_")
	name, _, _ := strings.Cut(rest, "_")
	return policy.Subject{Namespace: namespace, Pod: name, Container: container}
}

// tellRejects says once which of a pod's annotations do not hold as they are.
func (d *Daemon) tellRejects(c cri.Container, p policy.Effective) {
	for _, r := range p.Rejected {
		d.told.once(fmt.Sprintf("reject %s %s", c.ID, r.Annotation), func() {
			d.counts.rejects.Add(1)
			named(d.log.Warn(), c).Str("annotation", r.Annotation).Str("value", r.Value).Str("reason", r.Reason).
				Msg("a pod's annotation does not hold as it is")
		})
	}
}

// limits are a container's, for the watcher.
func (d *Daemon) limits(dir string) watcher.Limits {
	p := d.effective(dir)
	return watcher.Limits{MaxSize: p.MaxSize, MaxTotalSize: p.MaxTotalSize, MinInterval: p.MinInterval}
}

// codecs are the policy's, as the rotator has them.
var codecs = map[policy.Codec]rotator.Codec{
	policy.CodecNone: rotator.NoCodec, policy.CodecGzip: rotator.Gzip, policy.CodecZstd: rotator.Zstd,
}

// policy is what a container's rotated logs are kept to.
func (d *Daemon) policy(dir string) rotator.Policy {
	p := d.effective(dir)
	return rotator.Policy{
		MaxFiles: p.MaxFiles, MaxTotalSize: p.MaxTotalSize, Limit: p.MaxSize, MaxAge: p.MaxAge,
		Grace: p.Grace, Codec: codecs[p.Codec], Level: p.Level,
	}
}

// budgetOf is what all logs together are kept to.
func budgetOf(c config.Config) pressure.Limits {
	return pressure.Limits{
		NodeLogBudget: c.NodeLogBudget,
		HighPercent:   c.DiskPressure.HighThresholdPercent, LowPercent: c.DiskPressure.LowThresholdPercent,
		InodesHighPercent: c.DiskPressure.InodesHighThresholdPercent, InodesLowPercent: c.DiskPressure.InodesLowThresholdPercent,
	}
}
