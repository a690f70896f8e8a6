package web

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logwatch/logwatch/internal/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a daemon.
type fake struct {
	looks  atomic.Int64
	status api.Status
	takes  time.Duration // a look
}

func (f *fake) Status(ctx context.Context, which api.Names, detail bool) api.Status {
	f.looks.Add(1)
	sleep(ctx, f.takes)
	s := f.status
	s.Containers = nil
	for _, c := range f.status.Containers {
		if which.Matches(c.Names) {
			if detail {
				c.Policy = []api.Field{{Name: "maxSize"}}
			}
			s.Containers = append(s.Containers, c)
		}
	}
	return s
}

const hostile = "<b>\"\x1b[2J\n\ndata: x\r\n\u202e\u2028\xff"

func two() *fake {
	return &fake{status: api.Status{Containers: []api.Container{
		{Names: api.Names{Namespace: "n", Pod: "p", Container: "c"}, ID: "1"},
		{Names: api.Names{Namespace: "n", Pod: hostile, Container: "c"}, ID: "2"},
	}}}
}

// serve serves a page until the test ends. Its server's deadlines are shorter than
// a stream lives.
func serve(t *testing.T, d *fake) (*Page, *httptest.Server) {
	t.Helper()
	p, srv := prepare(t, d)
	srv.Start()
	return p, srv
}

// prepare is serve without the start.
func prepare(t *testing.T, d *fake) (*Page, *httptest.Server) {
	t.Helper()
	p := New(d.Status, NewHub())
	mux := http.NewServeMux()
	p.Mount(mux)
	srv := httptest.NewUnstartedServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	srv.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	srv.Config.ReadTimeout, srv.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	t.Cleanup(func() {
		cancel()
		srv.Close()
	})
	return p, srv
}

// ask sends a request with headers, as "Name: value".
func ask(t *testing.T, srv *httptest.Server, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestRoutes(t *testing.T) {
	_, srv := serve(t, two())
	for _, tt := range []struct {
		method, path string
		code         int
		kind, want   string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "<title>logwatch</title>"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/ui/app.js", 200, "text/javascript; charset=utf-8", "import"},
		{"GET", "/ui/style.css", 200, "text/css; charset=utf-8", "prefers-color-scheme"},
		{"GET", "/ui/icon.svg", 200, "image/svg+xml", "<svg"},
		{"GET", "/api/v1/status", 200, "application/json", `"problems":[`},
		{"GET", "/api/v1/container?namespace=n&pod=p&container=c", 200, "application/json", `"policy":[{`},
		{"GET", "/api/v1/container?namespace=n&pod=p&container=x", 200, "application/json", `"containers":[]`},
		{"GET", "/api/v1/container?namespace=n", 400, "application/json", "must be set"},
		{"POST", "/", 405, "", ""},
		{"POST", "/api/v1/status", 405, "", ""},
		{"DELETE", "/api/v1/container?namespace=n&pod=p&container=c", 405, "", ""},
		{"GET", "/ui/", 404, "", ""},
		{"GET", "/ui/../page.go", 404, "", ""},
		{"GET", "/other", 404, "", ""},
	} {
		resp, body := ask(t, srv, tt.method, tt.path)
		if resp.StatusCode != tt.code || !strings.Contains(body, tt.want) || tt.kind != "" && resp.Header.Get("Content-Type") != tt.kind {
			t.Errorf("%s %s: %d %s, want %d %s with %q:\n%.200s", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), tt.code, tt.kind, tt.want, body)
		}
		if tt.code > 400 {
			continue
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", tt.path, name, got, want)
			}
		}
		if got := resp.Header.Get("Cache-Control"); (got == "no-store") != strings.HasPrefix(tt.path, "/api/") || got == "" {
			t.Errorf("%s: Cache-Control is %q", tt.path, got)
		}
		csp := resp.Header.Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'",
			"base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
		} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in its policy %q", tt.path, want, csp)
			}
		}
		if strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, "data:") {
			t.Errorf("%s: its policy is %q", tt.path, csp)
		}
	}
}

func TestKeptFiles(t *testing.T) {
	_, srv := serve(t, two())
	for _, path := range []string{"/", "/ui/app.js"} {
		resp, _ := ask(t, srv, "GET", path)
		etag := resp.Header.Get("ETag")
		if resp, body := ask(t, srv, "GET", path, "If-None-Match: "+etag); etag == "" || resp.StatusCode != 304 || body != "" {
			t.Errorf("%s, ETag %s: %d", path, etag, resp.StatusCode)
		}
		if resp, _ := ask(t, srv, "GET", path, `If-None-Match: "0123"`); resp.StatusCode != 200 {
			t.Errorf("%s, of another version: %d", path, resp.StatusCode)
		}
	}
}

// TestNothingFromOutside: the page's files need none, have no script or style
// within markup, and no way to make markup of text.
func TestNothingFromOutside(t *testing.T) {
	bad := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)https?://|="//|\son\w+=|\sstyle=|<style|<script[^>]*>[^<]|javascript:`),
		".css":  regexp.MustCompile(`(?i)https?:|url\(|@import|expression`),
		".js":   regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|DOMParser|createContextualFragment|srcdoc|setTimeout\("|https?://[^w]`),
		".svg":  regexp.MustCompile(`(?i)<script|\son\w+=|href=`),
	}
	files, err := assets.ReadDir("ui")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		text, err := assets.ReadFile("ui/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		ext := f.Name()[strings.LastIndex(f.Name(), "."):]
		if bad[ext] == nil || types[ext] == "" {
			t.Errorf("%s: nobody knows this kind of file", f.Name())
		} else if m := bad[ext].Find(text); m != nil {
			t.Errorf("%s has %q", f.Name(), m)
		}
	}
}

func TestOtherSites(t *testing.T) {
	_, srv := serve(t, two())
	for site, code := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200} {
		if resp, _ := ask(t, srv, "GET", "/api/v1/status", "Sec-Fetch-Site: "+site); resp.StatusCode != code {
			t.Errorf("%s: %d, want %d", site, resp.StatusCode, code)
		}
		if resp, _ := ask(t, srv, "GET", "/", "Sec-Fetch-Site: "+site); resp.StatusCode != 200 {
			t.Errorf("a link to the page from %s: %d", site, resp.StatusCode)
		}
	}
}

func TestStatus(t *testing.T) {
	f := two()
	f.status.Node.Waiting = "it waits"
	_, srv := serve(t, f)
	resp, plain := ask(t, srv, "GET", "/api/v1/status", "Accept-Encoding: identity")
	if got := resp.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("encoded as %s for one who cannot read it", got)
	}
	_, zipped := ask(t, srv, "GET", "/api/v1/status") // the client unpacks it
	if plain != zipped {
		t.Errorf("%q and packed %q", plain, zipped)
	}
	var v View
	if err := json.Unmarshal([]byte(plain), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Containers) != 2 || v.Containers[1].Pod != strings.ToValidUTF8(hostile, "\ufffd") || len(v.Problems) != 1 || time.Since(v.Time) > time.Minute {
		t.Errorf("%+v", v)
	}
	if n := f.looks.Load(); n != 1 {
		t.Errorf("%d looks for two requests in a moment", n)
	}
}

// TestTooMuchAtOnce: requests that wait are bounded.
func TestTooMuchAtOnce(t *testing.T) {
	p, srv := serve(t, two())
	for range maxWaiting {
		p.waiting <- struct{}{}
	}
	for _, path := range []string{"/api/v1/status", "/api/v1/container?namespace=n&pod=p&container=c"} {
		if resp, body := ask(t, srv, "GET", path); resp.StatusCode != 503 || !strings.Contains(body, "try again") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	for range maxWaiting {
		<-p.waiting
	}
	var g sync.WaitGroup
	for range 2 * maxWaiting {
		g.Go(func() {
			if resp, _ := ask(t, srv, "GET", "/api/v1/status"); resp.StatusCode != 200 && resp.StatusCode != 503 {
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
	g.Wait()
	if len(p.waiting) != 0 {
		t.Errorf("%d wait still", len(p.waiting))
	}
}
