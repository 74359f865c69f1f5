package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/keypost/keypost/store"
)

func (outboxCommands) Help() string { return "Example: keypost outbox list --status dead" }

type outboxCommands struct {
	List  outboxList  `cmd:"" help:"List notices: who is to be told of what, and whether it was."`
	Retry outboxRetry `cmd:"" help:"Have dead notices tried again."`
}

// noticeJSON is a notice as scripts see it.
type noticeJSON struct {
	ID        string        `json:"id"` // a webhook gets it as webhook-id
	Kind      string        `json:"kind"`
	Audience  string        `json:"audience"`
	Endpoint  *string       `json:"endpoint"` // null: it is a mail
	Status    string        `json:"status"`   // waiting, sent, dead
	Tries     int           `json:"tries"`
	NextAt    *time.Time    `json:"next_at"` // null unless it waits
	Error     *string       `json:"error"`
	Order     *orderRefJSON `json:"order"`   // null: it is gone, or the notice is about none
	Subject   *string       `json:"subject"` // what it is about in an order's place
	CreatedAt time.Time     `json:"created_at"`
}

type outboxList struct {
	jsonFlag
	Status   string `help:"Only with this status: waiting, sent, dead." enum:",waiting,sent,dead" default:""`
	Kind     string `help:"Only of this kind: codes, held, refused, digest, or an event."`
	Endpoint string `help:"Only for this webhook."`
	listLimit
}

func (outboxList) Help() string { return "Example: keypost outbox list --status dead --endpoint crm" }

func (c outboxList) Run(a *app) error {
	conf, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Outbox(a, store.NoticeFilter{Status: c.Status, Kind: c.Kind, Endpoint: c.Endpoint, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(conf, db, len(list), filter{webhook: c.Endpoint}); err != nil {
		return err
	}
	return showNotices(a, db, cutTo(a, list, c.limit(c.JSON)), c.JSON)
}

func showNotices(a *app, db *store.DB, list []store.Notice, asJSON bool) error {
	out := []noticeJSON{}
	for _, n := range list {
		ref, err := orderRef(a, db, n.OrderID)
		if err != nil {
			return err
		}
		out = append(out, newNoticeJSON(n, ref))
	}
	if asJSON {
		return printJSON(a.out, out)
	}
	if len(out) == 0 {
		fmt.Fprintln(a.out, "No notices.")
		return nil
	}
	rows := [][]string{{"ID", "KIND", "TO", "STORE", "TRANSACTION", "LINE", "STATUS", "TRIES", "NEXT TRY", "ERROR"}}
	for _, n := range out {
		rows = append(rows, n.row())
	}
	return table(a.out, rows)
}

// orderRef names an order; nil: it is gone.
func orderRef(ctx context.Context, db *store.DB, id string) (*orderRefJSON, error) {
	o, err := db.Order(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return &orderRefJSON{o.Store, o.Transaction, o.Line}, err
}

func newNoticeJSON(n store.Notice, ref *orderRefJSON) noticeJSON {
	out := noticeJSON{
		ID: n.ID, Kind: n.Kind, Audience: n.Audience, Endpoint: orNull(n.Endpoint), Status: n.Status, Tries: n.Tries,
		Error: orNull(n.Error), Order: ref, Subject: orNull(n.Subject), CreatedAt: n.CreatedAt,
	}
	if n.Status == store.NoticeWaiting {
		out.NextAt = &n.NextAt
	}
	return out
}

func (n noticeJSON) row() []string {
	to, next, order := n.Audience, "", orderRefJSON{}
	if n.Endpoint != nil {
		to = *n.Endpoint
	}
	if n.NextAt != nil {
		next = when(*n.NextAt)
	}
	line := ""
	if n.Subject != nil {
		order.Transaction = *n.Subject
	}
	if n.Order != nil {
		order, line = *n.Order, strconv.Itoa(n.Order.Line)
	}
	return []string{n.ID, n.Kind, to, order.Store, order.Transaction, line, n.Status, strconv.Itoa(n.Tries), next, deref(n.Error)}
}

type outboxRetry struct {
	changing
	jsonFlag
	IDs      []string `arg:"" optional:"" name:"id" help:"The notices, as keypost outbox list names them."`
	Dead     bool     `help:"All that are dead."`
	Kind     string   `help:"With --dead: only those of this kind."`
	Endpoint string   `help:"With --dead: only those for this webhook."`
}

func (outboxRetry) Help() string {
	return "They are due at once, with all their tries again and under their own ids; the daemon sends them.\n\nExample: keypost outbox retry --dead --endpoint crm"
}

func (c outboxRetry) Run(a *app) error {
	if c.Dead == (len(c.IDs) > 0) {
		return usageError{errors.New("name notices by their ids, or all dead ones by --dead")}
	}
	if (c.Endpoint != "" || c.Kind != "") && !c.Dead {
		return usageError{errors.New("--endpoint and --kind go with --dead")}
	}
	_, db, err := a.open()
	if err != nil {
		return err
	}
	defer db.Close()
	ids, err := c.named(a, db)
	if err != nil {
		return err
	}
	for i, id := range ids {
		err := db.RetryNotice(a, id, actor)
		switch {
		case errors.Is(err, store.ErrState) && c.Dead:
			continue // somebody else was faster
		case errors.Is(err, store.ErrState):
			err = errors.New("it is not dead")
		}
		if err != nil {
			return fmt.Errorf("notice %s: %w (%d of %d wait again)", id, err, i, len(ids))
		}
	}
	if c.JSON {
		return printJSON(a.out, ids)
	}
	fmt.Fprintf(a.out, "Notices that wait again: %d\n", len(ids))
	return nil
}

// named are the ids of the notices that are meant, never nil.
func (c outboxRetry) named(a *app, db *store.DB) ([]string, error) {
	if !c.Dead {
		return c.IDs, nil
	}
	ids := []string{}
	list, err := db.Outbox(a, store.NoticeFilter{Status: store.NoticeDead, Kind: c.Kind, Endpoint: c.Endpoint})
	for _, n := range list {
		ids = append(ids, n.ID)
	}
	return ids, err
}

func (webhookCommands) Help() string { return "Example: keypost webhook test crm" }

type webhookCommands struct {
	Test webhookTest `cmd:"" help:"Send a webhook a signed test event now."`
}

type webhookTest struct {
	jsonFlag
	Name string `arg:"" help:"The webhook, as in the config."`
}

func (webhookTest) Help() string {
	return "The event's type is webhook.test; the answer's HTTP status is shown. Exit code 1: it was not 2xx.\n\nExample: keypost webhook test crm"
}

// testedJSON is what became of a test, as scripts see it.
type testedJSON struct {
	Webhook string  `json:"webhook"`
	Status  *int    `json:"status"` // null: there was no answer
	Error   *string `json:"error"`
}

func (c webhookTest) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	for _, w := range conf.Webhooks {
		if w.Name != c.Name {
			continue
		}
		status, err := w.endpoint().Test(a)
		if c.JSON {
			return errors.Join(printJSON(a.out, newTestedJSON(w.Name, status, err)), err)
		}
		if err != nil {
			return fmt.Errorf("webhook %s: %w", w.Name, err)
		}
		fmt.Fprintf(a.out, "HTTP %d: %s took the event\n", status, w.Name)
		return nil
	}
	return fmt.Errorf("webhook %s: %w in the config", c.Name, store.ErrNotFound)
}

func newTestedJSON(name string, status int, err error) testedJSON {
	out := testedJSON{Webhook: name}
	if status != 0 {
		out.Status = &status
	}
	if err != nil {
		out.Error = orNull(err.Error())
	}
	return out
}
