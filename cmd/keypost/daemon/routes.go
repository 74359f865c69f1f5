package daemon

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// routes is the one table of who answers which path.
func routes(c *config.Config, db *store.DB, desk *ingest.Desk, seats *activation.Server) http.Handler {
	r := mux.NewRouter().SkipClean(true)             // cleaning redirects, and a redirected post is a lost one
	channels := map[[sha256.Size]byte]http.Handler{} // by a hash: a name may be secret, and a look-up's time must not tell it
	for _, ch := range c.Channels {
		if r, ok := ch.Settings.(channel.Receiver); ok {
			channels[sha256.Sum256([]byte(ch.Name))] = r.Handler(desk)
		}
	}
	in := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := channels[sha256.Sum256([]byte(mux.Vars(r)["channel"]))]
		if !ok {
			http.Error(w, "No channel has this name.", http.StatusNotFound)
			return
		}
		h.ServeHTTP(w, r)
	})
	r.Handle("/in/{channel}", in)
	r.Handle("/in/{channel}/{below:.*}", in)

	call := func(method, path string, h http.Handler) {
		methods := []string{method}
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		other := activation.MethodNotAllowed(strings.Join(methods, ", "))
		if strings.HasPrefix(path, "/v1/") {
			h, other = seats.CrossOrigin(h), seats.CrossOrigin(other)
		}
		r.Handle(path, h).Methods(methods...)
		r.Handle(path, other)
	}
	call(http.MethodPost, "/v1/activate", seats.Activate())
	call(http.MethodPost, "/v1/validate", seats.Validate())
	call(http.MethodPost, "/v1/deactivate", seats.Deactivate())
	call(http.MethodGet, "/.well-known/jwks.json", seats.JWKS())
	call(http.MethodGet, "/healthz", text(func(*http.Request) (int, string) { return http.StatusOK, "alive\n" }))
	call(http.MethodGet, "/readyz", ready(db))
	call(http.MethodGet, "/", text(func(*http.Request) (int, string) {
		return http.StatusOK, "A Keypost license server. Software activates at /v1/activate; orders come in at /in/.\n"
	}))
	r.NotFoundHandler = logged(http.HandlerFunc(activation.NotFound))
	r.Use(logged)
	return recovered(realAddress(c.Server.Proxies, r))
}

func text(answer func(*http.Request) (int, string)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, body := answer(r)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
}

// unknownProxy warns once: strangers can write such a header, too.
var unknownProxy sync.Once

// realAddress puts the caller's address in the place of a trusted proxy's. The
// last address in X-Forwarded-For that is no trusted proxy's own is the caller's.
func realAddress(proxies []netip.Prefix, next http.Handler) http.Handler {
	trusted := func(a netip.Addr) bool {
		for _, p := range proxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		byProxy := err == nil && trusted(peer.Addr().Unmap())
		if !byProxy {
			if len(r.Header.Values("X-Forwarded-For")) > 0 {
				unknownProxy.Do(func() {
					slog.Warn("a request was forwarded by a proxy that trusted_proxies does not name: if it is yours, add it, or all its callers count as one")
				})
			}
			if len(r.Header.Values("X-Forwarded-Proto")) > 0 {
				r.Header["X-Forwarded-Proto"] = []string{"unknown"} // a stranger's word
			}
		} else {
			hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
			for i := len(hops) - 1; i >= 0; i-- {
				addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
				if err != nil {
					break
				}
				r.RemoteAddr = net.JoinHostPort(addr.Unmap().String(), "0")
				if !trusted(addr.Unmap()) {
					break
				}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// logged writes one line a request: by its route, never by what was asked for.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		route := "none"
		if known := mux.CurrentRoute(r); known != nil {
			route, _ = known.GetPathTemplate()
		}
		slog.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("method", knownMethod(r.Method)), slog.String("route", route),
			slog.Int("status", s.status), slog.Duration("took", time.Since(begin).Round(time.Microsecond)))
	})
}

func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return m
	}
	return "other"
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// recovered answers 503 where a handler panics: a caller may try again.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				slog.Error("a handler panicked: please report this", "panic", v, "stack", string(debug.Stack()))
				w.Header().Set("Retry-After", "30")
				http.Error(w, "This cannot be answered now. Try again.", http.StatusServiceUnavailable)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
