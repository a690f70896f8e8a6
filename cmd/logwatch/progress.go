package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// quietFor is how long a command may take before it shows what it waits for.
const quietFor = time.Second

// waiting shows on a terminal what the command waits for and for how long, from the
// first second on; done removes the line. It writes nothing to what is not a terminal.
func waiting(to *os.File, what string) (done func()) {
	if !term.IsTerminal(int(to.Fd())) {
		return func() {}
	}
	stop := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		began, shown := time.Now(), false
		tick := time.NewTicker(quietFor)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				if shown {
					_, _ = fmt.Fprint(to, "\r\x1b[K") // the terminal may be closed
				}
				return
			case <-tick.C:
				shown = true
				_, _ = fmt.Fprintf(to, "\r%s … %.0f s\x1b[K", what, time.Since(began).Seconds())
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stop)
		g.Wait()
	})
}
