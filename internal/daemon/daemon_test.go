package daemon

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/cri/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRotatesUnderLoad(t *testing.T) {
	for name, behaviour := range map[string]embedded.Behaviour{"containerd": embedded.Containerd, "conmon": embedded.Conmon} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, embedded.Options{Behaviour: behaviour}, `
containerLogMaxSize: 256Ki
containerLogMaxFiles: 1000
minRotationInterval: 0s
`)
			n.start()
			pattern := &embedded.Pattern{BytesPerSecond: 4e6, StderrEvery: 5, LongEvery: 200}
			a := n.run(embedded.ContainerSpec{Name: "a", Writer: pattern})
			b := n.run(embedded.ContainerSpec{Name: "b", Writer: pattern})
			n.waitRotations(40)
			a.Exit()
			b.Exit()
			n.stop()
			n.check(a)
			n.check(b)
		})
	}
}
