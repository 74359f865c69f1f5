package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/delivery"
	"github.com/keypost/keypost/store"
)

const hookSecret = "whsec_c2VjcmV0LW9mLXRlc3RzLWdlaGVpbS0xMjM0NTY="

// A crm is a vendor's program that a webhook tells.
type crm struct {
	*httptest.Server
	answer  atomic.Int32 // its HTTP status
	told    chan told
	onEvent atomic.Pointer[func()] // what it does before it answers
}

// A told event, with what was sent beside it.
type told struct {
	ID   string
	Type string
	Data struct {
		Order   map[string]any
		License map[string]any
	}
}

func newCRM(t *testing.T) *crm {
	t.Helper()
	c := &crm{told: make(chan told, 100)}
	c.answer.Store(http.StatusNoContent)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seconds, _ := strconv.ParseInt(r.Header.Get("webhook-timestamp"), 10, 64)
		secret, _ := delivery.ParseSecret(hookSecret)
		want := http.Header{}
		delivery.Sign(want, r.Header.Get("webhook-id"), time.Unix(seconds, 0), body, secret)
		if got := r.Header.Get("webhook-signature"); got != want.Get("webhook-signature") || time.Since(time.Unix(seconds, 0)) > time.Minute {
			t.Errorf("signed at %d: %q", seconds, got)
		}
		e := told{ID: r.Header.Get("webhook-id")}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if do := c.onEvent.Swap(nil); do != nil {
			(*do)()
		}
		c.told <- e
		w.WriteHeader(int(c.answer.Load()))
	}))
	t.Cleanup(c.Close)
	return c
}

// config is a [[webhook]] that leads there.
func (c *crm) config(more string) string {
	return fmt.Sprintf("\n[[webhook]]\nname = \"crm\"\nurl = \"%s/?key=query-secret\"\nsecret = %q\nprivate = true\n%s", c.URL, hookSecret, more)
}

// add puts a webhook into a site's config.
func (s *site) add(text string) {
	s.t.Helper()
	b, err := os.ReadFile(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(string(b) + text)
}

// same compares what is told with what a command shows, field by field.
func same(t *testing.T, told map[string]any, shown any) {
	t.Helper()
	b, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]any
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if _, ok := told[name]; !ok {
			delete(want, name)
		}
	}
	if diff := cmp.Diff(want, told); diff != "" || len(told) < 7 {
		t.Error(diff)
	}
}

// What was sold before, elsewhere, is no news: only a webhook that lists
// order.imported is told of it. What happens to it later is told as ever.
func TestOldSalesAreNoNews(t *testing.T) {
	s := newSite(t)
	s.write(strings.Replace(s.text(), "limit = 2\n", "limit = 2\nadopt = true\ngenerator = { kind = \"signed\" }\n", 1))
	for _, hook := range []string{"name = \"all\"", "name = \"moving\"\nevents = [\"order.imported\"]"} {
		s.add(fmt.Sprintf("\n[[webhook]]\nurl = \"http://127.0.0.1:1/\"\nprivate = true\nsecret = %q\n%s\n", hookSecret, hook))
	}
	if err := s.serve()(); err != nil {
		t.Fatal(err)
	}
	file := s.place("old.csv", "code,store,transaction\nOLD-CSV,kagi,SALE-1\n")
	s.must(0, "import", "csv", file, "--product", "demo")
	s.must(0, "import", "csv", file, "--product", "demo") // again
	s.place("refunds.toml", "kind = \"refund\"\nstore = \"kagi\"\nsubject = [\"Refund\"]\nsequence = ['SQNM-\"{blurb}\" {number}']\n")
	mails := s.place("sold.mbox", "From a Wed May  5 09:12:44 2004\n"+oldSale(2, "OLD-MAIL")+"\nFrom a Wed May  5 09:12:44 2004\n"+oldRefund)
	s.must(0, "import", "mbox", mails, "--profile", filepath.Join(filepath.Dir(s.config), "refunds.toml"), "--profile", "tfyp")
	var l admin.License
	if s.read(0, &l, "license", "show", "OLD-MAIL"); l.Status != "revoked" {
		t.Errorf("the old refund did nothing: %+v", l)
	}
	var tried []admin.Trial
	s.read(0, &tried, "keygen", "try", "demo")
	stop := s.serve()
	if problem := s.activate(tried[0].Code, "machine-1"); problem != "" {
		t.Error(problem)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	told := func(endpoint string) (kinds []string) {
		t.Helper()
		var list []admin.Notice
		s.read(0, &list, "outbox", "list", "--endpoint", endpoint)
		for _, n := range slices.Backward(list) {
			kinds = append(kinds, n.Kind)
		}
		return kinds
	}
	if diff := cmp.Diff([]string{"order.imported", "order.imported", "order.imported"}, told("moving")); diff != "" {
		t.Errorf("to the webhook that lists it (-want +got):\n%s", diff)
	}
	if got := told("all"); got != nil {
		t.Errorf("to the webhook without a list: %v", got)
	}
	// From now on it is a license like all others.
	s.must(0, "license", "revoke", "OLD-CSV")
	s.must(0, "license", "revoke", "OLD-CSV") // nothing new
	s.must(0, "license", "restore", "OLD-CSV")
	s.must(0, "license", "restore", "OLD-CSV")
	s.must(0, "license", "reset", "OLD-CSV")
	s.must(0, "order", "refund", "kagi", "SALE-1")
	s.must(0, "license", "issue", "demo")
	if diff := cmp.Diff([]string{"license.revoked", "license.restored", "order.refunded", "order.issued"}, told("all")); diff != "" {
		t.Errorf("what happened here (-want +got):\n%s", diff)
	}
}

// What the daemon does and what commands do is told.
func TestWebhooks(t *testing.T) { eachDatabase(t, testWebhooks) }

func testWebhooks(t *testing.T, s *site) {
	c := newCRM(t)
	s.add(c.config(""))
	s.serve()
	code := s.post()[0]
	e := <-c.told
	var o admin.Order
	s.read(0, &o, "order", "show", "kagi", "CH0123456789")
	if e.Type != "order.issued" || e.Data.License != nil {
		t.Errorf("told: %+v", e)
	}
	same(t, e.Data.Order, o)
	if out := s.must(0, "order", "show", "kagi", "CH0123456789"); !strings.Contains(out, "order.issued to crm") {
		t.Errorf("show: %s", out)
	}

	// A receiver that wants no more: dead, until a person says so.
	given := s.log.expect("dead=true")
	c.answer.Store(http.StatusGone)
	s.must(0, "license", "revoke", code)
	e = <-c.told
	var l admin.License
	s.read(0, &l, "license", "show", code)
	if e.Type != "license.revoked" || e.Data.License["status"] != "revoked" {
		t.Errorf("told: %+v", e)
	}
	same(t, e.Data.License, l)
	<-given
	var dead []admin.Notice
	s.read(0, &dead, "outbox", "list", "--status", "dead", "--endpoint", "crm")
	if len(dead) != 1 || dead[0].ID != e.ID || dead[0].Tries != 1 || *dead[0].Order != (admin.OrderRef{Store: "kagi", Transaction: "CH0123456789", Line: 1}) || !strings.Contains(*dead[0].Error, "410") {
		t.Errorf("dead: %+v", dead)
	}
	if out := s.must(0, "check"); !strings.Contains(out, "warning outbox: dead notices: 1") || !strings.Contains(out, "ok      webhook crm: to 127.0.0.1: all events") {
		t.Errorf("check: %s", out)
	}
	c.answer.Store(http.StatusOK)
	var ids []string
	s.read(0, &ids, "outbox", "retry", e.ID)
	if again := <-c.told; again.ID != e.ID || len(ids) != 1 {
		t.Errorf("told again: %+v, %v", again, ids)
	}
	for _, private := range []string{code, "Fragola", "query-secret", hookSecret, strings.TrimPrefix(hookSecret, "whsec_")} {
		if strings.Contains(s.log.String(), private) {
			t.Errorf("the log tells %q:\n%s", private, s.log.String())
		}
	}
}

func TestOutboxCommands(t *testing.T) {
	s := newSite(t)
	s.must(1, "outbox", "list") // no database yet
	stop := s.serve()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if out := s.must(0, "outbox", "list"); out != "No notices.\n" {
		t.Errorf("an empty list: %q", out)
	}
	s.add(newCRM(t).config("events = [\"order.held\", \"order.issued\"]\n"))
	s.must(0, "license", "issue", "demo", "--transaction", "gift-1")
	out := s.must(0, "outbox", "list", "--status", "waiting")
	for _, want := range []string{"order.issued", "crm", "manual", "gift-1", "waiting"} {
		if !strings.Contains(out, want) {
			t.Errorf("list lacks %q: %s", want, out)
		}
	}
	var list []admin.Notice
	s.read(0, &list, "outbox", "list")
	if len(list) != 1 || list[0].Audience != store.ToWebhook || list[0].NextAt == nil || list[0].Error != nil {
		t.Fatalf("list: %+v", list)
	}
	if out := s.must(1, "outbox", "retry", list[0].ID); !strings.Contains(out, "the notice is not dead") {
		t.Errorf("retry: %s", out)
	}
	if out := s.must(0, "outbox", "retry", "--dead", "--endpoint", "crm"); out != "Notices queued again: 0\n" {
		t.Errorf("retry: %s", out)
	}
	s.must(3, "outbox", "retry", "NOTHING")
	s.must(2, "outbox", "retry")
	s.must(2, "outbox", "retry", "--dead", list[0].ID)
	s.must(2, "outbox", "retry", list[0].ID, "--endpoint", "crm")
	s.must(2, "outbox", "list", "--status", "lost")
}

func TestWebhookTest(t *testing.T) {
	s := newSite(t)
	c := newCRM(t)
	s.add(c.config(""))
	if out := s.must(0, "webhook", "test", "crm"); out != "HTTP 204: crm accepted the event\n" {
		t.Errorf("%s", out)
	}
	if e := <-c.told; e.Type != "webhook.test" || e.ID == "" {
		t.Errorf("told: %+v", e)
	}
	c.answer.Store(http.StatusUnauthorized)
	var tested admin.WebhookTest
	s.read(1, &tested, "webhook", "test", "crm")
	if tested.Webhook != "crm" || *tested.Status != 401 || *tested.Error != "HTTP 401" {
		t.Errorf("%+v", tested)
	}
	c.Close()
	if out := s.must(1, "webhook", "test", "crm"); !strings.Contains(out, "connection refused") || strings.Contains(out, "query-secret") {
		t.Errorf("%s", out)
	}
	s.must(3, "webhook", "test", "other")
	s.must(2, "webhook", "test")
}

// SIGHUP: a new webhook is told at once.
func TestSIGHUPWebhook(t *testing.T) {
	s := newSite(t)
	p := s.start(program(t))
	s.url = p.url
	s.post()
	c := newCRM(t)
	s.add(c.config(""))
	seen := p.stderr.expect("the config was read again")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-seen
	s.post("--transaction", "T2")
	if e := <-c.told; e.Data.Order["transaction"] != "T2" {
		t.Errorf("told: %+v", e)
	}
}

// A daemon that is killed while the receiver takes an event, before it can
// note that: the next one tells it again, under the same id, as soon as the
// dead one's claim has run out.
func TestWebhookToldAgainAfterAKill(t *testing.T) {
	binary := program(t)
	t.Parallel() // the claim takes its time
	s := newSite(t)
	c := newCRM(t)
	s.add(c.config(""))
	p := s.start(binary)
	s.url = p.url
	kill := func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() }
	c.onEvent.Store(&kill)
	s.run("post", "krps", s.url+"/in/kagi") // the kill may come before its answer
	first := <-c.told
	s.start(binary)
	if second := <-c.told; second.ID != first.ID || second.Type != first.Type {
		t.Errorf("told: %+v, then %+v", first, second)
	}
}
