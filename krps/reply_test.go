package krps

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

func order(status, name string, codes ...string) store.Order {
	o := store.Order{ID: "id", Status: status, Name: name, Quantity: max(1, len(codes)), Prose: "Please wait, we look at it."}
	for _, c := range codes {
		o.Licenses = append(o.Licenses, store.License{Code: c})
	}
	return o
}

func TestReplyToTheLetter(t *testing.T) {
	for _, c := range []struct {
		name string
		o    store.Order
		want string
	}{
		{"issued", order(store.Issued, "Fred", "A-1", "A-2"), "kagiRemotePostStatus=GOOD, message=Order accepted.\r\n\r\n" +
			"userName=Fred, regNumber=A-1\r\n\r\nuserName=Fred, regNumber=A-2\r\n\r\n"},
		{"held", order(store.Held, "Fred"), "kagiRemotePostStatus=GOOD, message=Order received.\r\n\r\n" +
			"userName=Fred, regNumber=\"Please wait, we look at it.\"\r\n\r\n"},
		{"rejected", order(store.Rejected, ""), "kagiRemotePostStatus=GOOD, message=Order received.\r\n\r\n" +
			"userName=, regNumber=\"Please wait, we look at it.\"\r\n\r\n"},
		{"reserved", order(store.Reserved, "Fred"), "kagiRemotePostStatus=BAD, message=The order is still being worked on. Post it again.\r\n\r\n"},
	} {
		if diff := cmp.Diff(c.want, string(Reply(c.o))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	// KRPS 2.0, Table 2, ExpectUserAndRegcode: No.
	for status, want := range map[string]string{
		store.Issued: "kagiRemotePostStatus=GOOD, message=Order accepted.\r\n\r\n",
		store.Held:   "kagiRemotePostStatus=GOOD, message=Order received.\r\n\r\n",
	} {
		o := order(status, "Fred", "A-1")
		o.StatusOnly = true
		if got := string(Reply(o)); got != want {
			t.Errorf("%s, status only: %q", status, got)
		}
	}
	if got, want := string(ReplyBad("a, b")), "kagiRemotePostStatus=BAD, message=\"a, b\"\r\n\r\n"; got != want {
		t.Errorf("BAD = %q", got)
	}
}

func TestCSV(t *testing.T) {
	for v, want := range map[string]string{
		"plain":                   "plain",
		"a=b; c - d":              "a=b; c - d",
		"a,b":                     `"a,b"`,
		`say "hi"`:                `"say ""hi"""`,
		"two\nlines":              "\"two\nlines\"",
		"two\rlines":              "\"two\rlines\"",
		"a\r\nb":                  "\"a\r\nb\"",
		"a\r\n\r\nb":              "\"a\r\nb\"",
		"a\r\n\r\n\r\n\r\n\r\nb":  "\"a\r\nb\"",
		" outer":                  `" outer"`,
		"outer\t":                 "\"outer\t\"",
		"in\tner":                 "in\tner",
		"":                        "",
		"nul\x00 esc\x1b del\x7f": "nul? esc? del?",
		"ø":                       "??",
	} {
		if got := csv(v, false); got != want {
			t.Errorf("csv(%q) = %q, want %q", v, got, want)
		}
	}
	if got := csv("ø\x00", true); got != "ø?" {
		t.Errorf("8 bits: %q", got)
	}
	if got := csv("\xf8", true); got != "?" {
		t.Errorf("8 bits that are not UTF-8: %q", got)
	}
}

func TestLineModeCarries250Codes(t *testing.T) {
	for _, n := range []int{1, 2, 250} {
		var codes []string
		for i := range n {
			codes = append(codes, fmt.Sprintf("CODE-%d", i))
		}
		a, err := ParseReply(Reply(order(store.Issued, "A, \"B\"\r\n\r\nC", codes...)))
		if err != nil || !a.Good || len(a.Lines) != n {
			t.Fatalf("%d codes: %d lines, %v", n, len(a.Lines), err)
		}
		for i, l := range a.Lines {
			if l != (Line{"A, \"B\"\r\nC", codes[i]}) {
				t.Fatalf("line %d = %+v", i, l)
			}
		}
	}
}

// Whatever the name and the code: the answer is read back as it was meant.
func FuzzReply(f *testing.F) {
	f.Add("Fred", "CODE", false)
	f.Add("a\r\n\r\nregNumber=x", `"`, true)
	f.Fuzz(func(t *testing.T, name, code string, eightBit bool) {
		o := order(store.Issued, name, code)
		o.EightBit = eightBit
		a, err := ParseReply(Reply(o))
		if err != nil || len(a.Lines) != 1 {
			t.Fatalf("%d lines, %v", len(a.Lines), err)
		}
		want := func(v string) string {
			v = plain(v, eightBit)
			for strings.Contains(v, "\r\n\r\n") {
				v = strings.ReplaceAll(v, "\r\n\r\n", "\r\n")
			}
			return v
		}
		if got := a.Lines[0]; got != (Line{want(name), want(code)}) {
			t.Errorf("%q, %q is read as %+v", name, code, got)
		}
	})
}

// What other receivers answer is read as Kagi reads it.
func TestParseReply(t *testing.T) {
	for body, want := range map[string]Answer{
		"KagiRemotePostStatus=GOOD\r\n\r\nusername=a@b, regNumber=x, quantity=2\r\n\r\n": {Good: true, Lines: []Line{{"a@b", "x"}}},
		"kagiRemotePostStatus=BAD, message=disk full. \r\n\r\n":                          {Message: "disk full. "},
		"kagiRemotePostStatus=GOOD, message=\"\"\r\n\r\n":                                {Good: true},
	} {
		if got, err := ParseReply([]byte(body)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q = %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "<html>", "message=GOOD\r\n\r\n", "kagiRemotePostStatus=\"GOOD", "kagiRemotePostStatus=MAYBE"} {
		if got, err := ParseReply([]byte(body)); err == nil {
			t.Errorf("%q = %+v", body, got)
		}
	}
}
