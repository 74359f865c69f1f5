package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/keypost/keypost/store"
)

// What the daemon tells of its own health. A database that takes no writes, since
// its disk is full or somebody made it read-only, still answers validations. So
// the daemon starts on one, and goes on; /healthz stays good, so that nobody
// restarts it for nothing; /readyz and check say what is wrong.

// readyRetry is the Retry-After of /readyz, in seconds.
const readyRetry = 5

// ready answers /readyz. It never writes, whoever asks: whether writes are taken
// is known from the daemon's own, of which there is one every few seconds.
func ready(db *store.DB) http.Handler {
	say := func(w http.ResponseWriter, status int, body string) {
		if status != http.StatusOK {
			w.Header().Set("Retry-After", strconv.Itoa(readyRetry))
		}
		text(func(*http.Request) (int, string) { return status, body }).ServeHTTP(w, nil)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := db.Ping(r.Context()); err != nil {
			slog.Error("not ready", "err", err)
			say(w, http.StatusServiceUnavailable, "the database does not answer\n")
			return
		}
		if why := store.WhyNoWrites(db.Writes()); why != "" {
			say(w, http.StatusServiceUnavailable, "the database cannot be written: "+why+". Validations go on; orders and new activations have to wait\n")
			return
		}
		say(w, http.StatusOK, "ready\n")
	})
}

// reportWrites logs once that writes fail, and once that they work again.
func reportWrites(err error) {
	if err != nil {
		slog.Error("the database cannot be written: orders and new activations get 503 and come again; validations go on", "why", store.WhyNoWrites(err), "err", err)
		return
	}
	slog.Info("the database can be written again")
}

// logFault logs what a daemon's own work came to. That the database takes no writes
// was logged by then.
func logFault(what string, err error, more ...any) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, store.ErrNoWrites) {
		return
	}
	slog.Error(what, append(more, "err", err)...)
}
