package delivery

import (
	"io/fs"
	"time"

	"github.com/keypost/keypost/store"
)

// A Digest is what the vendor is told once a day.
type Digest struct {
	Head    string        // the audit log's; "": it is empty
	Held    []store.Count // orders that wait, by channel and reason
	Mails   []store.Count // mails that wait, by channel and reason
	Dead    []store.Count // notices that were given up, by kind and reason
	Refused []store.Count // posts and mails between Since and Until, by channel and reason
	Pools   []PoolLevel
	Outages []string  // mailboxes that are not watched, in a sentence each
	Gaps    []string  // what seems to be missing among a store's mails, in a sentence each
	Since   time.Time // when the last one told; zero: there was none
	Until   time.Time
}

// A PoolLevel is how many codes are left in a pool.
type PoolLevel struct {
	Pool        string
	Free, Codes int
	Low         bool
}

// News tells whether there is something that a person should look at.
func (d Digest) News() bool {
	for _, p := range d.Pools {
		if p.Low {
			return true
		}
	}
	return len(d.Held) > 0 || len(d.Mails) > 0 || len(d.Dead) > 0 || len(d.Refused) > 0 || len(d.Gaps) > 0 || len(d.Outages) > 0
}

// Mail renders a digest.
func (d Digest) Mail(at time.Time) Rendered {
	for _, list := range [][]store.Count{d.Held, d.Mails, d.Dead, d.Refused} {
		for i := range list {
			list[i].Reason = oneLine(list[i].Reason)
		}
	}
	for i, outage := range d.Outages {
		d.Outages[i] = oneLine(outage)
	}
	last := ""
	if !d.Since.IsZero() {
		last = d.Since.UTC().Format("2006-01-02 15:04 UTC")
	}
	r, err := renderVendor("vendor_digest.txt", struct {
		Digest
		Day, Last string
	}{d, at.UTC().Format("2006-01-02"), last})
	if err != nil { // a test renders it
		r.Text = err.Error()
	}
	return r
}

// renderVendor renders a mail to the vendor, whose texts are built in.
func renderVendor(file string, data any) (Rendered, error) {
	b, err := fs.ReadFile(embedded, "templates/"+file)
	if err != nil {
		return Rendered{}, err
	}
	t, err := parseText(file, string(b))
	if err != nil {
		return Rendered{}, err
	}
	return t.render(data)
}
