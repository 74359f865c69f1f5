// Package daemon is the running Keypost: it answers stores and shipped software,
// watches mailboxes, sends what waits in the outbox, and does its chores. A new
// config can be given to it while it runs.
//
// daemon.go starts and ends it, routes.go is the one table of who answers which
// path, chores.go what it does by itself, watch.go what it fetches, health.go
// what it reports of itself.
package daemon

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// endWithin bounds how long what is in hand may take when the daemon ends.
const endWithin = 30 * time.Second

// A Daemon is what runs. Its methods may be called from several goroutines at
// once.
type Daemon struct {
	listener net.Listener
	db       *store.DB
	served   func() // ends that no other daemon may serve the database
	desk     *ingest.Desk
	seats    *activation.Server
	hooks    *delivery.Sender
	mailer   *delivery.Mailer
	auditKey ed25519.PrivateKey
	outages  outages // of channels that are watched

	current atomic.Pointer[parts]
	handler atomic.Pointer[http.Handler]
	changed chan struct{} // a new config came
	mailed  chan struct{} // a message was taken: its buyer waits for a mail
	sweeps  sync.WaitGroup

	// Of chores, each its own alone.
	low     map[string]bool // pools that were warned of
	emptied string          // messages up to this id hold no raw input any more
	blanked string          // mails up to this id say nothing of themselves any more
}

// parts are a config and what was made of it.
type parts struct {
	config *config.Config
	admin  *admin.Admin
}

// Listen opens the config's port. A daemon listens before anything else, so that
// a second one that is started by mistake touches nothing.
func Listen(c *config.Config) (net.Listener, error) {
	l, err := net.Listen("tcp", c.Server.Listen)
	switch {
	case err == nil:
		return l, nil
	case c.File == "":
		return nil, fmt.Errorf("%w (for another address make a config, keypost init, and set listen in it)", err)
	}
	return nil, fmt.Errorf("%w (another address: [server] listen)", err)
}

// Open makes a daemon on the config's database, which must be there; the demo's
// is made. Close must be called, also after Serve.
func Open(ctx context.Context, c *config.Config, l net.Listener) (*Daemon, error) {
	db, err := admin.OpenToServe(ctx, c.Admin())
	if err != nil {
		return nil, err
	}
	served, err := store.Serve(c.Database.URL)
	if err != nil {
		db.Close()
		return nil, err
	}
	d, err := open(ctx, c, l, db)
	if err != nil {
		served()
		db.Close()
		return nil, err
	}
	d.served = served
	return d, nil
}

func open(ctx context.Context, c *config.Config, l net.Listener, db *store.DB) (*Daemon, error) {
	db.OnWrites(reportWrites)
	// What sets a new database up keeps 4 MB a migration in a pool, which takes
	// two collections to empty: until then the heap could grow to five times that.
	runtime.GC()
	runtime.GC()
	ring, err := c.Admin().Keyring(ctx, db)
	if err != nil {
		return nil, err
	}
	audit, err := c.Admin().AuditKey(ctx, db)
	if err != nil {
		return nil, err
	}
	desk := ingest.New(db, c.Catalog())
	d := &Daemon{
		listener: l, db: db, desk: desk, seats: activation.New(db, ring, *c.Server.Misses, c.Activation(desk)),
		hooks: delivery.New(db), mailer: delivery.NewMailer(db), auditKey: audit, low: map[string]bool{},
		changed: make(chan struct{}, 1), mailed: make(chan struct{}, 1),
	}
	p := d.partsOf(c)
	p.admin.ReportMissing(ctx)
	if err := p.admin.LoadPools(ctx); err != nil && !errors.Is(err, store.ErrNoWrites) {
		return nil, err
	}
	d.configure(p)
	return d, nil
}

// Close closes the database.
func (d *Daemon) Close() error {
	err := d.db.Close()
	d.served()
	return err
}

func (d *Daemon) partsOf(c *config.Config) *parts {
	c.Listens(d.listener.Addr().String())
	operations := c.Admin()
	operations.Outages = func(now time.Time) []string { return d.outages.sentences(c, now) }
	return &parts{c, admin.New(d.db, d.desk, operations)}
}

// configure takes a config into use.
func (d *Daemon) configure(p *parts) {
	c := p.config
	for _, ch := range c.Channels {
		if f := ch.Report(); c.File != "" && f.Result == channel.Warning {
			slog.Warn(f.Subject + ": " + f.Detail)
		}
	}
	go c.Warm()
	d.current.Store(p)
	d.desk.Configure(c.Catalog())
	d.seats.Configure(c.Activation(d.desk))
	d.hooks.Configure(p.admin.Webhooks)
	d.mailer.Configure(p.admin.MailConfig())
	d.db.Subscribe(p.admin.Subscribers)
	h := routes(c, d.db, d.desk, d.seats)
	d.handler.Store(&h)
	signal(d.changed)
}

// signal reports that something has changed, unless that is known already.
func signal(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default:
	}
}

// Config is the one in use.
func (d *Daemon) Config() *config.Config { return d.current.Load().config }

// Address is where the daemon listens, host:port.
func (d *Daemon) Address() string { return d.listener.Addr().String() }

func (d *Daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*d.handler.Load()).ServeHTTP(w, r)
}

// Serve answers until ctx ends, then finishes what is in hand. It calls ready
// when it does.
func (d *Daemon) Serve(ctx context.Context, ready func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := &http.Server{
		Handler:           d,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
	stop, err := d.live(ctx)
	if err != nil {
		return err
	}
	defer stop()
	working := make(chan struct{})
	go func() {
		defer close(working)
		var all sync.WaitGroup
		all.Go(func() { d.chores(ctx) })
		all.Go(func() { d.watchChannels(ctx) })
		all.Wait()
	}()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(d.listener) }()
	ready()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		slog.Info("ending: what is in hand is finished first")
		end, cancel := context.WithTimeout(context.Background(), endWithin)
		defer cancel()
		err := server.Shutdown(end)
		<-working
		return err
	}
}

// Reload reads the config's file again and keeps the old config if the new one
// is wrong.
func (d *Daemon) Reload(ctx context.Context) {
	old := d.Config()
	c, err := config.Load(old.File) // where the file is gone, the demo must not take over
	if err != nil {
		slog.Error("the config stays as it was: the new one is wrong", "err", err)
		return
	}
	if c.Server.Listen != old.Server.Listen || c.Database.URL != old.Database.URL || c.Keys != old.Keys || *c.Server.Misses != *old.Server.Misses {
		slog.Warn("listen, misses, database and keys stay as they were until the next start")
	}
	p := d.partsOf(c)
	p.admin.ReportMissing(ctx)
	switch err := p.admin.LoadPools(ctx); {
	case errors.Is(err, store.ErrUnavailable): // a correction must not wait for the database
		slog.Error("pools are not filled from their files: the database cannot be used", "err", err)
	case err != nil:
		slog.Error("the config stays as it was: a pool's file cannot be loaded", "err", err)
		return
	}
	d.configure(p)
	slog.Info("the config was read again")
}
