package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"time"

	"github.com/logwatch/logwatch/internal/api"
)

//go:embed ui
var assets embed.FS

// Snapshot describes the containers that match. It may be called at the same time.
type Snapshot func(ctx context.Context, which api.Names, detail bool) api.Status

// Page serves the page. New creates it.
type Page struct {
	hub      *Hub
	all, one shared
	waiting  chan struct{} // has room for maxWaiting
	write    time.Duration // writeTimeout; tests set another
}

// New returns the page of a daemon whose events are published to h.
func New(s Snapshot, h *Hub) *Page {
	return &Page{
		hub: h, write: writeTimeout, waiting: make(chan struct{}, maxWaiting),
		all: shared{snapshot: s, turn: make(chan struct{}, 1)},
		one: shared{snapshot: s, turn: make(chan struct{}, 1), detail: true},
	}
}

// Mount adds the page's routes.
func (p *Page) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", guard(serveAsset("index.html")))
	files, _ := assets.ReadDir("ui") // it is embedded
	for _, f := range files {
		mux.HandleFunc("GET /ui/"+f.Name(), guard(serveAsset(f.Name())))
	}
	mux.HandleFunc("GET /api/v1/status", guard(sameSite(p.status)))
	mux.HandleFunc("GET /api/v1/container", guard(sameSite(p.container)))
	mux.HandleFunc("GET /api/v1/events", guard(sameSite(p.events)))
}

// policy allows the page's own files and nothing else, not even a style in an
// attribute. Trusted Types make innerHTML and its like fail.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are constant: mime.TypeByExtension depends on the host.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

func serveAsset(name string) http.HandlerFunc {
	data, err := assets.ReadFile("ui/" + name)
	if err != nil {
		panic(err) // it is not in this binary
	}
	sum := sha256.Sum256(data)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", types[path.Ext(name)])
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", "no-cache") // cached, and revalidated each time
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
	}
}

// guard sets the headers that all answers have.
func guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next(w, r)
	}
}

// sameSite rejects requests of other sites' scripts: they could not read the answers,
// but would use up the number of viewers.
func sameSite(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site":
			fail(w, http.StatusForbidden, "this is for logwatch's page and programs, not for other sites")
		default:
			next(w, r)
		}
	}
}

// sleep reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
