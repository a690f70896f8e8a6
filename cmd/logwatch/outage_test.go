package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

func TestOutage(t *testing.T) {
	const mi = 1 << 20
	app := func(name string, rate float64, lag, maxTotal int64) api.Container {
		return api.Container{Names: api.Names{Namespace: "shop", Pod: "web\x1b", Container: name}, Rate: rate, Lag: lag, MaxTotal: maxTotal}
	}
	all := []api.Container{
		app("slow", 1024, 0, 50*mi), app("fast", 10*mi, 0, 50*mi), app("behind", mi, 60*mi, 50*mi),
		app("unlimited", 100*mi, 0, 0), app("unseen", 2*mi, -1, 50*mi),
	}
	for _, tt := range []struct {
		outage  time.Duration
		timeout time.Duration
		budget  int64
		want    string
	}{
		{time.Minute, time.Minute, 691 * mi, `NAMESPACE POD CONTAINER RATE MAX-TOTAL BEYOND
shop web\x1b fast 10Mi/s 50Mi 550Mi
shop web\x1b behind 1Mi/s 50Mi 70Mi
shop web\x1b unseen 2Mi/s 50Mi 70Mi

An outage of 1m0s needs 690Mi beyond the containers' totals: 5 containers write 113Mi/s, as of the last sweeps.
Containers without a log reader that is seen: 1. They are included.
unreadLogBudget is large enough: 691Mi.
`},
		// After 11 s: 60 Mi of fast and 21 Mi of behind; after 12 s: 70 and 22.
		{time.Minute, time.Hour, 85 * mi, "unreadLogBudget is TOO SMALL: 85Mi lasts 11s. Set it to 691Mi if the disk has room.\n"},
		{time.Minute, time.Hour, 0, "unreadLogBudget is TOO SMALL: 0 lasts 0s. Set it to 691Mi if the disk has room.\n"},
		{time.Minute, time.Second, 691 * mi, `
logReaders.timeout is TOO SHORT: a log shipper that reads nothing for 1s is not waited for any longer, and what it misses is not counted. Set it to more than 1m0s.
unreadLogBudget is large enough: 691Mi.
`},
	} {
		var out bytes.Buffer
		if err := writeOutage(&out, all, tt.budget, tt.timeout, tt.outage); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for line := range strings.Lines(out.String()) {
			got.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
		}
		if !strings.HasSuffix(got.String(), tt.want) {
			t.Errorf("got\n%s\nwant\n%s", got.String(), tt.want)
		}
	}
	if err := writeOutage(&bytes.Buffer{}, nil, 0, time.Hour, time.Hour); err != nil {
		t.Error(err)
	}
}

// TestOutageErrors: without a daemon, or a time that makes sense, the error says why.
func TestOutageErrors(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.sock")
	for _, tt := range []struct{ config, outage, err string }{
		{"controlSocket: " + none, "1h", "--outage requests the rates of the running daemon: no daemon answers at " + none},
		{`controlSocket: ""`, "1h", `--outage requests the rates of the running daemon, and controlSocket is ""`},
		{"controlSocket: " + none, "0s", "invalid --outage 0s: must be positive, such as 1h"},
		{"controlSocket: " + none, "1h --explain a/b/c", "if any flags in the group [explain outage] are set none of the others can be"},
	} {
		file := filepath.Join(dir, "a.yaml")
		if err := os.WriteFile(file, []byte(tt.config), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := newCommand()
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetArgs(append([]string{"check-config", file, "--outage"}, strings.Fields(tt.outage)...))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: %v, want %q", tt.outage, err, tt.err)
		}
	}
}
