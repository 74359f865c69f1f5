package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/keypost/keypost/activation"
	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/krps"
	"github.com/keypost/keypost/store"
)

type serveCommand struct{}

func (serveCommand) Help() string {
	return "The database must be there: keypost init or keypost db create makes it. Without a config file this is a demo: an embedded database in ./data, made at the first start, " +
		"on 127.0.0.1:8080, with a product and a channel to try. SIGHUP reads the config again, SIGTERM ends after what is in hand.\n\nExample: keypost serve --config /etc/keypost/keypost.toml"
}

const (
	endWithin = 30 * time.Second
	gcPercent = 400 // a call leaves much behind and the daemon keeps little: 100 would collect a hundred times a second
)

func (serveCommand) Run(a *app) error {
	reload := make(chan os.Signal, 1) // before all else: an early SIGHUP must not end the daemon
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	slog.SetDefault(slog.New(slog.NewTextHandler(a.err, nil)))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	// The port comes first: a second daemon that is started by mistake touches nothing.
	listener, err := c.listen()
	if err != nil {
		return err
	}
	defer listener.Close()
	db, err := c.openToServe(a)
	if err != nil {
		return err
	}
	defer db.Close()
	db.OnWrites(tellWrites)
	// What sets a new database up keeps 4 MB a migration in a pool, which takes
	// two collections to empty: until then the heap could grow to five times that.
	runtime.GC()
	runtime.GC()
	ring, err := c.keyring(a, db, false)
	if err != nil {
		return err
	}
	audit, err := c.auditKey(a, db, false)
	if err != nil {
		return err
	}
	c.reportMissing(a, db)
	if err := c.loadPools(a, db); err != nil && !errors.Is(err, store.ErrNoWrites) {
		return err
	}
	d := newDaemon(c, db, ring, listener.Addr().String())
	d.auditKey = audit
	return d.serve(a, listener, reload)
}

func (c *config) listen() (net.Listener, error) {
	l, err := net.Listen("tcp", c.Server.Listen)
	switch {
	case err == nil:
		return l, nil
	case c.file == "":
		return nil, fmt.Errorf("%w (for another address make a config, keypost init, and set listen in it)", err)
	}
	return nil, fmt.Errorf("%w (another address: [server] listen)", err)
}

// openToServe opens the config's database, which must be there. The demo's is
// made, and is no other's: where a config has got lost, its store must not be
// served with a secret that everybody knows.
func (c *config) openToServe(ctx context.Context) (*store.DB, error) {
	if c.file == "" {
		if err := c.create(ctx); err != nil && !errors.Is(err, errMade) {
			return nil, err
		}
	}
	db, err := store.Open(ctx, c.Database.URL, store.Options{})
	if err != nil || c.file != "" {
		return db, c.notMade(err)
	}
	sold, err := c.missingProducts(ctx, db)
	if err == nil && len(sold) > 0 {
		err = fmt.Errorf("there is no config file, and %s is not the demo's store: it has licenses of %s. Name its config with --config", c.Database.URL, sold[0].Subject)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// A daemon is what runs; its config can be replaced.
type daemon struct {
	address  string // where it listens
	db       *store.DB
	desk     *ingest.Desk
	seats    *activation.Server
	low      map[string]bool // chore: pools that were warned of
	emptied  string          // chore: messages up to this id hold no raw input any more
	blanked  string          // chore: mails up to this id say nothing of themselves any more
	config   atomic.Pointer[config]
	hooks    *delivery.Sender
	mailer   *delivery.Mailer
	sweeps   sync.WaitGroup
	changed  chan struct{} // a new config came
	mailed   chan struct{} // a mail was taken in: its buyer waits for one
	auditKey ed25519.PrivateKey
	outages  outages // of mailboxes
	handler  atomic.Pointer[http.Handler]
}

func newDaemon(c *config, db *store.DB, ring *activation.Keyring, address string) *daemon {
	desk := ingest.New(db, c.desk())
	d := &daemon{
		address: address, db: db, desk: desk,
		seats: activation.New(db, ring, *c.Server.Misses, c.activation(desk)), hooks: delivery.New(db), mailer: delivery.NewMailer(db), low: map[string]bool{},
		changed: make(chan struct{}, 1), mailed: make(chan struct{}, 1),
	}
	d.configure(c)
	return d
}

func (d *daemon) configure(c *config) {
	if c.Server.derived {
		c.Server.PublicURL = "http://" + d.address
	}
	for _, ch := range c.Channels {
		if f := kinds[ch.Kind].finding(ch); c.file != "" && f.Result == "warning" {
			slog.Warn(f.Subject + ": " + f.Detail)
		}
	}
	c.outages = &d.outages
	go c.warm()
	d.config.Store(c)
	d.desk.Configure(c.desk())
	d.seats.Configure(c.activation(d.desk))
	d.hooks.Configure(c.endpoints())
	d.mailer.Configure(c.mailer(d.db))
	d.db.Subscribe(c.subscribers())
	h := routes(c, d.db, d.desk, d.seats)
	d.handler.Store(&h)
	tell(d.changed)
}

// tell says that something has changed, unless that is known already.
func tell(news chan<- struct{}) {
	select {
	case news <- struct{}{}:
	default:
	}
}

func (d *daemon) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*d.handler.Load()).ServeHTTP(w, r)
}

// serve answers until ctx ends, then finishes what is in hand.
func (d *daemon) serve(a *app, listener net.Listener, reload <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(a)
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
		all.Go(func() { d.watchMailboxes(ctx) })
		all.Wait()
	}()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprint(a.out, d.greeting())
	for {
		select {
		case err := <-ended:
			return err
		case <-reload:
			d.reload()
		case <-ctx.Done():
			slog.Info("ending: what is in hand is finished first")
			end, cancel := context.WithTimeout(context.Background(), endWithin)
			defer cancel()
			err := server.Shutdown(end)
			<-working
			return err
		}
	}
}

// reload reads the config again and keeps the old one if the new one is wrong.
func (d *daemon) reload() {
	// The file that it began with: where that is gone, the demo must not take over.
	c, err := loadConfig(d.config.Load().file)
	if err != nil {
		slog.Error("the config stays as it was: the new one is wrong", "err", err)
		return
	}
	if c.Server.Listen != d.config.Load().Server.Listen || c.Database.URL != d.config.Load().Database.URL || c.Keys != d.config.Load().Keys ||
		*c.Server.Misses != *d.config.Load().Server.Misses {
		slog.Warn("listen, misses, database and keys stay as they were until the next start")
	}
	c.reportMissing(context.Background(), d.db)
	switch err := c.loadPools(context.Background(), d.db); {
	case errors.Is(err, store.ErrUnavailable): // a correction must not wait for the database
		slog.Error("pools are not filled from their files: the database cannot be used", "err", err)
	case err != nil:
		slog.Error("the config stays as it was: a pool's file cannot be loaded", "err", err)
		return
	}
	d.configure(c)
	slog.Info("the config was read again")
}

// greeting says where the daemon is and, for the demo, what to try.
func (d *daemon) greeting() string {
	url := "http://" + d.address
	if d.config.Load().file != "" {
		return fmt.Sprintf("Keypost is ready at %s (as the world sees it: %s)\n", url, d.config.Load().Server.PublicURL)
	}
	self := "keypost"
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		self = shellQuoted(os.Args[0])
	}
	fields := krps.Example()
	krps.Digest("MD5").Sign(fields, exampleSecret)
	post := fmt.Sprintf("%s post krps %s/in/kagi", self, url)
	return fmt.Sprintf(`Keypost is ready at %[1]s

It runs without a config file, to be tried (for real: %[2]s init). In another
terminal, in this folder:

1. Place the example order, or the same as Kagi does it:
   %[3]s
   curl -s %[1]s/in/kagi -d '%[4]s'

2. Activate a machine with the code it returned:
   curl -s %[1]s/v1/activate -d product=demo -d code="$(%[3]s --codes)" -d fingerprint=my-first-machine

3. Look at the license:
   %[2]s license show "$(%[3]s --codes)"

`, url, self, post, krps.Encode(fields))
}

// shellQuoted makes a path one word for a shell.
func shellQuoted(path string) string {
	if regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`).MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
