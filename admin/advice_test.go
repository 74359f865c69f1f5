package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
)

// What a stranger wrote is one word of the command.
func TestCommand(t *testing.T) {
	for want, op := range map[string]ingest.Operation{
		"keypost order list": {Name: "order.list"},
		"keypost order approve kagi T1 1 --product PRODUCT":        {Name: "order.approve", Of: []string{"kagi", "T1", "1"}, Needs: []string{"product"}},
		"keypost order reject kagi 'T1;rm -rf /' 1":                {Name: "order.reject", Of: []string{"kagi", "T1;rm -rf /", "1"}},
		`keypost order reject kagi ''\''$(x)' ''`:                  {Name: "order.reject", Of: []string{"kagi", "'$(x)", ""}},
		"keypost order reject kagi '-x'":                           {Name: "order.reject", Of: []string{"kagi", "-x"}},
		"keypost mail approve M --quantity COPIES --email ADDRESS": {Name: "mail.approve", Of: []string{"M"}, Needs: []string{"quantity", "email"}},
	} {
		if got := command(op.Name, op.Of, op.Needs...); got != want {
			t.Errorf("%+v: %s; want %s", op, got, want)
		}
	}
}

func TestAdvised(t *testing.T) {
	for want, a := range map[string]ingest.Advice{
		"Look.": {Text: "Look."},
		"Load more, then approve (keypost pool load, keypost check).": ingest.Advise("Load more, then approve.", "pool.load", "check"),
		"is gone (keypost order list)":                                ingest.Advise("is gone", "order.list"),
	} {
		if got := asCommand(advised(a)); got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// An error of the store that an operation helps against names the command.
func TestHelped(t *testing.T) {
	err := Helped(fmt.Errorf("database x: %w: %w", store.ErrSchema, store.ErrOlder))
	if got := err.Error(); !strings.HasSuffix(got, "migrate it first ({db migrate})") || !errors.Is(err, store.ErrSchema) {
		t.Error(got)
	}
	if other := errors.New("other"); Helped(other) != other || Helped(nil) != nil {
		t.Error("an error that nothing helps against is changed")
	}
}
