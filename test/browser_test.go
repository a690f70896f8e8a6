package test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write pictures of the page into this folder, for the docs")

// tab is a page in a real browser. The end of the test checks for what must never
// happen: a script error, a violation of the page's policy, a dialog, a request to
// another server than the daemon.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string // the daemon's address

	mu       sync.Mutex
	wrong    []string
	requests []string
}

// browse opens the page at base in a separate browser.
func browse(t *testing.T, base string) *tab {
	t.Helper()
	const program = "chromium"
	switch _, err := exec.LookPath(program); {
	case testing.Short():
		t.Skip("a browser is not for -short")
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("no %s: apt-get install --no-install-recommends chromium", program)
	default:
		t.Skipf("no %s: apt-get install --no-install-recommends chromium", program)
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
	}
	for _, f := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-default-apps",
		"disable-dev-shm-usage", "disable-breakpad", "hide-scrollbars",
	} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	actx, stop := chromedp.NewExecAllocator(ctx, opts...)
	bctx, end := chromedp.NewContext(actx)
	b := &tab{t: t, ctx: bctx, base: base}
	t.Cleanup(func() {
		b.check()
		_ = chromedp.Cancel(bctx) // what does not end is killed
		end()
		stop()
		chromedp.FromContext(bctx).Allocator.Wait()
		cancel()
	})
	if err := chromedp.Listen(bctx, b.notice); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	call(b, runtime.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	call(b, audits.Enable, cdp.Empty{})
	call(b, page.Enable, page.EnableParams{})
	b.size(1440, 900)
	return b
}

// call runs one of the protocol's commands.
func call[P, R any](b *tab, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, cmd, params)
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return r
}

// size sets the size of the window in CSS pixels.
func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, height))
}

// open loads the page and waits for its content.
func (b *tab) open() {
	b.t.Helper()
	b.do(chromedp.Navigate(b.base))
	b.await(`document.getElementById("link").dataset.state === "live"`)
}

// notice is called with each event of the browser, and must not block.
func (b *tab) notice(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprintf("script: %+v", *e.ExceptionDetails))
	case *audits.EventIssueAdded:
		if d := e.Issue.Details; d != nil && d.ContentSecurityPolicyIssueDetails != nil {
			b.wrong = append(b.wrong, fmt.Sprintf("policy: %+v", d.ContentSecurityPolicyIssueDetails))
		}
	case *page.EventJavascriptDialogOpening:
		b.wrong = append(b.wrong, "dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	}
}

// check fails the test if something happened that never must.
func (b *tab) check() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Error(w)
	}
	for _, url := range slices.Compact(slices.Sorted(slices.Values(b.requests))) {
		if !strings.HasPrefix(url, b.base+"/") {
			b.t.Errorf("a request to %s", url)
		}
	}
	if len(b.requests) < 3 {
		b.t.Errorf("%d requests were seen: %q", len(b.requests), b.requests)
	}
}

// do runs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("browser: %v", err)
	}
}

// eval returns the value of an expression; promises are awaited.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	// What the page may not do, no test does for it.
	strict := func(p *runtime.EvaluateParams) { p.AllowUnsafeEvalBlockedByCSP = new(false) }
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise, strict))
	if err != nil {
		b.t.Fatalf("browser: %v: %.300s", err, expression)
	}
	return v
}

// await polls until an expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !eval[bool](b, "Boolean("+expression+")"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited a minute for %s; the page is\n%s", expression, eval[string](b, `document.body.innerText.slice(0, 3000)`))
		}
	}
}

// scheme sets the color scheme of the system: light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}})
}

// shoot writes a screenshot if they are enabled.
func (b *tab) shoot(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
