package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/keypost/keypost/store"
)

// A Notice is who is to be told of what, and whether it was.
type Notice struct {
	ID        string     `json:"id"` // a webhook gets it as webhook-id
	Kind      string     `json:"kind"`
	Audience  string     `json:"audience"`
	Endpoint  *string    `json:"endpoint"` // null: it is a mail
	Status    string     `json:"status"`   // waiting, sent, dead
	Tries     int        `json:"tries"`
	NextAt    *time.Time `json:"next_at"` // null unless it waits
	Error     *string    `json:"error"`
	Order     *OrderRef  `json:"order"`   // null: it is gone, or the notice is about none
	Subject   *string    `json:"subject"` // what it is about in an order's place
	CreatedAt time.Time  `json:"created_at"`
}

// Audiences of a [Notice].
const (
	ToBuyer  = store.ToBuyer
	ToVendor = store.ToVendor
	ToTest   = store.ToTest
)

func newNotice(n store.Notice, ref *OrderRef) Notice {
	out := Notice{
		ID: n.ID, Kind: n.Kind, Audience: n.Audience, Endpoint: orNull(n.Endpoint), Status: n.Status, Tries: n.Tries,
		Error: orNull(n.Error), Order: ref, Subject: orNull(n.Subject), CreatedAt: n.CreatedAt,
	}
	if n.Status == store.NoticeWaiting {
		out.NextAt = &n.NextAt
	}
	return out
}

// A NoticeFilter narrows a list of notices; zero values do not.
type NoticeFilter struct {
	Status, Kind, Endpoint string
	Limit                  int // at most so many; 0: all
}

// Outbox lists notices, newest first.
func (a *Admin) Outbox(ctx context.Context, f NoticeFilter) ([]Notice, error) {
	list, err := a.db.Outbox(ctx, store.NoticeFilter{Status: f.Status, Kind: f.Kind, Endpoint: f.Endpoint, Limit: f.Limit})
	out := []Notice{}
	for _, n := range list {
		out = append(out, newNotice(n, (*OrderRef)(n.Order)))
	}
	return out, err
}

// RetryNotices has notices sent again that are dead: at once, with all their
// tries, and under their own ids.
func (a *Admin) RetryNotices(ctx context.Context, actor string, ids []string) error {
	for i, id := range ids {
		err := a.db.RetryNotice(ctx, id, actor)
		if errors.Is(err, store.ErrState) {
			err = fail(State, "", "the notice is not dead")
		}
		if err != nil {
			return fmt.Errorf("notice %s: %w (%d of %d queued again)", id, err, i, len(ids))
		}
	}
	return nil
}

// RetryDeadNotices does so with all that are dead, or those of a kind or for a
// webhook, and returns their ids.
func (a *Admin) RetryDeadNotices(ctx context.Context, actor, kind, endpoint string) ([]string, error) {
	ids := []string{}
	list, err := a.db.Outbox(ctx, store.NoticeFilter{Status: store.NoticeDead, Kind: kind, Endpoint: endpoint})
	if err != nil {
		return ids, err
	}
	for i, n := range list {
		err := a.db.RetryNotice(ctx, n.ID, actor)
		if err != nil && !errors.Is(err, store.ErrState) { // somebody else was faster
			return ids, fmt.Errorf("notice %s: %w (%d of %d queued again)", n.ID, err, i, len(list))
		}
		ids = append(ids, n.ID)
	}
	return ids, nil
}

// A WebhookTest is what became of a test event.
type WebhookTest struct {
	Webhook string  `json:"webhook"`
	Status  *int    `json:"status"` // HTTP; null: there was no answer
	Error   *string `json:"error"`
}

// TestWebhook sends a webhook a signed test event now. With an error of the
// webhook's the result is there all the same.
func TestWebhook(ctx context.Context, c Config, name string) (WebhookTest, error) {
	for _, w := range c.Webhooks {
		if w.Name != name {
			continue
		}
		out := WebhookTest{Webhook: name}
		status, err := w.Test(ctx)
		if status != 0 {
			out.Status = &status
		}
		if err != nil {
			out.Error = orNull(err.Error())
			err = fmt.Errorf("webhook %s: %w", name, err)
		}
		return out, err
	}
	return WebhookTest{}, notFound("webhook %s is not in the config", name)
}
