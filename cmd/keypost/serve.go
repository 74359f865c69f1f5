package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"

	"github.com/keypost/keypost/cmd/keypost/daemon"
	"github.com/keypost/keypost/krps"
)

type serveCommand struct{}

func (serveCommand) Help() string {
	return "The database must exist: create it with keypost init or keypost db create. Without a config file, this runs a demo: an embedded database in ./data, created at the first start, " +
		"on 127.0.0.1:8080, with a product and a channel to try. SIGHUP reloads the config. SIGTERM finishes requests in progress, then stops.\n\nExample: keypost serve --config /etc/keypost/keypost.toml"
}

// gcPercent: a call leaves much behind and the daemon keeps little: 100 would
// collect a hundred times a second.
const gcPercent = 400

func (serveCommand) Run(a *app) error {
	reload := make(chan os.Signal, 1) // before all else: an early SIGHUP must not end the daemon
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	log := &daemon.LogWriter{To: a.err}
	defer log.Flush()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	conf, err := a.load()
	if err != nil {
		return err
	}
	listener, err := daemon.Listen(conf)
	if err != nil {
		return err
	}
	defer listener.Close()
	d, err := daemon.Open(a, conf, listener)
	if err != nil {
		return err
	}
	defer d.Close()
	ctx, cancel := context.WithCancel(a)
	var reloading sync.WaitGroup
	defer reloading.Wait() // before the database is closed
	defer cancel()
	reloading.Go(func() {
		for {
			select {
			case <-reload:
				d.Reload(context.WithoutCancel(ctx))
			case <-ctx.Done():
				return
			}
		}
	})
	return d.Serve(ctx, func() { fmt.Fprint(a.out, greeting(d)) })
}

// greeting says where the daemon is and, for the demo, what to try.
func greeting(d *daemon.Daemon) string {
	url := "http://" + d.Address()
	if d.Config().File != "" {
		return fmt.Sprintf("Keypost is ready at %s (public URL: %s)\n", url, d.Config().Server.PublicURL)
	}
	self := "keypost"
	if strings.ContainsRune(os.Args[0], filepath.Separator) {
		self = shellQuoted(os.Args[0])
	}
	example, _, _ := krps.Play{}.Body(nil) // of the specification, which is good
	post := fmt.Sprintf("%s post krps %s/in/kagi", self, url)
	return fmt.Sprintf(`Keypost is ready at %[1]s

This is a demo without a config file (for real use: %[2]s init). In another
terminal, in this folder:

1. Post the example order, with Keypost or with curl:
   %[3]s
   curl -s %[1]s/in/kagi -d '%[4]s'

2. Activate a machine with the code it returned:
   curl -s %[1]s/v1/activate -d product=demo -d code="$(%[3]s --codes)" -d fingerprint=my-first-machine

3. Look at the license:
   %[2]s license show "$(%[3]s --codes)"

`, url, self, post, example)
}
