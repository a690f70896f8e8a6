package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// quietFor is how long a command may take before it says what it waits for.
const quietFor = time.Second

// waiting says on a terminal what is waited for and for how long, once that is
// over a second; done takes the line away. Where to is no terminal it says
// nothing: a file gets results alone.
func waiting(to *os.File, what string) (done func()) {
	if !term.IsTerminal(int(to.Fd())) {
		return func() {}
	}
	stop := make(chan struct{})
	var g sync.WaitGroup
	g.Go(func() {
		began, said := time.Now(), false
		tick := time.NewTicker(quietFor)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				if said {
					_, _ = fmt.Fprint(to, "\r\x1b[K") // whoever looked has gone
				}
				return
			case <-tick.C:
				said = true
				_, _ = fmt.Fprintf(to, "\r%s … %.0f s\x1b[K", what, time.Since(began).Seconds())
			}
		}
	})
	return sync.OnceFunc(func() {
		close(stop)
		g.Wait()
	})
}
