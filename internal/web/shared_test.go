package web

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

func newShared(f *fake) *shared { return &shared{snapshot: f.Status, turn: make(chan struct{}, 1)} }

// TestOneLookForAll: viewers cost together what one of them does, and nothing when
// there are none.
func TestOneLookForAll(t *testing.T) {
	for name, tt := range map[string]struct {
		takes     time.Duration
		from, to  int64 // looks in a minute
		noViewers bool
	}{
		"quick":  {time.Millisecond, 55, 60, false},
		"slow":   {2 * time.Second, 3, 4, false}, // a tenth of the time
		"nobody": {time.Millisecond, 0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := two()
				f.takes = tt.takes
				s := newShared(f)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var g sync.WaitGroup
				for range 20 {
					g.Go(func() {
						for !tt.noViewers && sleep(ctx, 50*time.Millisecond) {
							if a, err := s.get(ctx, api.Names{}); err == nil && len(a.doc) == 0 || err != nil && ctx.Err() == nil {
								t.Errorf("%+v, %v", a, err)
							}
						}
					})
				}
				g.Wait()
				<-ctx.Done()
				if n := f.looks.Load(); n < tt.from || n > tt.to {
					t.Errorf("%d looks in a minute, want %d to %d", n, tt.from, tt.to)
				}
			})
		})
	}
}

// TestLeavesInTheMiddle: one that goes away while the daemon is looked at for it
// leaves no half answer to others, and cannot cause more work by that.
func TestLeavesInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := two()
		f.takes = 100 * time.Millisecond
		s := newShared(f)
		begin := time.Now()
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if _, err := s.get(ctx, api.Names{}); err == nil {
				t.Error("half an answer")
			}
			cancel()
		}
		if n, took := f.looks.Load(), time.Since(begin); n > int64(took/fresh)+1 {
			t.Errorf("%d looks in %v", n, took)
		}
		if a, err := s.get(t.Context(), api.Names{}); err != nil || len(a.doc) == 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

// TestWaitsNoLongerThanItsViewer: while another look hangs.
func TestWaitsNoLongerThanItsViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := two()
		f.takes = time.Hour
		s := newShared(f)
		long, end := context.WithCancel(t.Context())
		var g sync.WaitGroup
		g.Go(func() { _, _ = s.get(long, api.Names{}) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := s.get(ctx, api.Names{}); err == nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		end()
		g.Wait()
	})
}

// TestManyContainers: clients that ask for another container each time cause no more
// work than workShare allows.
func TestManyContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := two()
		f.takes = 10 * time.Millisecond
		s := newShared(f)
		s.detail = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var g sync.WaitGroup
		for i := range 20 {
			g.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					_, _ = s.get(ctx, api.Names{Namespace: "n", Pod: fmt.Sprint(i, n)})
				}
			})
		}
		g.Wait()
		// A pause of workShare times as long comes before each.
		if n := f.looks.Load(); n < 300 || n > 650 {
			t.Errorf("%d snapshots of 10ms in a minute", n)
		}
	})
}
