package activation_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/activation/client"
	"github.com/keypost/keypost/store"
)

// ok fails a test at an error.
func ok(t *testing.T) func(client.License, error) client.License {
	return func(l client.License, err error) client.License {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// fails wants an error, each of the sentinels, and no license beside it.
func fails(t *testing.T, want ...error) func(client.License, error) {
	return func(l client.License, err error) {
		t.Helper()
		for _, w := range want {
			if !errors.Is(err, w) {
				t.Errorf("error %v, want %v", err, w)
			}
		}
		if l != (client.License{}) {
			t.Errorf("%v, and a license: %+v", err, l)
		}
	}
}

// problem wants a refusal with a code.
func problem(t *testing.T, code string) func(client.License, error) *client.Problem {
	return func(l client.License, err error) *client.Problem {
		t.Helper()
		p, is := errors.AsType[*client.Problem](err)
		if !is || p.Code != code || l != (client.License{}) {
			t.Fatalf("%+v, %v, want %s", l, err, code)
		}
		return p
	}
}

func TestActivateValidateDeactivate(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	path := filepath.Join(t.TempDir(), "new", "folder", "license.json")
	c := r.client(keeping(client.FileStorage(path)))
	fails(t, client.ErrNotActivated)(c.Validate(t.Context()))
	fails(t, client.ErrNotActivated)(c.Check())
	fails(t, client.ErrNotActivated)(c.Activate(t.Context(), " "))
	if err := c.Deactivate(t.Context()); !errors.Is(err, client.ErrNotActivated) {
		t.Error(err)
	}
	if got := r.called(); got != "" {
		t.Errorf("without a code it called %s", got)
	}

	got := ok(t)(c.Activate(t.Context(), " "+strings.ToLower(l.Code)+"\n"))
	want := client.License{
		Product: "demo", Type: "single", Limit: 2, Used: 1, Activation: got.Activation,
		LeaseExpiresAt: r.now().Add(leaseTerm), Until: r.now().Add(leaseTerm + 20*time.Hour),
	}
	if diff := cmp.Diff(want, got); diff != "" || got.Activation == "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// Another start of the program.
	c = r.client(keeping(client.FileStorage(path)))
	want.Cached = true
	if diff := cmp.Diff(want, ok(t)(c.Validate(t.Context()))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, ok(t)(c.Check())); diff != "" {
		t.Error(diff)
	}
	again := ok(t)(c.Activate(t.Context(), ""))
	if want.Cached = false; again != want {
		t.Errorf("the stored code: %+v", again)
	}
	ok(t)(r.client(on("my-second-machine")).Activate(t.Context(), l.Code))
	p := problem(t, "limit_reached")(r.client(on("my-third-machine")).Activate(t.Context(), l.Code))
	if diff := cmp.Diff(&client.Problem{
		Code: "limit_reached", Title: "All seats are taken", Detail: "Deactivate another machine first, or ask the seller for more.",
		Status: 409, Used: 2, Limit: 2,
	}, p); diff != "" {
		t.Error(diff)
	}

	r.breaks(down)
	if err := c.Deactivate(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Error(err)
	}
	ok(t)(c.Check()) // nothing was forgotten
	r.breaks(nil)
	if err := c.Deactivate(t.Context()); err != nil {
		t.Error(err)
	}
	fails(t, client.ErrNotActivated)(c.Check())
	if b, _ := os.ReadFile(path); strings.Contains(string(b), strings.ToLower(l.Code)) {
		t.Errorf("not forgotten: %s", b)
	}
	ok(t)(r.client(on("my-third-machine")).Activate(t.Context(), l.Code))
	files, _ := os.ReadDir(filepath.Dir(path))
	if len(files) != 1 {
		t.Errorf("files left: %v", files)
	}
}

// What the server refuses ends at once, offline too; and what it takes back,
// without the user typing the code again.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		code   string
		change func(store.License) error
	}{
		{"code_suspended", func(l store.License) error { _, err := r.db.SuspendLicense(t.Context(), l.ID, "test"); return err }},
		{"code_revoked", func(l store.License) error { _, err := r.db.RevokeLicense(t.Context(), l.ID, "test"); return err }},
		{"not_activated", func(l store.License) error { _, err := r.db.ResetLicense(t.Context(), l.ID, "test"); return err }},
		{"code_expired", func(store.License) error { r.pass(19*time.Hour + time.Minute); return nil }},
	} {
		end := r.now().Add(30 * time.Hour)
		l := r.issue(func(o *store.Order) { o.ExpiresAt = &end })
		program := r.client()
		ok(t)(program.Activate(t.Context(), l.Code))
		if err := c.change(l); err != nil {
			t.Fatal(err)
		}
		r.pass(11 * time.Hour)
		problem(t, c.code)(program.Validate(t.Context()))
		r.breaks(down)
		p := problem(t, c.code)(program.Check())
		if p.Status/100 != 4 || p.Title == "" || errors.Is(p, client.ErrNotActivated) != (c.code == "not_activated") {
			t.Errorf("%s is kept as %+v", c.code, p)
		}
		still, err := program.Validate(t.Context())
		problem(t, c.code)(still, err)
		fails(t, client.ErrUnreachable)(still, err)
		r.breaks(nil)
		if c.code == "code_suspended" {
			if _, err := r.db.RestoreLicense(t.Context(), l.ID, "test"); err != nil {
				t.Fatal(err)
			}
			r.pass(time.Minute)
			ok(t)(program.Validate(t.Context()))
			ok(t)(program.Check())
		}
		if c.code == "not_activated" {
			ok(t)(program.Activate(t.Context(), "")) // the program decides
		}
		if err := program.Deactivate(t.Context()); err != nil {
			t.Errorf("%s: %v", c.code, err)
		}
	}

	l, test := r.issue(), r.issue(func(o *store.Order) { o.Test = true })
	last := "A"
	if strings.HasSuffix(l.Code, last) {
		last = "C"
	}
	program := r.client()
	ok(t)(program.Activate(t.Context(), l.Code))
	for code, want := range map[string]string{
		"NO-SUCH-CODE": "code_unknown", l.Code[:28] + last: "code_malformed", test.Code: "code_test",
	} {
		problem(t, want)(program.Activate(t.Context(), code))
		ok(t)(program.Check()) // another code's refusal is not this one's
	}
	// A code that went, and one that is refused to an activation.
	r.breaks(answers(404, "application/problem+json", `{"code":"code_unknown","title":"x","status":404}`))
	problem(t, "code_unknown")(program.Activate(t.Context(), strings.ReplaceAll(l.Code, "-", " ")))
	ok(t)(program.Check()) // the lease was signed for that code, and counts
	if err := program.Deactivate(t.Context()); err != nil {
		t.Errorf("a code that is not known any more: %v", err)
	}
	fails(t, client.ErrNotActivated)(program.Check())
	// Problems that are not about the code change nothing.
	r.breaks(nil)
	ok(t)(program.Activate(t.Context(), l.Code))
	r.breaks(answers(404, "application/problem+json", `{"code":"not_found","title":"x","status":404}`))
	r.pass(11 * time.Hour)
	if got := ok(t)(program.Validate(t.Context())); !got.Cached {
		t.Errorf("%+v", got)
	}
	var p *client.Problem
	if err := program.Deactivate(t.Context()); !errors.As(err, &p) || p.Code != "not_found" {
		t.Errorf("deactivate at a wrong address: %v", err)
	}
	ok(t)(program.Check())
}

// A server that forgot a code, by a restored backup or a wrong config, locks
// nobody out before the lease ends. There is no grace after it, and a server
// that knows the code again is heard.
func TestCodeThatTheServerForgot(t *testing.T) {
	for _, code := range []string{"code_unknown", "code_malformed"} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t)
			l, state := r.issue(), &kept{}
			program := r.client(keeping(state))
			granted := ok(t)(program.Activate(t.Context(), l.Code))
			r.breaks(answers(404, "application/problem+json", `{"code":"`+code+`","title":"x","status":404}`))
			r.pass(11 * time.Hour)
			r.called()
			got := ok(t)(program.Validate(t.Context()))
			if !got.Cached || got.Until != granted.LeaseExpiresAt || r.called() != "validate" {
				t.Errorf("%+v", got)
			}
			again := r.client(keeping(state)) // a new start of the program
			ok(t)(again.Validate(t.Context()))
			if got := r.called(); got != "" {
				t.Errorf("asked at once again: %s", got)
			}
			// The last second of the lease, and the first one after it.
			r.pass(leaseTerm - 11*time.Hour - time.Second)
			ok(t)(again.Validate(t.Context()))
			ok(t)(again.Check())
			r.pass(time.Second)
			problem(t, code)(again.Check())
			problem(t, code)(again.Validate(t.Context()))
			r.breaks(down)
			r.pass(time.Hour)
			problem(t, code)(again.Validate(t.Context()))
			r.breaks(nil)
			r.pass(time.Hour)
			ok(t)(again.Validate(t.Context()))
			if got := ok(t)(again.Check()); got.Until == got.LeaseExpiresAt {
				t.Errorf("no grace after the server said yes: %+v", got)
			}
		})
	}
}

func TestInterval(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	c := r.client()
	first := ok(t)(c.Activate(t.Context(), l.Code))
	r.called()
	r.pass(10*time.Hour - time.Second)
	ok(t)(c.Validate(t.Context()))
	if got := r.called(); got != "" {
		t.Errorf("within the interval: %s", got)
	}
	ok(t)(r.client(on("my-second-machine")).Activate(t.Context(), l.Code))
	r.pass(time.Second)
	r.called()
	got := ok(t)(c.Validate(t.Context()))
	if calls := r.called(); calls != "validate" || got.Cached || got.Used != 2 || got.LeaseExpiresAt != first.LeaseExpiresAt {
		t.Errorf("after the interval: %s, %+v", calls, got)
	}
	r.pass(41 * time.Hour) // less than half is left
	if got := ok(t)(c.Validate(t.Context())); got.LeaseExpiresAt != r.now().Add(leaseTerm) {
		t.Errorf("not renewed: %+v", got)
	}
	r.called()
	always := r.client(func(o *client.Options) { o.Interval = -1 })
	ok(t)(always.Activate(t.Context(), l.Code))
	ok(t)(always.Validate(t.Context()))
	if calls := r.called(); calls != "activate validate" {
		t.Errorf("a program that always asks: %s", calls)
	}
}

// A machine that gets its seat anew, by another program's hand, gets a lease of
// this seat at the next call.
func TestAnotherSeat(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	c, other := r.client(), r.client()
	first := ok(t)(c.Activate(t.Context(), l.Code))
	ok(t)(other.Activate(t.Context(), l.Code))
	if err := other.Deactivate(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := ok(t)(other.Activate(t.Context(), l.Code))
	r.pass(11 * time.Hour)
	r.called()
	if got := ok(t)(c.Validate(t.Context())); got.Activation != second.Activation || got.Activation == first.Activation || r.called() != "validate validate" {
		t.Errorf("%+v", got)
	}
}

func TestGrace(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ok(t)(c.Activate(t.Context(), r.issue().Code))
	r.breaks(down)
	r.pass(leaseTerm - time.Second)
	if got := ok(t)(c.Validate(t.Context())); !got.Cached || got.Grace {
		t.Errorf("before the lease's end: %+v", got)
	}
	r.pass(time.Second)
	if got := ok(t)(c.Validate(t.Context())); !got.Cached || !got.Grace {
		t.Errorf("in grace: %+v", got)
	}
	r.pass(20*time.Hour - time.Second)
	ok(t)(c.Check())
	r.pass(time.Second)
	fails(t, client.ErrLeaseExpired)(c.Check())
	fails(t, client.ErrLeaseExpired, client.ErrUnreachable)(c.Validate(t.Context()))
	r.breaks(nil)
	r.pass(time.Minute)
	if got := ok(t)(c.Validate(t.Context())); got.Cached || got.Grace {
		t.Errorf("online again: %+v", got)
	}

	// No grace for a license that has ended.
	end := r.now().Add(30 * time.Hour)
	short := r.client()
	got := ok(t)(short.Activate(t.Context(), r.issue(func(o *store.Order) { o.ExpiresAt = &end }).Code))
	if !got.Until.Equal(end) || !got.ExpiresAt.Equal(end) {
		t.Errorf("%+v", got)
	}
	r.breaks(down)
	r.pass(30*time.Hour - time.Second)
	ok(t)(short.Validate(t.Context()))
	r.pass(time.Second)
	fails(t, client.ErrLeaseExpired, client.ErrUnreachable)(short.Validate(t.Context()))
}

func TestWithoutLeases(t *testing.T) {
	r := newRig(t)
	end := r.now().Add(50 * time.Hour)
	state := &kept{}
	c := r.client(bare, keeping(state))
	l := r.issue(ofBare, func(o *store.Order) { o.ExpiresAt = &end })
	got := ok(t)(c.Activate(t.Context(), l.Code))
	saved := string(state.b)
	if want := (client.License{
		Product: "bare", Type: "single", Limit: 2, Used: 1, ExpiresAt: end, Activation: got.Activation, Until: r.now().Add(30 * time.Hour),
	}); got != want {
		t.Error(cmp.Diff(want, got))
	}
	r.called()
	r.pass(9 * time.Hour)
	ok(t)(c.Validate(t.Context()))
	if calls := r.called(); calls != "" {
		t.Errorf("within the interval: %s", calls)
	}
	r.breaks(down)
	r.pass(20 * time.Hour)
	if got := ok(t)(c.Validate(t.Context())); !got.Cached || !got.Grace {
		t.Errorf("in grace: %+v", got)
	}
	r.pass(time.Hour)
	fails(t, client.ErrLeaseExpired, client.ErrUnreachable)(c.Validate(t.Context()))
	fails(t, client.ErrLease)(r.client(bare, keeping(state), on("my-second-machine")).Check())
	r.breaks(nil)
	r.pass(time.Minute)
	if got := ok(t)(c.Validate(t.Context())); !got.Until.Equal(end) || got.Cached {
		t.Errorf("the license ends in its grace: %+v", got)
	}
	if _, err := r.db.RevokeLicense(t.Context(), l.ID, "test"); err != nil {
		t.Fatal(err)
	}
	r.pass(11 * time.Hour)
	problem(t, "code_revoked")(c.Validate(t.Context()))
	problem(t, "code_revoked")(c.Check())
	always := r.client(bare, func(o *client.Options) { o.Interval, o.Grace = -1, 0 })
	ok(t)(always.Activate(t.Context(), r.issue(ofBare).Code))
	ok(t)(always.Validate(t.Context()))

	// A state without a lease does not make a product one without leases.
	forged := &kept{b: []byte(strings.ReplaceAll(saved, `"bare"`, `"demo"`))}
	fails(t, client.ErrLease)(r.client(keeping(forged)).Check())
}

// Keys shipped beforehand stand a rotation; what is signed by no shipped key
// counts for nothing.
func TestRotation(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	c, shipped := r.client(), r.keys()
	current := r.client(on("my-second-machine"), func(o *client.Options) { o.Keys = shipped[:1] })
	ok(t)(c.Activate(t.Context(), l.Code))
	ok(t)(current.Activate(t.Context(), l.Code))
	if err := r.ring.Rotate(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	r.pass(60 * time.Hour)
	if got := ok(t)(c.Validate(t.Context())); got.LeaseExpiresAt != r.now().Add(leaseTerm) {
		t.Errorf("%+v", got)
	}
	before := ok(t)(current.Check())
	fails(t, client.ErrLease)(current.Validate(t.Context()))
	fails(t, client.ErrLease)(current.Activate(t.Context(), l.Code))
	if got := ok(t)(current.Check()); got != before {
		t.Errorf("a lease that is not ours changed the state: %+v", got)
	}
	// The product of another program, and one without leases, give none.
	fails(t, client.ErrLease)(r.client(func(o *client.Options) { o.Product = "bare" }).Activate(t.Context(), r.issue(ofBare).Code))
	// An unusable stored lease is replaced by asking.
	state := &kept{}
	ok(t)(r.client(keeping(state)).Activate(t.Context(), l.Code))
	state.b = []byte(strings.Replace(string(state.b), `"lease":"ey`, `"lease":"ex`, 1))
	damaged := r.client(keeping(state))
	fails(t, client.ErrLease)(damaged.Check())
	ok(t)(damaged.Validate(t.Context()))
	ok(t)(damaged.Check())
	// A state that was copied from another machine is worth nothing there.
	elsewhere := r.client(keeping(state), on("my-third-machine"))
	fails(t, client.ErrLease)(elsewhere.Check())
	fails(t, client.ErrNotActivated)(elsewhere.Validate(t.Context()))
}

// A lease of another seat of this machine is an old answer.
func TestLeaseOfAnotherSeat(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	state := &kept{}
	c := r.client(keeping(state))
	before := ok(t)(c.Activate(t.Context(), l.Code))
	token := regexp.MustCompile(`"lease":"([^"]*)"`).FindStringSubmatch(string(state.b))[1]
	r.breaks(answers(200, "application/json", `{"activation":{"id":"another"},"license":{"product":"demo"},"lease":"`+token+`"}`))
	fails(t, client.ErrLease)(c.Activate(t.Context(), l.Code))
	if got := ok(t)(c.Check()); got.Activation != before.Activation {
		t.Errorf("%+v", got)
	}
	// The time that a lease was signed at counts as seen, whatever the state says.
	state.b = regexp.MustCompile(`"seen":"[^"]*"`).ReplaceAll(state.b, []byte(`"seen":"2001-01-01T00:00:00Z"`))
	r.wrong(-25 * time.Hour)
	fails(t, client.ErrClock)(c.Check())
}

// Half of the calls wait for others; all get an answer.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	c := r.client()
	ok(t)(c.Activate(t.Context(), l.Code))
	r.pass(11 * time.Hour)
	r.called()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := c.Validate(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if calls := r.called(); calls != "validate" {
		t.Errorf("one answer suffices for all, but: %s", calls)
	}
	// One that waits for a slow call answers by the state when its time is up.
	r.pass(11 * time.Hour)
	slow, asked, end := make(chan bool), make(chan bool), make(chan bool)
	r.breaks(func(w http.ResponseWriter, q *http.Request) { close(asked); <-slow; down(w, q) })
	go func() { _, _ = c.Validate(t.Context()); close(end) }()
	<-asked
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if got := ok(t)(c.Validate(over)); !got.Cached {
		t.Errorf("%+v", got)
	}
	ok(t)(c.Check())
	fails(t, client.ErrUnreachable, context.Canceled)(c.Activate(over, l.Code))
	close(slow)
	<-end
}

func TestBrokenStates(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	state := &kept{}
	ok(t)(r.client(keeping(state)).Activate(t.Context(), l.Code))
	good := string(state.b)
	for _, bad := range []string{
		"", "null", "[]", "{}", good[:len(good)/2], good + "x",
		strings.Replace(good, `"version":1`, `"version":2`, 1),
		strings.Replace(good, `"product":"demo"`, `"product":"other"`, 1),
		strings.Replace(good, `"contact":"2026`, `"contact":"x`, 1),
	} {
		c := r.client(keeping(&kept{b: []byte(bad)}))
		fails(t, client.ErrNotActivated)(c.Check())
		fails(t, client.ErrNotActivated)(c.Validate(t.Context()))
		ok(t)(c.Activate(t.Context(), l.Code))
	}
	// A state that cannot be written is an error where something must be kept.
	full := errors.New("the disk is full")
	state.fail = full
	c := r.client(keeping(state))
	fails(t, full)(c.Activate(t.Context(), l.Code))
	r.pass(time.Hour)
	ok(t)(c.Validate(t.Context()))
	ok(t)(c.Check())
	if _, err := r.db.RevokeLicense(t.Context(), l.ID, "test"); err != nil {
		t.Fatal(err)
	}
	r.pass(10 * time.Hour)
	fails(t, full)(c.Validate(t.Context()))
	problem(t, "code_revoked")(c.Validate(t.Context()))
	// A folder where the file should be cannot be read.
	if l, err := r.client(keeping(client.FileStorage(t.TempDir()))).Check(); err == nil || errors.Is(err, client.ErrNotActivated) {
		t.Errorf("%+v, %v", l, err)
	}
}

func TestOptions(t *testing.T) {
	r := newRig(t)
	for name, change := range map[string]func(*client.Options){
		"no URL":              func(o *client.Options) { o.URL = "" },
		"a path alone":        func(o *client.Options) { o.URL = "/v1" },
		"another scheme":      func(o *client.Options) { o.URL = "ftp://keys.example.com" },
		"a query":             func(o *client.Options) { o.URL += "?x=1" },
		"no URL at all":       func(o *client.Options) { o.URL = "http://[" },
		"no product":          func(o *client.Options) { o.Product = "" },
		"a short fingerprint": func(o *client.Options) { o.Fingerprint = "1234567" },
		"a long fingerprint":  func(o *client.Options) { o.Fingerprint = strings.Repeat("x", 257) },
		"no UTF-8":            func(o *client.Options) { o.Fingerprint = "12345678\xff" },
		"a key id for a key":  func(o *client.Options) { o.Keys = []string{o.Keys[0][:42]} },
		"an empty key":        func(o *client.Options) { o.Keys = append(o.Keys, "") },
		"a negative grace":    func(o *client.Options) { o.Grace = -1 },
	} {
		o := client.Options{URL: r.url, Product: "demo", Fingerprint: machine1, Keys: r.keys()}
		change(&o)
		if _, err := client.New(o); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	long := client.Machine{Name: strings.Repeat("ü", 200), Platform: "Plan 9\xff", AppVersion: "1"}
	l := r.issue()
	ok(t)(r.client(func(o *client.Options) { o.Machine, o.URL = long, o.URL+"/" }).Activate(t.Context(), l.Code))
	machines, err := r.db.Activations(t.Context(), l.ID)
	if want := (store.Machine{Name: strings.Repeat("ü", 128), Platform: "Plan 9?", AppVersion: "1"}); err != nil || machines[0].Machine != want {
		t.Errorf("%+v, %v", machines, err)
	}
}
