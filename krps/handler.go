package krps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/keypost/keypost/store"
)

// StatusHeader tells `keypost post` how the order stands: the protocol has no
// word for held.
const StatusHeader = "Keypost-Order-Status"

// acceptTimeout bounds the work on one post; Kagi gets an answer in any case.
const acceptTimeout = 45 * time.Second

// keepTimeout bounds the keeping of a refused post: strangers must not pile up
// while the database is slow.
const keepTimeout = 2 * time.Second

// Handler answers a channel's posts.
func Handler(c Channel, desk Desk) http.Handler {
	return handler{c, desk}
}

type handler struct {
	channel Channel
	desk    Desk
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, why, ok := h.channel.Admit(w, r); !ok {
		if status != http.StatusUnauthorized {
			status = http.StatusOK // Kagi reads the reply of no other
		}
		write(w, status, ReplyBad(why))
		return
	}
	if r.Method == http.MethodGet && r.URL.RawQuery == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Keypost is online: Kagi may post orders to the channel %s here.\n", h.channel.Name)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		write(w, http.StatusMethodNotAllowed, ReplyBad("Post orders with POST. A plain GET shows that the channel is online."))
		return
	}
	reply, order, err := h.post(w, r)
	if bad, ok := errors.AsType[Bad](err); ok {
		slog.Info("order refused", "channel", h.channel.Label(), "why", string(bad))
		write(w, http.StatusOK, ReplyBad(string(bad)))
		return
	}
	if err != nil {
		slog.Error("order not taken", "channel", h.channel.Label(), "err", err)
		w.Header().Set("Retry-After", "30")
		write(w, http.StatusServiceUnavailable, ReplyBad("The license store does not answer. Post the order again."))
		return
	}
	if order.ID != "" {
		slog.Info("order", "channel", h.channel.Label(), "order", order.ID, "status", order.Status, "reason", order.Reason, "test", order.Test)
		w.Header().Set(StatusHeader, order.Status)
	}
	write(w, http.StatusOK, reply)
}

// post takes one post in. Its error is [Bad], or the store's.
func (h handler) post(w http.ResponseWriter, r *http.Request) ([]byte, store.Order, error) {
	// The body is read to its end or the limit before anything is done, and
	// what was begun is finished though the caller hangs up: it will come
	// again for the answer.
	body, readErr := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), acceptTimeout)
	defer cancel()
	p, err := Decode(body)
	if err == nil {
		err = h.channel.Authenticate(p)
	}
	if _, long := errors.AsType[*http.MaxBytesError](readErr); long {
		err = badf("The post is longer than %d bytes.", MaxBody)
	} else if readErr != nil {
		err = Bad("The post broke off.")
	} else if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = Bad("The post must be application/x-www-form-urlencoded, as Kagi's are.")
	}
	if err != nil {
		refused := store.Message{Channel: h.channel.Name, Reason: err.Error(), Raw: h.channel.raw(p)}
		ctx, cancel := context.WithTimeout(ctx, keepTimeout)
		defer cancel()
		if keepErr := h.desk.Refuse(ctx, refused); keepErr != nil {
			slog.Warn("refused post not kept", "channel", h.channel.Label(), "err", keepErr)
		}
		return nil, store.Order{}, err
	}
	if p.Information {
		return ReplyInformation(), store.Order{}, nil
	}
	o, err := h.desk.Accept(ctx, h.channel.Order(p))
	return Reply(o), o, err
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", ContentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a caller that hung up comes again
}
