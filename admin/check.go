package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/keygen"
	"github.com/keypost/keypost/store"
)

// A Finding is one line of a health check.
type Finding = channel.Finding

// Failed is the result of a [Finding] that must be put right.
const Failed = channel.Failed

func finding(subject, result, detail string) Finding {
	return Finding{Subject: subject, Result: result, Detail: detail}
}

// Check tests the config, what it connects to, the database and each generator.
// It changes nothing. With [Broken], something failed.
func Check(ctx context.Context, c Config) ([]Finding, error) {
	list := append(c.Settings(), c.checkDatabase(ctx)...)
	list = append(list, c.checkNodes(ctx)...)
	for _, p := range c.Products {
		list = append(list, p.report())
		if len(p.Gives) == 0 && p.Pool == nil {
			list = append(list, p.Check(ctx))
		}
	}
	list = append(list, c.Checks(ctx)...)
	return list, Failures(list)
}

// Failures is the error of a check, nil where nothing failed.
func Failures(list []Finding) error {
	failed := 0
	for _, f := range list {
		if f.Result == channel.Failed {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fail(Broken, "", "%d of %d checks failed", failed, len(list))
}

// checkNodes looks at each host where the database's URL names several.
func (c Config) checkNodes(ctx context.Context) (list []Finding) {
	for _, n := range store.CheckNodes(ctx, c.Database) {
		f := finding("database node "+n.Addr, channel.OK, n.Detail)
		switch {
		case n.Err != nil:
			f.Result, f.Detail = channel.Failed, n.Err.Error()
		case n.Lags:
			f.Result = channel.Warning
		}
		list = append(list, f)
	}
	return list
}

func (c Config) checkDatabase(ctx context.Context) []Finding {
	db, err := store.Open(ctx, c.Database, store.Options{})
	if err != nil {
		return c.checkMissingDatabase(ctx, err)
	}
	defer db.Close()
	list := []Finding{finding("database", channel.OK, store.Name(c.Database)+": intact; committed data survives a power loss")}
	if err := errors.Join(db.Check(ctx), db.TryWrite(ctx)); err != nil {
		list[0] = finding("database", channel.Failed, strings.ReplaceAll(Helped(err).Error(), "\n", "; "))
	}
	if f, ok := checkSpace(c.Database); ok {
		list = append(list, f)
	}
	if pauses, err := db.Pauses(ctx); err == nil && len(pauses) > 0 {
		list = append(list, finding("restore", channel.Warning, "the outbox and the pools are paused ("+pauses[0].Reason+"): {db restore --confirm} resumes them"))
	}
	keys := finding("keys", channel.OK, c.MasterFile+" opens the signing keys")
	if _, err := c.Keyring(ctx, db); err != nil {
		keys = finding("keys", channel.Failed, err.Error())
	}
	list = append(list, keys, c.checkAuditKey(ctx, db), checkOutbox(ctx, db))
	missing, err := c.missingProducts(ctx, db)
	if err != nil {
		missing = []Finding{finding("products", channel.Failed, err.Error())}
	}
	return append(append(list, missing...), c.checkPools(ctx, db)...)
}

// checkMissingDatabase: what is wrong with a database that cannot be opened, and
// with the keys that it would have.
func (c Config) checkMissingDatabase(ctx context.Context, err error) []Finding {
	list := []Finding{finding("database", channel.Failed, strings.TrimPrefix(Helped(c.notMade(err)).Error(), "database "))}
	if errors.Is(err, store.ErrNoDatabase) {
		if c.Demo {
			list[0].Result = channel.OK // the demo's comes with the first start
		}
		if err := store.CheckNew(ctx, c.Database); err != nil {
			list = append(list, finding("database", channel.Failed, err.Error()))
		}
	}
	if err := c.checkKeyFiles(); err != nil {
		list = append(list, finding("keys", channel.Failed, err.Error()))
	}
	return list
}

// littleSpace is under how many MiB check warns: the log of a busy day, and time to
// do something about it.
const littleSpace = 256

func checkSpace(database string) (f Finding, ok bool) {
	free, ok := store.FreeSpace(database)
	if !ok {
		return f, false
	}
	f = finding("disk", channel.OK, fmt.Sprintf("%d MiB free for the database", free>>20))
	if free>>20 < littleSpace {
		f.Result, f.Detail = channel.Warning, f.Detail+": when the disk is full, orders and new activations are refused. Free some space"
	}
	return f, true
}

func checkOutbox(ctx context.Context, db *store.DB) Finding {
	dead, err := db.CountNotices(ctx, store.NoticeDead)
	switch {
	case err != nil:
		return finding("outbox", channel.Failed, err.Error())
	case dead > 0:
		return finding("outbox", channel.Warning, fmt.Sprintf("dead notices: %d ({outbox list --status dead})", dead))
	}
	return finding("outbox", channel.OK, "no dead notices")
}

func (c Config) checkPools(ctx context.Context, db *store.DB) (list []Finding) {
	pools, err := c.pools(ctx, db)
	if err != nil {
		return []Finding{finding("pools", channel.Failed, err.Error())}
	}
	for _, p := range pools {
		f := finding("pool "+p.Pool, channel.OK, fmt.Sprintf("%s left of %d", count(p.Free, "code"), p.Codes))
		if p.Low {
			f.Result, f.Detail = channel.Warning, f.Detail+": load more with {pool load}"
		}
		list = append(list, f)
	}
	return list
}

// checkAuditKey: the key at hand must be the one that sealed last.
func (c Config) checkAuditKey(ctx context.Context, db *store.DB) Finding {
	keys, err := c.auditKeys(ctx, db)
	if err != nil {
		return finding("audit log", channel.Failed, err.Error())
	}
	if ours, err := db.SealedBy(ctx, keys...); err != nil || !ours {
		return finding("audit log", channel.Failed, "the last seal was made with a different key. Check that audit_file and the master key are the right ones (see {audit verify})")
	}
	return finding("audit log", channel.OK, "the key matches the last seal ({audit verify} checks the whole log)")
}

// MissingProducts has a finding for each product that has licenses and is not in
// the config: one that was taken out, or whose id was mistyped. Its calls are
// answered with 503 until it is back.
func (a *Admin) MissingProducts(ctx context.Context) ([]Finding, error) {
	return a.missingProducts(ctx, a.db)
}

func (c Config) missingProducts(ctx context.Context, db *store.DB) (list []Finding, err error) {
	var named []string
	for _, p := range c.Products {
		named = append(named, p.ID)
	}
	missing, err := db.OtherProducts(ctx, named)
	for _, p := range missing {
		list = append(list, finding("product "+p.Product, channel.Failed, fmt.Sprintf(
			"it has %s but is not in the config: nobody can activate it, and its calls get 503. Restore its [[product]], or correct the id of the product that replaced it",
			count(int(p.Licenses), "license"))))
	}
	return list, err
}

// ReportMissing logs what MissingProducts finds.
func (a *Admin) ReportMissing(ctx context.Context) {
	list, err := a.MissingProducts(ctx)
	if err != nil {
		slog.Error("products that have licenses cannot be looked up", "err", err)
	}
	for _, f := range list {
		slog.Error(f.Subject + ": " + f.Detail)
	}
}

func (p Product) report() Finding {
	f := finding("product "+p.ID, channel.OK, fmt.Sprintf("%s, machines per code: %s, leases: %s", p.Name, p.limits(), p.Lease))
	switch {
	case len(p.Gives) > 0:
		f.Detail = fmt.Sprintf("%s, a bundle of %s", p.Name, strings.Join(p.Gives, ", "))
	case p.Limit == 0 && len(p.Limits) > 0:
		f.Detail += " (other license types: no limit)"
	case p.Limit == 0:
		f.Result, f.Detail = channel.Warning, p.Name+", no limit: a code works on any number of machines"
	}
	return f
}

// limits are the machines a code, for people.
func (p Product) limits() string {
	text := strconv.Itoa(p.Limit)
	for _, licenseType := range slices.Sorted(maps.Keys(p.Limits)) {
		text += fmt.Sprintf(", %s %d", licenseType, p.Limits[licenseType])
	}
	return text
}

// weakBits are so few that a patient guesser may find a code.
const weakBits = 64

// Check has the generator make a code for a made-up order, which is thrown away.
func (p Product) Check(ctx context.Context) Finding {
	if p.Codes.Outside != nil {
		return p.checkOutside(ctx)
	}
	subject := "generator of " + p.ID
	made, err := p.Codes.Compute.Generate(ctx, p.plausible())
	if errors.Is(err, fs.ErrNotExist) { // the database's check tells if it was there before
		return finding(subject, channel.OK, p.Generator+", with a key derived from the master key, which is created with the database")
	}
	if err != nil || len(made) != 1 {
		return finding(subject, channel.Failed, fmt.Sprintf("made %d codes instead of 1: %v", len(made), err))
	}
	f := finding(subject, channel.OK, p.Generator+", "+p.like(made[0]))
	if g, ok := p.Codes.Compute.(keygen.Signed); ok {
		public, err := g.Public()
		if err != nil {
			return finding(subject, channel.Failed, err.Error())
		}
		f.Detail += ", public key " + base64.RawURLEncoding.EncodeToString(public)
	}
	if g, ok := p.Codes.Compute.(keygen.Filer); ok {
		file, err := g.File(p.plausible(), made[0])
		if err != nil {
			return finding(subject, channel.Failed, err.Error())
		}
		f.Detail += ", with a file " + file.Name
	}
	if g, ok := p.Codes.Compute.(interface{ Bits() float64 }); ok {
		f.Detail += fmt.Sprintf(", %.0f random bits", g.Bits())
		if g.Bits() < weakBits {
			f.Result = channel.Warning
			f.Detail += fmt.Sprintf(": with fewer than %d, sold codes can be guessed; the limit on misses only slows this down", weakBits)
		}
	}
	return f
}

// like describes a code that was made; not the code itself where software that
// checks offline would take it.
func (p Product) like(code string) string {
	if _, fixed := p.Codes.Compute.(keygen.Fixed); fixed || p.offline() {
		return fmt.Sprintf("a code of %d characters", utf8.RuneCountInString(code))
	}
	return "like " + code
}

// offline tells whether software takes a product's codes without asking anybody:
// also those that were never issued.
func (p Product) offline() bool {
	switch p.Codes.Compute.(type) {
	case keygen.Verifier, *keygen.CocoaFob:
		return true
	}
	return false
}

// plausible is a request as an order makes it.
func (p Product) plausible() keygen.Request {
	return keygen.Request{
		OrderID: "check", Transaction: "check", At: time.Now(), Product: p.ID, LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com", Quantity: 1, Limit: p.Limit,
		Seeds: p.Seeds,
	}
}

// dryRequest is what check asks an outside generator for: an order like any
// other, but for its id, by which the generator may know it.
func (p Product) dryRequest() keygen.Request {
	return keygen.Request{
		OrderID: "check-" + store.NewID(), Product: p.ID, LicenseType: "single", Name: "Ada Lovelace", Email: "ada@example.com",
		Quantity: 1, Limit: p.Limit,
	}
}

// checkOutside has a generator outside make a code that is thrown away.
func (p Product) checkOutside(ctx context.Context) Finding {
	f := finding("generator of "+p.ID, channel.OK, "")
	made, err := p.Codes.Outside.Generate(ctx, p.dryRequest())
	switch {
	case errors.Is(err, keygen.ErrRequest):
		f.Result, f.Detail = channel.Warning, fmt.Sprintf("%s answers, but needs more data than the test order of this check has: %v", p.Generator, err)
	case err != nil:
		f.Result, f.Detail = channel.Failed, err.Error()
	case len(made) != 1:
		f.Result, f.Detail = channel.Failed, fmt.Sprintf("%s made %d codes instead of 1", p.Generator, len(made))
	case ingest.CheckCode(made[0]) != nil:
		f.Result, f.Detail = channel.Failed, fmt.Sprintf("%s: its code %v", p.Generator, ingest.CheckCode(made[0]))
	default:
		f.Detail = p.Generator + ", like " + made[0]
	}
	if g, ok := p.Codes.Outside.(interface{ Warning() string }); ok && g.Warning() != "" && f.Result != channel.Failed {
		f.Result, f.Detail = channel.Warning, f.Detail+"; "+g.Warning()
	}
	return f
}

// count says how many there are of something that takes an s.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
