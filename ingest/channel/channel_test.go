package channel

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "90s": 90 * time.Second, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "90d": 90 * 24 * time.Hour, "1.5d": 36 * time.Hour,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.Duration != want {
			t.Errorf("%q: %v, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "soon", "-1h", "-1d", "1w", "d", "60", "0", "999999999999d", "200000d"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil || text == "200000d" && !strings.Contains(err.Error(), "too long") {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestSharedSecretWorry(t *testing.T) {
	for secret, weak := range map[string]bool{
		"x": true, "4f7w2kq9zc8m1x5": true, "aAaAaAaAaAaAaAaA": true, "4f7w2kq9zc8m1x5t": false, "Easter bunny and friend": false,
	} {
		k := SharedSecret{Secrets: []string{"4f7w2kq9zc8m1x5t", secret}}
		if got := k.Worry(); (got != "") != weak {
			t.Errorf("%q: %q", secret, got)
		}
	}
}

// A call is admitted by the realm's password, from this machine, or by HTTPS, as
// the channel wants.
func TestGuardAdmit(t *testing.T) {
	for _, c := range []struct {
		name     string
		guard    Guard
		from     string
		proto    string
		password string
		status   int // 0: admitted
	}{
		{"open", Guard{}, "192.0.2.1:5", "", "", 0},
		{"a realm, no password", Guard{Basic: "u:p"}, "127.0.0.1:5", "", "", 401},
		{"a realm, a wrong password", Guard{Basic: "u:p"}, "127.0.0.1:5", "", "x", 401},
		{"a realm, its password", Guard{Basic: "u:p"}, "192.0.2.1:5", "", "p", 0},
		{"this machine alone, another one", Guard{LocalOnly: "Set a secret."}, "192.0.2.1:5", "", "", 403},
		{"this machine alone", Guard{LocalOnly: "Set a secret."}, "127.0.0.1:5", "", "", 0},
		{"this machine alone, by a proxy on it", Guard{LocalOnly: "Set a secret."}, "127.0.0.1:5", "http", "", 403},
		{"HTTPS alone, plain", Guard{HTTPSOnly: true}, "192.0.2.1:5", "", "", 403},
		{"HTTPS alone, by a proxy", Guard{HTTPSOnly: true}, "192.0.2.1:5", "https", "", 0},
	} {
		r := httptest.NewRequest("POST", "/in/kagi", nil)
		r.RemoteAddr = c.from
		if c.proto != "" {
			r.Header.Set("X-Forwarded-Proto", c.proto)
		}
		if c.password != "" {
			r.SetBasicAuth("u", c.password)
		}
		w := httptest.NewRecorder()
		status, why, ok := c.guard.Admit(w, r)
		if status != c.status || ok != (c.status == 0) || (why != "") != (c.status != 0) || (w.Header().Get("WWW-Authenticate") != "") != (c.status == 401) {
			t.Errorf("%s: %d %q %v, want %d", c.name, status, why, ok, c.status)
		}
	}
}

func TestNames(t *testing.T) {
	if SecretPath("kagi") || !SecretPath(strings.Repeat("x", 24)) || Label("kagi-3f9a8c7b6d5e4f3a2b1c0d") != "kagi…" || Label("kagi") != "kagi" {
		t.Error("a name of 24 letters may be a secret, and shorter ones are none")
	}
	for name, bad := range map[string]bool{"kagi": false, "manual": true, "import": true, "a b": true, "": true, "-x": true} {
		if (BadStore(name) != "") != bad {
			t.Errorf("store %q: %q", name, BadStore(name))
		}
	}
}
