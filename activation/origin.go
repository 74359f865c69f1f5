package activation

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Browsers let a page call another server only if that server allows the page's
// origin (CORS, in the Fetch standard). Programs other than browsers do not care.

// anyOrigin in [Config.Origins] allows every page.
const anyOrigin = "*"

// CheckOrigin tells why a text cannot be in [Config.Origins], in words for the
// person who wrote it; nil: it can.
func CheckOrigin(origin string) error {
	if origin == anyOrigin {
		return nil
	}
	u, err := url.Parse(origin)
	// Fetch, 3.2: what a browser sends is compared byte by byte.
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin || strings.HasSuffix(origin, ":") {
		return fmt.Errorf(`%q is not an origin: write it as browsers send it, like "https://app.example.com" or "http://localhost:3000", without a path; or "*" for every page`, origin)
	}
	if strings.Contains(origin, "*") {
		return fmt.Errorf(`%q: a pattern matches nothing: write each origin, or "*" for every page`, origin)
	}
	if strings.ContainsFunc(origin, func(r rune) bool { return r > unicode.MaxASCII }) {
		return fmt.Errorf(`%q: browsers send such a name in ASCII: write it as "xn--..."`, origin)
	}
	if u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
		return fmt.Errorf(`%q: browsers leave out the port %s, so leave it out here, too`, origin, u.Port())
	}
	return nil
}

// CrossOrigin lets pages of the configured origins use a call, and answers what
// browsers ask before they post (a preflight). Without such origins it changes
// nothing.
func (s *Server) CrossOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := s.config.Load().Origins
		if len(origins) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		origin, every := r.Header.Get("Origin"), slices.Contains(origins, anyOrigin)
		if !every {
			w.Header().Add("Vary", "Origin") // a cache must not give one page's answer to another
		}
		if origin == "" || !every && !slices.Contains(origins, origin) {
			next.ServeHTTP(w, r)
			return
		}
		if every {
			origin = anyOrigin
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		// Fetch, 3.2.2: a preflight.
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
			w.Header().Set("Access-Control-Max-Age", "7200") // seconds; browsers keep it no longer
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		next.ServeHTTP(w, r)
	})
}
