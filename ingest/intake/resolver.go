package intake

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"

	"github.com/keypost/keypost/ingest/authentic"
)

const (
	dnsTime  = 10 * time.Second
	dnsKept  = 5 * time.Minute // a key that was found, and that the DNS has none
	dnsNames = 1024
)

type dnsAnswer struct {
	records []string
	err     error
}

// NewResolver asks a name server (host:port; "": the system's), and remembers its
// answers for a short while: mails of one store come in numbers.
func NewResolver(server string) authentic.Resolver {
	r := &net.Resolver{}
	if server != "" {
		r.PreferGo = true
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server)
		}
	}
	known := expirable.NewLRU[string, dnsAnswer](dnsNames, nil, dnsKept)
	return func(ctx context.Context, name string) ([]string, error) {
		if a, ok := known.Get(name); ok {
			return a.records, a.err
		}
		ctx, cancel := context.WithTimeout(ctx, dnsTime)
		defer cancel()
		records, err := r.LookupTXT(ctx, strings.TrimSuffix(name, ".")+".") // as it is, with no search list
		e, ok := errors.AsType[*net.DNSError](err)
		if ok && server != "" {
			e.Server = server // the package names the system's, which it believes to have asked
		}
		if err == nil || ok && e.IsNotFound {
			known.Add(name, dnsAnswer{records, err})
		}
		return records, err
	}
}
