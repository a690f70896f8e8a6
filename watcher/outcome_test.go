package watcher

import (
	"os"
	"testing"
	"time"
)

func TestIgnored(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.done(Outcome{Ignore: true})
		b.wantState("cold")
		b.sweep(CauseSweep)
		b.advance(time.Minute)
		b.wantDue(0)
		b.write(log0, 1)
		b.wantDue(1)
	})
}

func TestIgnoredThatGrowsIsReportedOnceASecond(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.answer = func(Due) Outcome { return Outcome{Ignore: true} }
		for range 10_000 {
			b.write(log0, limit)
			b.advance(time.Millisecond)
		}
		if n := len(b.reports); n < 9 || n > 11 {
			t.Errorf("reported %d times in 10 s", n)
		}
	})
}

func TestIgnoredContainersNextLogIsFoundAtOnce(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.done(Outcome{Ignore: true})
		b.write("pod/c/1.log", limit)
		if due := b.wantDue(1); due.Log != "1.log" {
			t.Errorf("reported %q", due.Log)
		}
	})
}

func TestIgnoredThatIsReplacedIsAnotherLog(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.done(Outcome{Ignore: true})
		b.rotated()
		b.write(log0, limit)
		b.wantDue(1)
	})
}

func TestIgnoredThatIsRemovedStaysCold(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.done(Outcome{Ignore: true})
		b.remove(log0)
		b.advance(time.Minute)
		b.wantDue(0)
		b.wantState("cold")
	})
}

func TestFailedIsTriedLaterAndLater(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.answer = func(Due) Outcome { return Outcome{Failed: true} }
		b.write(log0, limit)
		b.advance(time.Minute)
		want := firstRetry
		for i := 1; i < len(b.reports); i++ {
			if got := b.reports[i].at.Sub(b.reports[i-1].at); got != want {
				t.Errorf("try %d after %v, want %v", i, got, want)
			}
			if c := b.reports[i].Cause; c != CauseRetry {
				t.Errorf("try %d: cause %q", i, c)
			}
			want = min(2*want, lastRetry)
		}
		if want != lastRetry {
			t.Errorf("%d tries in a minute", len(b.reports))
		}
	})
}

func TestRetryAfterIsRespected(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		first := b.wantDue(1)
		b.done(Outcome{Failed: true, RetryAfter: 10 * time.Minute})
		for range 59 { // neither sweeps nor new names in the directory cut it short
			b.advance(10 * time.Second)
			b.write("pod/c/0.log.20260101-000000", 1)
			b.named("pod/c")
			b.sweep(CauseSweep)
			b.wantDue(0)
		}
		b.advance(10 * time.Second)
		if got := b.wantDue(1).at.Sub(first.at); got != 10*time.Minute {
			t.Errorf("tried again after %v", got)
		}
	})
}

func TestFailuresAreForgottenOnceTheLogIsSmall(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		b.wantDue(1)
		b.done(Outcome{Failed: true, RetryAfter: time.Minute})
		b.check(os.Truncate(b.path(log0), 0))
		b.advance(2 * time.Minute)
		b.wantDue(0)
		b.write(log0, limit)
		if due := b.wantDue(1); due.Cause != CauseWrite {
			t.Errorf("cause %q", due.Cause)
		}
	})
}

func TestZeroOutcomeLooksAgain(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.heat()
		b.advance(time.Minute) // quiet, and that is not to count any more
		b.write(log0, limit)
		b.wantDue(1)
		b.check(os.Truncate(b.path(log0), 0)) // somebody else's doing
		b.done(Outcome{})
		b.wantState("hot")
		b.check(os.Truncate(b.path(log0), limit))
		b.advance(maxCheck)
		b.wantDue(1)
	})
}

func TestZeroOutcomesDoNotSpin(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.answer = func(Due) Outcome { return Outcome{} }
		b.write(log0, limit)
		b.advance(10 * time.Second)
		if n := len(b.reports); n > int(10*time.Second/firstRetry)+1 {
			t.Errorf("reported %d times in 10 s", n)
		}
	})
}

func TestRotatedCountsTowardsTheTotal(t *testing.T) {
	withLog(t, Limits{MaxSize: limit, MaxTotalSize: 10 * limit, MinInterval: time.Hour}, func(b *bubble) {
		b.write(log0, 8*limit)
		b.wantDue(1)
		b.done(Outcome{Rotated: b.rotated()})
		for range 2100 { // growing at each check, so that none looks at the directory
			b.write(log0, limit/1000)
			b.advance(time.Millisecond)
		}
		b.wantDue(1)
	})
}

func TestDoneForWhatWasNotReported(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.done(Outcome{Failed: true, RetryAfter: time.Hour})
		b.w.Done(b.Context(), "no/such", Outcome{})
		b.wantState("cold")
		b.write(log0, limit)
		b.wantDue(1)
	})
}

func TestListingWhilePendingReportsNothing(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write("pod/c/1.log", limit)
		b.wantDue(1)
		// One that was asked for before, and shows another log that is due.
		b.check(os.WriteFile(b.path("pod/c/2.log"), make([]byte, limit), 0o600))
		b.l.scanned(result{request: request{rel: "pod/c", cause: CauseWrite}, list: listing{live: "2.log"}})
		b.wantDue(0)
	})
}

func TestNothingOfTheLastRestartHoldsForTheNext(t *testing.T) {
	for name, o := range map[string]Outcome{
		"its interval": {Rotated: limit}, "its retry": {Failed: true, RetryAfter: time.Hour}, "ignored": {Ignore: true},
	} {
		t.Run(name, func(t *testing.T) {
			withLog(t, Limits{MaxSize: limit, MinInterval: time.Hour}, func(b *bubble) {
				b.write(log0, limit)
				b.wantDue(1)
				b.rotated()
				b.done(o)
				b.advance(time.Minute)
				b.write("pod/c/1.log", limit)
				b.advance(time.Second)
				b.sweep(CauseSweep)
				if due := b.wantDue(1); due.Log != "1.log" {
					t.Errorf("reported %q", due.Log)
				}
				b.done(o)
				b.advance(time.Minute)
				b.write("pod/c/2.log.20260101-000000", limit) // and no live one
				b.sweep(CauseSweep)
				b.advance(missingPause)
				if due := b.wantDue(1); due.Log != "2.log" || due.Cause != CauseMissing {
					t.Errorf("reported %+v", due.Due)
				}
			})
		})
	}
}

func TestRotatedIsLookedAtAtOnce(t *testing.T) {
	withLog(t, Limits{MaxSize: limit}, func(b *bubble) {
		b.write(log0, limit)
		first := b.wantDue(1)
		size := b.rotated()
		b.check(os.Truncate(b.path(log0), 2*limit))
		b.done(Outcome{Rotated: size})
		due := b.wantDue(1)
		if !due.at.Equal(first.at) || due.Size != 2*limit || due.Cause != CauseWrite {
			t.Errorf("reported %+v after %v", due.Due, due.at.Sub(first.at))
		}
	})
}
