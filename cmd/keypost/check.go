package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

type checkCommand struct {
	jsonFlag
}

func (checkCommand) Help() string {
	return "Changes nothing. Exit code 1: something failed.\n\nExample: keypost check --config /etc/keypost.toml"
}

// A finding is one line of check.
type finding struct {
	Subject string `json:"subject"`
	Result  string `json:"result"` // ok, warning, failed
	Detail  string `json:"detail"`
}

func (c checkCommand) Run(a *app) error {
	list := []finding{}
	add := func(subject, result, detail string) { list = append(list, finding{subject, result, detail}) }
	conf, err := a.load()
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			add("config", "failed", line)
		}
	} else {
		list = append(list, conf.findings(a)...)
	}
	failed := 0
	for _, f := range list {
		if f.Result == "failed" {
			failed++
		}
	}
	if c.JSON {
		err = printJSON(a.out, list)
	} else {
		err = nil
		for _, f := range list {
			fmt.Fprintf(a.out, "%-8s%s: %s\n", f.Result, safe(f.Subject), safe(f.Detail))
		}
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d checks failed", failed, len(list))
	}
	return err
}

// findings checks what a good config describes.
func (c *config) findings(ctx context.Context) []finding {
	name := c.file
	if name == "" {
		name = "no file: the built-in demo"
	}
	list := []finding{{"config", "ok", fmt.Sprintf("%s, products: %d, channels: %d", name, len(c.Products), len(c.Channels))}}
	list = append(list, c.checkProxy())
	list = append(list, c.checkDatabase(ctx)...)
	list = append(list, c.checkNodes(ctx)...)
	for _, p := range c.Products {
		list = append(list, p.finding())
		if len(p.Gives) == 0 && p.codes.Pool == "" {
			list = append(list, p.check(ctx))
		}
	}
	for _, ch := range c.Channels {
		list = append(list, kinds[ch.Kind].finding(ch))
		if try := kinds[ch.Kind].try; try != nil {
			list = append(list, try(ctx, ch)...)
		}
	}
	list = append(list, c.checkMail(ctx))
	for _, w := range c.Webhooks {
		list = append(list, w.finding())
	}
	return list
}

// checkProxy: Keypost itself speaks HTTP, so where the world sees HTTPS a proxy
// stands before it, and must be known.
func (c *config) checkProxy() finding {
	f := finding{"proxy", "ok", "none: callers reach " + c.Server.Listen + " itself"}
	switch {
	case len(c.Server.proxies) > 0:
		f.Detail = "X-Forwarded-For counts from " + strings.Join(c.Server.TrustedProxies, ", ")
	case strings.HasPrefix(c.Server.PublicURL, "https:") || c.loopback() && !c.publicOnLoopback():
		f.Result = "failed"
		f.Detail = "going by public_url a proxy stands in front, and trusted_proxies does not name it: all callers would count as one, and one guesser would lock all out"
	}
	return f
}

// publicOnLoopback: the world that public_url speaks of is this machine.
func (c *config) publicOnLoopback() bool {
	u, err := url.Parse(c.Server.PublicURL)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// checkNodes looks at each host where the database's URL names several.
func (c *config) checkNodes(ctx context.Context) (list []finding) {
	for _, n := range store.CheckNodes(ctx, c.Database.URL) {
		f := finding{"database node " + n.Addr, "ok", n.Detail}
		switch {
		case n.Err != nil:
			f.Result, f.Detail = "failed", n.Err.Error()
		case n.Lags:
			f.Result = "warning"
		}
		list = append(list, f)
	}
	return list
}

func (c *config) checkDatabase(ctx context.Context) []finding {
	db, err := store.Open(ctx, c.Database.URL, store.Options{})
	if err != nil {
		return c.checkMissingDatabase(ctx, err)
	}
	defer db.Close()
	list := []finding{{"database", "ok", store.Name(c.Database.URL) + ": whole, and what is committed survives a loss of power"}}
	if err := errors.Join(db.Check(ctx), db.TryWrite(ctx)); err != nil {
		list[0] = finding{"database", "failed", strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	if f, ok := checkSpace(c.Database.URL); ok {
		list = append(list, f)
	}
	if pauses, err := db.Pauses(ctx); err == nil && len(pauses) > 0 {
		list = append(list, finding{"restore", "warning", "outbox and pools rest (" + pauses[0].Reason + "): keypost db restore --confirm lets them go on"})
	}
	keys := finding{"keys", "ok", c.Keys.MasterFile + " opens the signing keys"}
	if _, err := c.keyring(ctx, db, false); err != nil {
		keys = finding{"keys", "failed", err.Error()}
	}
	list = append(list, keys, c.checkAuditKey(ctx, db), checkOutbox(ctx, db))
	missing, err := c.missingProducts(ctx, db)
	if err != nil {
		missing = []finding{{"products", "failed", err.Error()}}
	}
	return append(append(list, missing...), c.checkPools(ctx, db)...)
}

// checkMissingDatabase: what is wrong with a database that cannot be opened, and
// with the keys that it would have.
func (c *config) checkMissingDatabase(ctx context.Context, err error) []finding {
	list := []finding{{"database", "failed", strings.TrimPrefix(c.notMade(err).Error(), "database ")}}
	if errors.Is(err, store.ErrNoDatabase) {
		if c.file == "" {
			list[0].Result = "ok" // the demo's comes with the first start
		}
		if err := store.CheckNew(ctx, c.Database.URL); err != nil {
			list = append(list, finding{"database", "failed", err.Error()})
		}
	}
	if err := c.checkKeyFiles(); err != nil {
		list = append(list, finding{"keys", "failed", err.Error()})
	}
	return list
}

// littleSpace is under how many MiB check warns: the log of a busy day, and time to
// do something about it.
const littleSpace = 256

func checkSpace(database string) (f finding, ok bool) {
	free, ok := store.FreeSpace(database)
	if !ok {
		return f, false
	}
	f = finding{"disk", "ok", fmt.Sprintf("%d MiB free for the database", free>>20)}
	if free>>20 < littleSpace {
		f.Result, f.Detail = "warning", f.Detail+": when it is full, orders and new activations are not taken; free some space"
	}
	return f, true
}

func checkOutbox(ctx context.Context, db *store.DB) finding {
	dead, err := db.CountNotices(ctx, store.NoticeDead)
	switch {
	case err != nil:
		return finding{"outbox", "failed", err.Error()}
	case dead > 0:
		return finding{"outbox", "warning", fmt.Sprintf("notices given up: %d (keypost outbox list --status dead)", dead)}
	}
	return finding{"outbox", "ok", "no notice was given up"}
}

func (c *config) checkPools(ctx context.Context, db *store.DB) (list []finding) {
	pools, err := c.pools(ctx, db)
	if err != nil {
		return []finding{{"pools", "failed", err.Error()}}
	}
	for _, p := range pools {
		f := finding{"pool " + p.Pool, "ok", fmt.Sprintf("%s left of %d", count(p.Free, "code"), p.Codes)}
		if p.Low {
			f.Result, f.Detail = "warning", f.Detail+": load more with keypost pool load"
		}
		list = append(list, f)
	}
	return list
}

// checkAuditKey: the key at hand must be the one that sealed last.
func (c *config) checkAuditKey(ctx context.Context, db *store.DB) finding {
	keys, err := c.auditKeys(ctx, db)
	if err != nil {
		return finding{"audit log", "failed", err.Error()}
	}
	if ours, err := db.SealedBy(ctx, keys...); err != nil || !ours {
		return finding{"audit log", "failed", "its last seal is by another key than the one at hand: is it the right audit_file and master key? (see keypost audit verify)"}
	}
	return finding{"audit log", "ok", "its key is at hand (keypost audit verify looks at the whole)"}
}

func (p productConfig) finding() finding {
	f := finding{"product " + p.ID, "ok", fmt.Sprintf("%s, machines a code: %s, leases: %s", p.Name, p.limits(), time.Duration(*p.Lease))}
	switch {
	case len(p.Gives) > 0:
		f.Detail = fmt.Sprintf("%s, a bundle of %s", p.Name, strings.Join(p.Gives, ", "))
	case *p.Limit == 0 && len(p.Limits) > 0:
		f.Detail += " (other license types: no limit)"
	case *p.Limit == 0:
		f.Result, f.Detail = "warning", p.Name+", no limit: a code works on any number of machines"
	}
	return f
}

// limits are the machines a code, for people.
func (p productConfig) limits() string {
	text := strconv.Itoa(*p.Limit)
	for _, licenseType := range slices.Sorted(maps.Keys(p.Limits)) {
		text += fmt.Sprintf(", %s %d", licenseType, p.Limits[licenseType])
	}
	return text
}

// weakBits are so few that a patient guesser may find a code.
const weakBits = 64

// check has the generator make a code for a made-up order, which is thrown away.
func (p productConfig) check(ctx context.Context) finding {
	if p.codes.Outside != nil {
		return p.checkOutside(ctx)
	}
	subject := "generator of " + p.ID
	made, err := p.codes.Compute.Generate(ctx, p.plausible())
	if errors.Is(err, fs.ErrNotExist) { // the database's check tells if it was there before
		return finding{subject, "ok", p.Generator.Kind + ", by a key that is derived from the master key, which is made with the database"}
	}
	if err != nil || len(made) != 1 {
		return finding{subject, "failed", fmt.Sprintf("made %d codes of 1: %v", len(made), err)}
	}
	f := finding{subject, "ok", p.Generator.Kind + ", " + p.like(made[0])}
	if g, ok := p.codes.Compute.(keygen.Signed); ok {
		public, err := g.Public()
		if err != nil {
			return finding{subject, "failed", err.Error()}
		}
		f.Detail += ", public key " + base64.RawURLEncoding.EncodeToString(public)
	}
	if g, ok := p.codes.Compute.(keygen.Filer); ok {
		file, err := g.File(p.plausible(), made[0])
		if err != nil {
			return finding{subject, "failed", err.Error()}
		}
		f.Detail += ", with a file " + file.Name
	}
	if g, ok := p.codes.Compute.(interface{ Bits() float64 }); ok {
		f.Detail += fmt.Sprintf(", %.0f random bits", g.Bits())
		if g.Bits() < weakBits {
			f.Result = "warning"
			f.Detail += fmt.Sprintf(": with fewer than %d, codes that were sold can be found by trying, which is only slowed down (misses)", weakBits)
		}
	}
	return f
}

// like tells of a code that was made; not the code itself where software that
// checks offline would take it.
func (p productConfig) like(code string) string {
	if _, fixed := p.codes.Compute.(keygen.Fixed); fixed || p.offline() {
		return fmt.Sprintf("a code of %d characters", utf8.RuneCountInString(code))
	}
	return "like " + code
}

// offline tells whether software takes a product's codes without asking anybody:
// also those that were never issued.
func (p productConfig) offline() bool {
	switch p.codes.Compute.(type) {
	case keygen.Verifier, *keygen.CocoaFob:
		return true
	}
	return false
}

// plausible is a request as an order makes it.
func (p productConfig) plausible() keygen.Request {
	q := keygen.Request{
		OrderID: "check", Transaction: "check", At: time.Now(), Product: p.ID, LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com", Quantity: 1, Limit: *p.Limit,
	}
	if p.Generator.Example != "" {
		q.Seeds = []string{"Keyword: " + p.Generator.Keyword + " - " + p.Generator.Example}
	}
	return q
}
