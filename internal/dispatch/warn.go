package dispatch

import "sync"

// WarnOnce remembers which problems were logged, so that a lasting problem is one
// line. The zero value is ready.
type WarnOnce struct {
	mu     sync.Mutex
	warned map[string]bool
}

// maxWarnings bounds the memory: beyond it, lasting problems are logged again.
const maxWarnings = 4096

// Do calls log unless the problem was logged and not cleared since.
func (w *WarnOnce) Do(problem string, log func()) {
	w.mu.Lock()
	if w.warned == nil || len(w.warned) >= maxWarnings {
		w.warned = map[string]bool{}
	}
	first := !w.warned[problem]
	w.warned[problem] = true
	w.mu.Unlock()
	if first {
		log()
	}
}

// Clear reports whether the problem was logged, and lets it be logged again.
func (w *WarnOnce) Clear(problem string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.warned[problem]
	delete(w.warned, problem)
	return was
}
