package activation_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/activation/client"
)

// What is not Keypost's is neither a yes nor a no.
func TestPortalsAndProxies(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	const jsonType, problemType = "application/json", "application/problem+json"
	granted := `{"activation":{"id":"a"},"license":{"product":"demo","type":"","limit":0,"used":0,"expires_at":null,"test":false}}`
	for name, fault := range map[string]http.HandlerFunc{
		"a broken connection":    down,
		"a portal":               answers(200, "text/html", "<h1>Welcome to the hotel</h1>"),
		"its redirect":           answers(302, "text/html", "", "Location", "https://hotel.example.com/"),
		"a redirect within":      answers(307, jsonType, granted, "Location", "/v1/elsewhere"),
		"its JSON":               answers(200, jsonType, `{"ok":true}`),
		"no JSON":                answers(200, jsonType, "<h1>"),
		"more than JSON":         answers(200, jsonType, granted+granted),
		"no type":                answers(200, "", granted),
		"another product's":      answers(200, jsonType, strings.Replace(granted, `"demo","type":"","limit":0,"used":0`, `"other"`, 1)),
		"much":                   answers(200, jsonType, granted+strings.Repeat(" ", 64<<10)),
		"nothing":                answers(204, jsonType, ""),
		"another status":         answers(201, jsonType, granted),
		"a proxy":                answers(403, "text/html", "code_revoked"),
		"a firewall":             answers(403, jsonType, `{"code":"code_revoked"}`),
		"a gateway":              answers(404, problemType, `{"title":"no route"}`),
		"a broken problem":       answers(403, problemType, `{"code":"code_revoked"`),
		"a problem that is fine": answers(200, problemType, `{"code":"code_revoked"}`),
		"a 5xx":                  answers(502, "text/html", "Bad Gateway"),
		"a 5xx with a code":      answers(500, problemType, `{"code":"code_revoked"}`),
		"unavailable":            answers(503, problemType, `{"code":"unavailable","title":"x"}`, "Retry-After", "5"),
		"rate_limited":           answers(429, problemType, `{"code":"rate_limited","title":"x"}`, "Retry-After", "5"),
	} {
		t.Run(name, func(t *testing.T) {
			r.breaks(nil)
			c := r.client()
			before := ok(t)(c.Activate(t.Context(), l.Code))
			r.pass(11 * time.Hour)
			r.breaks(fault)
			r.called()
			got := ok(t)(c.Validate(t.Context()))
			if before.Cached = true; got != before || r.called() != "validate" {
				t.Errorf("%+v, want %+v", got, before)
			}
			fails(t, client.ErrUnreachable)(c.Activate(t.Context(), l.Code))
			fails(t, client.ErrUnreachable)(c.Activate(t.Context(), "ANOTHER-CODE"))
			if err := c.Deactivate(t.Context()); !errors.Is(err, client.ErrUnreachable) {
				t.Error(err)
			}
			ok(t)(c.Check())
		})
	}
	// An answer that looks right and is signed by nobody.
	r.breaks(nil)
	c := r.client()
	before := ok(t)(c.Activate(t.Context(), l.Code))
	for _, lease := range []string{"", `,"lease":"e30.e30.e30"`} {
		r.breaks(answers(200, jsonType, strings.TrimSuffix(granted, "}")+lease+"}"))
		fails(t, client.ErrLease)(c.Activate(t.Context(), l.Code))
		r.pass(10 * time.Hour)
		fails(t, client.ErrLease)(c.Validate(t.Context()))
		if got := ok(t)(c.Check()); got.LeaseExpiresAt != before.LeaseExpiresAt {
			t.Errorf("%+v", got)
		}
	}
}

// The seconds between a failed try and the next one.
func waited(t *testing.T, r *rig, validate func(), most time.Duration) time.Duration {
	t.Helper()
	for passed := time.Duration(0); passed <= most; passed += time.Second {
		if validate(); r.called() != "" {
			return passed
		}
		r.pass(time.Second)
	}
	t.Fatalf("no try within %v", most)
	return 0
}

func TestBackOff(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	seen := map[time.Duration]bool{}
	for range 4 {
		r.breaks(nil)
		state := &kept{}
		ok(t)(r.client(keeping(state)).Activate(t.Context(), l.Code))
		r.pass(11 * time.Hour)
		r.breaks(down)
		r.called()
		// A new start of the program each time.
		validate := func() { ok(t)(r.client(keeping(state)).Validate(t.Context())) }
		if waited(t, r, validate, 0) != 0 {
			t.Error("the first try waits")
		}
		for most := time.Minute; most <= 4*time.Minute; most *= 2 {
			seen[waited(t, r, validate, most+time.Second)] = true
		}
		// Not longer than an hour, however often it failed.
		for range 3 {
			r.pass(time.Hour)
			validate()
			if r.called() == "" {
				t.Error("no try after an hour")
			}
		}
		// An answer ends it.
		r.breaks(nil)
		r.pass(time.Hour)
		if got := ok(t)(r.client(keeping(state)).Validate(t.Context())); got.Cached {
			t.Error("no answer")
		}
	}
	if len(seen) < 6 {
		t.Errorf("12 waits are only these: %v", seen)
	}
}

// Who cannot work without an answer waits a minute at most; a cancelled try is
// none.
func TestBackOffOfTheLocked(t *testing.T) {
	r := newRig(t)
	c := r.client()
	ok(t)(c.Activate(t.Context(), r.issue().Code))
	r.breaks(down)
	r.pass(leaseTerm + 20*time.Hour)
	for range 12 {
		r.called()
		fails(t, client.ErrLeaseExpired, client.ErrUnreachable)(c.Validate(t.Context()))
		if r.called() == "" {
			t.Error("no try after a minute")
		}
		r.pass(time.Minute)
	}
	r.breaks(nil)
	ok(t)(c.Validate(t.Context()))
}

func TestRetryAfter(t *testing.T) {
	r := newRig(t)
	c := r.client()
	l := r.issue()
	for header, want := range map[string]time.Duration{"1800": 30 * time.Minute, "86400": time.Hour, "date": 40 * time.Minute} {
		r.breaks(nil)
		ok(t)(c.Activate(t.Context(), l.Code))
		r.pass(11 * time.Hour)
		if header == "date" {
			header = r.now().Add(want).Format(http.TimeFormat)
		}
		r.breaks(answers(503, "application/problem+json", `{"code":"unavailable","title":"x"}`, "Retry-After", header))
		ok(t)(c.Validate(t.Context()))
		r.called()
		r.pass(want - time.Second)
		ok(t)(c.Validate(t.Context()))
		if r.called() != "" {
			t.Errorf("%s: it does not wait", header)
		}
		r.pass(time.Second)
		ok(t)(c.Validate(t.Context()))
		if r.called() == "" {
			t.Errorf("%s: it waits longer than %v", header, want)
		}
	}
	r.breaks(answers(429, "application/problem+json", `{"code":"rate_limited","title":"x"}`, "Retry-After", "1"))
	_, err := c.Activate(t.Context(), l.Code)
	if p, is := errors.AsType[*client.Problem](err); !is || p.RetryAfter != time.Second || !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("%v", err)
	}
	for _, header := range []string{"", "-5", "soon", "1.5"} {
		r.breaks(answers(503, "text/html", "", "Retry-After", header))
		fails(t, client.ErrUnreachable)(c.Activate(t.Context(), l.Code))
	}
}

// A clock may go back by a day; further, it is not believed until the server
// has signed a new time.
func TestClock(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	c := r.client()
	ok(t)(c.Activate(t.Context(), l.Code))
	r.pass(48 * time.Hour)
	ok(t)(c.Check())
	r.breaks(down)
	r.wrong(-24 * time.Hour)
	ok(t)(c.Check())
	r.wrong(-24*time.Hour - time.Second)
	fails(t, client.ErrClock)(c.Check())
	fails(t, client.ErrClock, client.ErrUnreachable)(c.Validate(t.Context()))
	// Going back did not move what was seen.
	r.wrong(0)
	ok(t)(c.Check())
	r.wrong(-25 * time.Hour)
	fails(t, client.ErrClock)(c.Check())

	// Online, a clock that is behind does no harm; offline it is not believed.
	r.wrong(-50 * time.Hour)
	r.breaks(nil)
	r.called()
	for range 2 {
		if got := ok(t)(c.Validate(t.Context())); got.Cached || r.called() != "validate" {
			t.Errorf("%+v", got)
		}
		fails(t, client.ErrClock)(c.Check())
	}
	r.wrong(0)
	ok(t)(c.Check())

	// Ahead by mistake, offline: the way back leads over the server.
	r.breaks(down)
	r.wrong(80 * time.Hour)
	ok(t)(c.Check())
	r.wrong(0)
	fails(t, client.ErrClock)(c.Check())
	r.breaks(nil)
	r.called()
	if got := ok(t)(c.Validate(t.Context())); got.Cached || r.called() != "validate" {
		t.Errorf("%+v", got)
	}
	ok(t)(c.Check())

	// So far ahead that a new lease is over already: the seat is there, but
	// nothing that can be told from an old answer played again.
	r.wrong(1000 * time.Hour)
	fails(t, client.ErrClock, client.ErrLeaseExpired)(c.Validate(t.Context()))
	fails(t, client.ErrLeaseExpired)(c.Check())
	r.wrong(0)
	fails(t, client.ErrClock)(c.Check())
	ok(t)(c.Validate(t.Context()))
	ok(t)(c.Check())
}

// A lease that the server issued while its clock ran ahead does no harm once that
// clock is set right: the next call brings one of now, and the program runs on
// without the server.
func TestServersClockRanAhead(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 20 * time.Hour, 30 * 24 * time.Hour} {
		for name, again := range map[string]func(*client.Client) (client.License, error){
			"activate": func(c *client.Client) (client.License, error) { return c.Activate(t.Context(), "") },
			"validate": func(c *client.Client) (client.License, error) { return c.Validate(t.Context()) },
		} {
			r := newRig(t)
			c := r.client(func(o *client.Options) { o.Interval = -1 }) // it always asks
			code := r.issue().Code
			r.pass(ahead)
			r.wrong(-ahead) // the machine's clock is right
			if _, err := c.Activate(t.Context(), code); err != nil {
				t.Errorf("%s, %s: %v", name, ahead, err)
			}
			r.pass(-ahead)
			r.wrong(0)
			want := r.now().Add(leaseTerm)
			if l, err := again(c); err != nil || !l.LeaseExpiresAt.Equal(want) {
				t.Errorf("%s, %s: its lease ends at %s, want %s: %v", name, ahead, l.LeaseExpiresAt, want, err)
			}
			r.breaks(down)
			if l, err := c.Check(); err != nil || !l.LeaseExpiresAt.Equal(want) {
				t.Errorf("%s, %s: without the server: %+v, %v", name, ahead, l, err)
			}
		}
	}
	// Clocks of several daemons are never quite the same: that costs no renewal.
	r := newRig(t)
	c, code := r.client(), r.issue().Code
	r.pass(2 * time.Minute)
	first, err := c.Activate(t.Context(), code)
	if err != nil {
		t.Fatal(err)
	}
	r.pass(-2 * time.Minute)
	if l, err := c.Activate(t.Context(), code); err != nil || !l.LeaseExpiresAt.Equal(first.LeaseExpiresAt) {
		t.Errorf("%+v, %v", l, err)
	}
}

// An answer that is played again forgives nothing: its lease was seen before.
func TestReplayedAnswer(t *testing.T) {
	r := newRig(t)
	l := r.issue()
	state := &kept{}
	c := r.client(keeping(state))
	ok(t)(c.Activate(t.Context(), l.Code))
	r.pass(40 * time.Hour)
	ok(t)(c.Check())
	r.wrong(-39 * time.Hour)
	// The server has still more than half of the lease: the same one comes back.
	ok(t)(c.Activate(t.Context(), l.Code))
	fails(t, client.ErrClock)(c.Check())
}

// Without leases, the server's yes is the time to go by.
func TestClockWithoutLeases(t *testing.T) {
	r := newRig(t)
	c := r.client(bare)
	ok(t)(c.Activate(t.Context(), r.issue(ofBare).Code))
	r.wrong(-25 * time.Hour)
	fails(t, client.ErrClock)(c.Check())
	ok(t)(c.Validate(t.Context()))
	ok(t)(c.Check())
}
