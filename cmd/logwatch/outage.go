package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/logwatch/logwatch/internal/api"
	"github.com/logwatch/logwatch/internal/config"
	"github.com/logwatch/logwatch/internal/display"
)

// maxOutageRows are the containers that are listed, those that need most.
const maxOutageRows = 10

// explainOutage writes what an outage of the log shippers needs beyond the containers'
// totals, at the rates that the running daemon has measured.
func explainOutage(ctx context.Context, w io.Writer, c config.Config, outage time.Duration) error {
	if outage <= 0 {
		return fmt.Errorf("invalid --outage %s: must be positive, such as 1h", outage)
	}
	if c.ControlSocket == "" {
		return fmt.Errorf("--outage requests the rates of the running daemon, and controlSocket is \"\": give it a path, such as %s, and restart the daemon", config.Default().ControlSocket)
	}
	s, err := api.NewClient(c.ControlSocket).Status(ctx, api.Names{}, false)
	if err != nil {
		return fmt.Errorf("--outage requests the rates of the running daemon: %w", err)
	}
	if s.Node.Waiting != "" {
		return fmt.Errorf("the daemon has measured no rates yet: %s", s.Node.Waiting)
	}
	return writeOutage(w, s.Containers, c.UnreadLogBudget, c.LogReaders.Timeout, outage)
}

// unreadAfter is what a container has beyond its total when nothing was read for a
// time, in bytes.
func unreadAfter(c api.Container, outage time.Duration) float64 {
	if c.MaxTotal <= 0 { // no limit: nothing is pruned
		return 0
	}
	return max(0, float64(max(0, c.Lag))+c.Rate*outage.Seconds()-float64(c.MaxTotal))
}

func allUnreadAfter(all []api.Container, outage time.Duration) (sum float64) {
	for _, c := range all {
		sum += unreadAfter(c, outage)
	}
	return sum
}

func writeOutage(w io.Writer, all []api.Container, budget int64, timeout, outage time.Duration) error {
	bytes := func(n float64) string { return display.Bytes(int64(min(n, 1<<62))) }
	all = slices.SortedFunc(slices.Values(all), func(a, b api.Container) int {
		return cmp.Compare(unreadAfter(b, outage), unreadAfter(a, outage))
	})
	rate, unseen := 0.0, 0
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) // keeps the first error for Flush
	_, _ = fmt.Fprintln(table, "NAMESPACE\tPOD\tCONTAINER\tRATE\tMAX-TOTAL\tBEYOND")
	for i, c := range all {
		rate += c.Rate
		if c.Lag < 0 {
			unseen++
		}
		if beyond := unreadAfter(c, outage); i < maxOutageRows && beyond > 0 {
			_, _ = fmt.Fprintln(table, strings.Join([]string{
				display.Escape(c.Namespace), display.Escape(c.Pod), display.Escape(c.Names.Container),
				display.PerSecond(c.Rate), display.Bytes(c.MaxTotal), bytes(beyond),
			}, "\t"))
		}
	}
	need := allUnreadAfter(all, outage)
	_, _ = fmt.Fprintf(table, "\nAn outage of %s needs %s beyond the containers' totals: %s write %s, as of the last sweeps.\n",
		outage, bytes(need), display.Plural(len(all), "container"), display.PerSecond(rate))
	if unseen > 0 {
		_, _ = fmt.Fprintf(table, "Containers without a log reader that is seen: %d. They are included.\n", unseen)
	}
	if outage > timeout {
		_, _ = fmt.Fprintf(table, "logReaders.timeout is TOO SHORT: a log shipper that reads nothing for %s is not waited for any longer, and what it misses is not counted. Set it to more than %s.\n",
			timeout, outage)
	}
	if need <= float64(budget) {
		_, _ = fmt.Fprintf(table, "unreadLogBudget is large enough: %s.\n", display.Bytes(budget))
		return table.Flush()
	}
	lasts := sort.Search(int(outage.Seconds()), func(s int) bool {
		return allUnreadAfter(all, time.Duration(s+1)*time.Second) > float64(budget)
	})
	_, _ = fmt.Fprintf(table, "unreadLogBudget is TOO SMALL: %s lasts %s. Set it to %dMi if the disk has room.\n",
		display.Bytes(budget), time.Duration(lasts)*time.Second, int64(min(need, 1<<62))>>20+1)
	return table.Flush()
}
