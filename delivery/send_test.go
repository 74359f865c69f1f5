package delivery

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// A desk is a store with a clock of its own and a sender on it.
type desk struct {
	t      *testing.T
	source string
	mu     sync.Mutex
	clock  time.Time
	db     *store.DB
	sender *Sender
}

// each runs a test with every database.
func each(t *testing.T, test func(t *testing.T, d *desk)) {
	t.Run("sqlite", func(t *testing.T) { test(t, newDesk(t, "sqlite:"+filepath.Join(t.TempDir(), "keypost.db"))) })
	t.Run("mariadb", func(t *testing.T) { test(t, newDesk(t, storetest.MariaDB(t))) })
}

func sqlite(t *testing.T) *desk {
	return newDesk(t, "sqlite:"+filepath.Join(t.TempDir(), "keypost.db"))
}

func newDesk(t *testing.T, source string) *desk {
	t.Helper()
	d := &desk{t: t, source: source, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	d.open()
	return d
}

// open opens the store, again after it was closed, with a new sender.
func (d *desk) open() {
	d.t.Helper()
	db, err := store.Open(d.t.Context(), d.source, store.Options{Create: true, Now: d.now})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { db.Close() })
	d.db = db
	d.use(db)
}

func (d *desk) use(s Store) {
	d.sender = New(s)
	d.sender.now = d.now
}

func (d *desk) now() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.clock
}

func (d *desk) wait(pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.Add(pause)
}

// subscribe has webhooks told of everything, at these URLs.
func (d *desk) subscribe(urls map[string]string) {
	d.t.Helper()
	var list []store.Subscriber
	var endpoints []Endpoint
	for name, u := range urls {
		list = append(list, store.Subscriber{Name: name})
		endpoints = append(endpoints, Endpoint{Name: name, URL: u, Secrets: []Secret{secret(d.t, vectorSecret)}, Client: noRedirects})
	}
	d.db.Subscribe(list)
	d.sender.Configure(endpoints)
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// order makes an order with a code, and so an event for each webhook.
func (d *desk) order(transaction string) store.Order {
	d.t.Helper()
	o, added, err := d.db.AddOrder(d.t.Context(), store.NewOrder{
		Order: store.Order{
			ID: store.NewID(), Channel: "kagi", Store: "kagi", Transaction: transaction, Fold: transaction, StoreProduct: "Product_Name",
			Product: "demo", LicenseType: "single", Name: "Fred", Email: "fred@example.com", Price: "149.000", Currency: "USD", Quantity: 1, Limit: 3,
		},
		Keys:    []store.Key{sha256.Sum256([]byte(transaction))},
		Message: store.Message{ID: store.NewID(), Channel: "kagi", Verdict: store.VerdictAccepted},
		Outcome: store.Outcome{Codes: []store.NewLicense{{ID: store.NewID(), Code: "CODE-" + transaction}}},
	})
	if err != nil || !added {
		d.t.Fatalf("AddOrder = added %v, %v", added, err)
	}
	return o
}

// send sends what is due and waits for it.
func (d *desk) send() {
	d.t.Helper()
	if err := d.sender.Send(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	d.sender.Wait()
}

// notices lists an endpoint's, oldest first.
func (d *desk) notices(endpoint string) []store.Notice {
	d.t.Helper()
	list, err := d.db.Outbox(d.t.Context(), store.NoticeFilter{Endpoint: endpoint})
	if err != nil {
		d.t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// A receiver keeps what it is told and answers as it is made to.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	ids    []string
	bodies []string
	bad    []string // faults of requests
}

func receive(t *testing.T, now func() time.Time, answer http.HandlerFunc) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		want := http.Header{}
		Sign(want, req.Header.Get("webhook-id"), now(), body, secret(t, vectorSecret))
		r.mu.Lock()
		r.ids, r.bodies = append(r.ids, req.Header.Get("webhook-id")), append(r.bodies, string(body))
		if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/json" ||
			req.Header.Get("webhook-signature") != want.Get("webhook-signature") || req.Header.Get("webhook-timestamp") != want.Get("webhook-timestamp") {
			r.bad = append(r.bad, fmt.Sprint(req.Method, req.Header))
		}
		r.mu.Unlock()
		answer(w, req)
	}))
	t.Cleanup(func() {
		r.Close()
		for _, b := range r.bad {
			t.Errorf("a request is not as it should be: %s", b)
		}
	})
	return r
}

func (r *receiver) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestSend(t *testing.T) { each(t, testSend) }

func testSend(t *testing.T, d *desk) {
	closed := httptest.NewServer(status(200))
	closed.Close()
	lost := make(chan struct{})
	answers := map[string]struct {
		answer http.HandlerFunc
		status string
		why    string
		after  time.Duration // at the earliest; at the latest a fifth more
	}{
		"ok":        {status(200), store.NoticeSent, "", 0},
		"accepted":  {status(202), store.NoticeSent, "", 0},
		"broken":    {status(500), store.NoticeWaiting, "HTTP 500", 5 * time.Second},
		"forbidden": {status(403), store.NoticeWaiting, "HTTP 403", 5 * time.Second},
		"gone":      {status(410), store.NoticeDead, "HTTP 410: the receiver does not want more events", 0},
		"busy": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}, store.NoticeWaiting, "HTTP 429", time.Hour},
		"hasty": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(503)
		}, store.NoticeWaiting, "HTTP 503", 5 * time.Second},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/followed", http.StatusTemporaryRedirect)
		}, store.NoticeWaiting, "HTTP 307: redirects are not followed", 5 * time.Second},
		"talkative": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = w.Write([]byte(strings.Repeat("fred@example.com ", 1<<20)))
		}, store.NoticeWaiting, "HTTP 500", 5 * time.Second},
		"rude": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "\x1b[31m"+strings.Repeat("x", 1000)+"\r\n\r\n")
				conn.Close()
			}
		}, store.NoticeWaiting, "malformed HTTP", 5 * time.Second},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // the sender hung up
			close(lost)
		}, store.NoticeWaiting, "no answer in time", 5 * time.Second},
		"refused": {nil, store.NoticeWaiting, "connection refused", 5 * time.Second},
	}
	urls := map[string]string{}
	receivers := map[string]*receiver{}
	for name, a := range answers {
		urls[name] = closed.URL + "/?key=geheim"
		if a.answer != nil {
			receivers[name] = receive(t, d.now, a.answer)
			urls[name] = receivers[name].URL + "/?key=geheim"
		}
	}
	d.subscribe(urls)
	d.sender.timeout = 2 * time.Second // that only the slow one needs
	d.order("T1")
	d.send()
	<-lost
	for name, want := range answers {
		n := d.notices(name)[0]
		if n.Status != want.status || !strings.Contains(n.Error, want.why) || want.why == "" && n.Error != "" || n.Tries != 1 {
			t.Errorf("%s: %+v", name, n)
		}
		if wait := n.NextAt.Sub(d.now()); n.Status == store.NoticeWaiting && (wait < want.after || wait > want.after*6/5) {
			t.Errorf("%s: tried again in %v, want %v", name, wait, want.after)
		}
		if len(n.Error) > 255 || strings.ContainsAny(n.Error, "\x1b\r\n") || strings.Contains(n.Error, "geheim") || strings.Contains(n.Error, "fred") {
			t.Errorf("%s: the error is kept as %q", name, n.Error)
		}
		if r := receivers[name]; r != nil && !slices.Equal(r.got(), []string{n.ID}) {
			t.Errorf("%s got %v, want %s once", name, r.got(), n.ID)
		}
	}
	if body := receivers["ok"].bodies[0]; !strings.Contains(body, `"type":"order.issued"`) || !strings.Contains(body, `"licenses":["CODE-T1"]`) {
		t.Errorf("told: %s", body)
	}
}

// An event is tried by the schedule, under one id, until it is dead; a person
// has it tried again.
func TestSchedule(t *testing.T) {
	d := sqlite(t)
	answer := 500
	r := receive(t, d.now, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(answer) })
	d.subscribe(map[string]string{"crm": r.URL})
	d.order("T1")
	begin := d.now()
	var n store.Notice
	for try := 1; ; try++ {
		d.send()
		if n = d.notices("crm")[0]; n.Tries != try {
			t.Fatalf("after try %d: %+v", try, n)
		}
		if n.Status == store.NoticeDead {
			break
		}
		before := n.NextAt.Sub(d.now()) - time.Microsecond
		d.wait(before)
		d.send()
		d.wait(time.Microsecond)
	}
	if took := d.now().Sub(begin).Hours(); len(r.got()) != 10 || took < 75 || took > 91 || n.Error != "HTTP 500" {
		t.Errorf("%d tries in %.0f hours: %+v", len(r.got()), took, n)
	}
	for _, id := range r.got() {
		if id != n.ID {
			t.Errorf("event %s, once as %s", n.ID, id)
		}
	}
	if err := d.db.RetryNotice(t.Context(), n.ID, "test"); err != nil {
		t.Fatal(err)
	}
	answer = 200
	d.send()
	if got := d.notices("crm")[0]; got.Status != store.NoticeSent || got.ID != n.ID {
		t.Errorf("tried again: %+v", got)
	}
}

// What is told is as it is when it is told.
func TestRenderedWhenSent(t *testing.T) {
	d := sqlite(t)
	r := receive(t, d.now, status(200))
	d.subscribe(map[string]string{"crm": r.URL})
	l := d.order("T1").Licenses[0]
	d.wait(time.Minute)
	if _, err := d.db.RevokeLicense(t.Context(), l.ID, "test"); err != nil {
		t.Fatal(err)
	}
	d.send()
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.bodies) // two events are told in no order
	if len(r.bodies) != 2 || !strings.Contains(r.bodies[0], `"license":{"code":"CODE-T1","product":"demo","status":"revoked"`) ||
		!strings.Contains(r.bodies[0], `"type":"license.revoked","timestamp":"2026-03-01T12:01:00Z"`) || strings.Contains(r.bodies[1], `"license":{`) {
		t.Errorf("told: %s", r.bodies)
	}
}

// One slow webhook delays no other, and gets a few calls at once.
func TestSlowDelaysNoOther(t *testing.T) {
	d := sqlite(t)
	release := make(chan struct{})
	arrived := make(chan struct{}, 100)
	slow := receive(t, d.now, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	quick := make(chan struct{}, 100)
	fast := receive(t, d.now, func(http.ResponseWriter, *http.Request) { quick <- struct{}{} })
	d.subscribe(map[string]string{"slow": slow.URL, "fast": fast.URL})
	for i := range 2 * atOnce {
		d.order(fmt.Sprint("T", i))
	}
	for range 2 {
		if err := d.sender.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * atOnce {
		<-quick
	}
	for range atOnce {
		<-arrived
	}
	if n := len(slow.got()); n != atOnce {
		t.Errorf("%d calls at once, want %d", n, atOnce)
	}
	close(release)
	d.sender.Wait()
	if n := len(slow.got()); n != 2*atOnce {
		t.Errorf("%d events told, want %d", n, 2*atOnce)
	}
}

// Killed between the receiver's yes and the note of it: it is told again,
// under the same id.
func TestToldAgainAfterAKill(t *testing.T) {
	each(t, func(t *testing.T, d *desk) {
		var kill sync.Once
		r := receive(t, d.now, func(http.ResponseWriter, *http.Request) { kill.Do(func() { d.db.Close() }) })
		d.subscribe(map[string]string{"crm": r.URL})
		d.order("T1")
		d.send()
		d.open()
		d.subscribe(map[string]string{"crm": r.URL})
		d.send()
		if n := d.notices("crm")[0]; n.Status != store.NoticeSent || !slices.Equal(r.got(), []string{n.ID, n.ID}) {
			t.Errorf("%+v, told as %v", n, r.got())
		}
	})
}

// A connection that the receiver closed meanwhile does not cost a try.
func TestKeptConnectionIsGone(t *testing.T) {
	d := sqlite(t)
	var mu sync.Mutex
	known := map[string]bool{}
	r := receive(t, d.now, func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, sent := req.Header["Idempotency-Key"]; sent {
			t.Error("an empty header is sent")
		}
		if known[req.RemoteAddr] {
			panic(http.ErrAbortHandler)
		}
		known[req.RemoteAddr] = true
	})
	d.subscribe(map[string]string{"crm": r.URL})
	d.order("T1")
	d.send()
	d.order("T2")
	d.send()
	list := d.notices("crm")
	if n := list[1]; n.Status != store.NoticeSent || n.Tries != 1 || !slices.Equal(r.got(), []string{list[0].ID, n.ID, n.ID}) {
		t.Errorf("%+v, told: %v", n, r.got())
	}
}

// faulty is a store whose methods fail as a test wants it.
type faulty struct {
	*store.DB
	order, sent error
}

func (f *faulty) Order(ctx context.Context, id string) (store.Order, error) {
	if f.order != nil {
		return store.Order{}, f.order
	}
	return f.DB.Order(ctx, id)
}

func (f *faulty) NoticeWasSent(ctx context.Context, n store.Notice) error {
	if f.sent != nil {
		return f.sent
	}
	return f.DB.NoticeWasSent(ctx, n)
}

// A store that notes nothing, a full disk, does not make a flood.
func TestRestsWhereNothingCanBeNoted(t *testing.T) {
	d := sqlite(t)
	f := &faulty{DB: d.db, sent: store.ErrUnavailable}
	d.use(f)
	r := receive(t, d.now, status(200))
	d.subscribe(map[string]string{"crm": r.URL})
	d.order("T1")
	d.send()
	d.send()
	if n := len(r.got()); n != 1 {
		t.Errorf("told %d times", n)
	}
	f.sent = store.ErrStale // another daemon has told it meanwhile
	d.wait(rest)
	d.send()
	f.sent = nil
	d.send()
	if n := d.notices("crm")[0]; len(r.got()) != 3 || n.Status != store.NoticeSent {
		t.Errorf("told %d times, %+v", len(r.got()), n)
	}
}

func TestCannotBeRendered(t *testing.T) {
	d := sqlite(t)
	f := &faulty{DB: d.db, order: store.ErrUnavailable}
	d.use(f)
	r := receive(t, d.now, status(200))
	d.subscribe(map[string]string{"crm": r.URL})
	d.order("T1")
	d.send()
	if n := d.notices("crm")[0]; n.Tries != 0 || n.Status != store.NoticeWaiting {
		t.Errorf("the database's trouble counts as a try: %+v", n)
	}
	f.order = store.ErrNotFound
	d.wait(rest)
	d.send()
	if n := d.notices("crm")[0]; n.Status != store.NoticeDead || n.Error != "what it tells of is gone" || len(r.got()) != 0 {
		t.Errorf("%+v", n)
	}
}

// A webhook that leaves the config: for a while its events wait, since it may
// only be late, or back.
func TestUnknownWebhook(t *testing.T) {
	d := sqlite(t)
	r := receive(t, d.now, status(200))
	d.subscribe(map[string]string{"crm": r.URL})
	d.order("T1")
	d.sender.Configure(nil)
	for range unknownTries {
		if n := d.notices("crm")[0]; n.Status != store.NoticeWaiting {
			t.Errorf("%+v", n)
		}
		d.send()
		d.wait(time.Hour)
	}
	n := d.notices("crm")[0]
	if n.Status != store.NoticeDead || n.Error != "the config has no webhook with this name" {
		t.Errorf("%+v", n)
	}
	d.subscribe(map[string]string{"crm": r.URL})
	if err := d.db.RetryNotice(t.Context(), n.ID, "test"); err != nil {
		t.Fatal(err)
	}
	d.send()
	if got := d.notices("crm")[0]; got.Status != store.NoticeSent {
		t.Errorf("%+v", got)
	}
}

// When the daemon ends, what is in hand is finished, and nothing is begun.
func TestEndsAfterWhatIsInHand(t *testing.T) {
	d := sqlite(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := receive(t, d.now, func(http.ResponseWriter, *http.Request) { cancel() })
	d.subscribe(map[string]string{"crm": r.URL})
	for i := range 4 * atOnce {
		d.order(fmt.Sprint("T", i))
	}
	if err := d.sender.Send(ctx); err != nil {
		t.Fatal(err)
	}
	d.sender.Wait()
	sent := 0
	for _, n := range d.notices("crm") {
		if n.Status == store.NoticeSent {
			sent++
		}
		if n.Tries > 0 != (n.Status == store.NoticeSent) {
			t.Errorf("%+v", n)
		}
	}
	if sent == 0 || sent != len(r.got()) || sent > 2*atOnce {
		t.Errorf("%d were told, %d are noted, of %d", len(r.got()), sent, 4*atOnce)
	}
}

func TestEndpointTest(t *testing.T) {
	var body, id string
	answer := 204
	r := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		body, id = string(b), req.Header.Get("webhook-id")
		w.WriteHeader(answer)
	}))
	defer r.Close()
	e := Endpoint{Name: "crm", URL: r.URL, Secrets: []Secret{secret(t, vectorSecret)}, Client: noRedirects}
	if status, err := e.Test(t.Context()); status != 204 || err != nil || id == "" || !strings.Contains(body, `"type":"webhook.test"`) || !strings.HasSuffix(body, `"data":{}}`) {
		t.Errorf("%d, %v, %s %s", status, err, id, body)
	}
	answer = 401
	if status, err := e.Test(t.Context()); status != 401 || err == nil || err.Error() != "HTTP 401" {
		t.Errorf("%d, %v", status, err)
	}
	r.Close()
	if status, err := e.Test(t.Context()); status != 0 || err == nil {
		t.Errorf("%d, %v", status, err)
	}
}

func TestPlain(t *testing.T) {
	long := plain(errors.New(strings.Repeat("é", 500)))
	if len([]rune(long)) != maxWhy {
		t.Errorf("%d characters", len([]rune(long)))
	}
	wrapped := &url.Error{Op: "Post", URL: "https://x/?key=geheim", Err: &net.OpError{Op: "dial", Err: errors.New("a\x1b\nb\xff")}}
	if got := plain(wrapped); got != "dial: a??b?" {
		t.Errorf("%q", got)
	}
	if got := plain(&url.Error{Op: "Post", URL: "x", Err: context.DeadlineExceeded}); got != "no answer in time" {
		t.Errorf("%q", got)
	}
}
