package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/keypost/keypost/admin"
)

// The page's checks of leases take those that the daemon signs, for their
// product, their machine and their time, and no others.
func TestDocsLease(t *testing.T) {
	s := newSite(t)
	s.serve()
	code := s.post()[0]
	var keys []admin.Key
	s.read(0, &keys, "keys", "list")
	slices.SortFunc(keys, func(a, b admin.Key) int { return strings.Compare(a.Slot, b.Slot) }) // current, next
	lease := func(machine string) (token, seat string) {
		t.Helper()
		resp, err := http.PostForm(s.url+"/v1/activate", url.Values{"product": {"demo"}, "code": {code}, "fingerprint": {machine}})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var a struct {
			Activation struct{ ID string }
			Lease      string
		}
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || a.Lease == "" {
			t.Fatalf("no lease: %+v, %v", a, err)
		}
		return a.Lease, a.Activation.ID
	}
	const mine, other = "my-first-machine", "größe-of-a-machine"
	token, seat := lease(mine)
	theirs, theirSeat := lease(other)
	b64 := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(token, ".")
	part := func(i int) string {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var says struct{ Exp int64 }
	if err := json.Unmarshal([]byte(part(1)), &says); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	var calls, want []string
	call := func(product, machine string, at int64, token, answer string) {
		calls, want = append(calls, strings.Join([]string{product, machine, fmt.Sprint(at), token}, "\t")), append(want, answer)
	}
	good := func(token, answer string) { call("demo", mine, now, token, answer) }
	good(token, seat+"|2")
	call("demo", other, now, theirs, theirSeat+"|2")
	call("demo", mine, says.Exp-1, token, seat+"|2")
	call("demo", mine, says.Exp, token, "refused")
	call("demo", mine, says.Exp+1_000_000, token, "refused")
	call("other", mine, now, token, "refused")
	call("", mine, now, token, "refused")
	call("demo", other, now, token, "refused")
	call("demo", mine+" ", now, token, "refused")
	call("demo", "", now, token, "refused")
	for i, p := range parts { // a changed byte
		for _, at := range []int{0, len(p) / 2, len(p) - 1} {
			b := []byte(p)
			b[at] = map[bool]byte{true: 'B', false: 'A'}[b[at] == 'A']
			changed := append([]string{}, parts...)
			changed[i] = string(b)
			good(strings.Join(changed, "."), "refused")
		}
	}
	// Whoever has no key of ours signs what they like, or nothing.
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	signed := func(header, claims string) string {
		text := b64([]byte(header)) + "." + b64([]byte(claims))
		return text + "." + b64(ed25519.Sign(private, []byte(text)))
	}
	none := strings.Replace(part(0), `"EdDSA"`, `"none"`, 1)
	good(signed(part(0), part(1)), "refused")
	good(b64([]byte(none))+"."+parts[1]+".", "refused")
	good(b64([]byte(none))+"."+parts[1]+"."+parts[2], "refused")
	for _, text := range []string{
		"", ".", "..", parts[0] + "." + parts[1], parts[0] + "." + parts[1] + ".", token + ".", token + "=", " " + token, token + "." + parts[2],
		parts[0] + ".." + parts[2], strings.Repeat("A", 10_000), "é.山.😀",
	} {
		good(text, "refused")
	}
	public := []string{keys[0].X, keys[1].X}
	for _, language := range []string{"python", "js"} {
		t.Run(language, func(t *testing.T) {
			check := func(keys ...string) func(calls, want []string) {
				return func(calls, want []string) {
					t.Helper()
					got := answers(t, "lease", language, calls, keys...)
					if len(got) != len(want) {
						t.Fatalf("%d answers to %d calls: %q", len(got), len(want), got)
					}
					for i := range want {
						if got[i] != want[i] {
							t.Errorf("%.200q: %s, want %s", calls[i], got[i], want[i])
						}
					}
				}
			}
			check(public...)(calls, want)
			check(public[1], public[0])(calls[:1], want[:1])
			check(public[1])(calls[:1], []string{"refused"}) // the key that signs was not shipped
			// Our own key signs other things, too: a header that is not a lease's is none.
			ours := b64(private.Public().(ed25519.PublicKey))
			at := func(token string) string { return strings.Join([]string{"demo", mine, fmt.Sprint(now), token}, "\t") }
			check(ours)([]string{
				at(signed(part(0), part(1))),
				at(signed(strings.Replace(part(0), "keypost-lease+jwt", "JWT", 1), part(1))),
				at(signed(none, part(1))),
				at(signed(strings.Replace(part(0), "{", `{"crit":["x"],`, 1), part(1))),
				at(signed(part(0), `{"aud":"demo"}`)),
				at(signed(part(0), "no JSON")),
			}, []string{seat + "|2", "refused", "refused", "refused", "refused", "refused"})
		})
	}
}
