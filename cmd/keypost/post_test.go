package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/krps"
)

func TestPost(t *testing.T) {
	s := newSite(t)
	s.serve()
	url := s.url + "/in/kagi"
	s.must(1, "post", "krps", url, "--secret", "wrong")
	s.must(1, "post", "krps", url, "--digest", "md5")
	s.must(2, "post", "krps", url, "--digest", "crc")
	s.must(2, "post", "krps", "127.0.0.1/in/kagi")
	s.must(2, "post", "krps", url, "--set", "Name=x")
	s.must(2, "post", "krps", url, "--basic", "nocolon")
	s.must(2, "post", "krps", url, "--codes", "--json")
	s.must(1, "post", "krps", url, "--file", "")
	s.must(1, "post", "krps", url, "--transaction", "") // posted as it is: BAD
	s.must(1, "post", "krps", s.url+"/in/nothing")
	s.must(1, "post", "krps", "http://127.0.0.1:1/in/kagi")
	s.must(0, "post", "krps", url, "--set", "ACG:Request=Information")
	s.must(3, "order", "show", "kagi", "CH0123456789") // information took nothing in
	if out := s.must(1, "post", "krps", url, "--set", "ACG:InputVersion=0300"); !strings.Contains(out, "BAD") || !strings.Contains(out, "ACG:InputVersion") {
		t.Errorf("an old version: %s", out)
	}
	var answer struct {
		Status      string
		OrderStatus *string `json:"order_status"`
		Lines       []struct {
			RegNumber string `json:"reg_number"`
		}
	}
	s.read(4, &answer, "post", "krps", url, "--quantity", "6")
	if answer.Status != "GOOD" || *answer.OrderStatus != "held" || len(answer.Lines) != 1 || answer.Lines[0].RegNumber != "Wait, please." {
		t.Errorf("held: %+v", answer)
	}
	// A stored body as it is.
	file := filepath.Join(t.TempDir(), "post.txt")
	body := "ACG%3APassword=x&ACG%3ATransactionID=T\n"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must(2, "post", "krps", url, "--file", file, "--quantity", "2")
	s.must(1, "post", "krps", url, "--codes", "--set", "ACG:Request=Information")
	s.must(0, "order", "reject", "kagi", "CH0123456789")
	s.must(1, "post", "krps", url, "--codes", "--quantity", "6")
	if out := s.must(1, "post", "krps", url, "--file", file); !strings.Contains(out, "is missing") {
		t.Errorf("a stored body: %s", out)
	}
}

func TestParse(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "post.txt")
	parse := func(code int, body string) (p admin.ParsedPost) {
		t.Helper()
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		s.read(code, &p, "parse", "krps", file)
		return p
	}
	conf, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	body := func(c postKRPS) string {
		b, _, err := c.body(&app{Context: t.Context(), file: s.config}, "kagi")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	p := parse(0, body(postKRPS{})+"\n")
	if p.Verdict != "issued" || *p.Product != "demo" || p.Name != "Fred Fragola" || len(p.Seeds) != 3 || p.Fields["ACG:Password"] != "***" {
		t.Errorf("good = %+v", p)
	}
	if p := parse(0, body(postKRPS{Play: krps.Play{Product: new("Other_Thing")}})); p.Verdict != "held" || *p.Reason != "unknown_product" || p.Product != nil {
		t.Errorf("held = %+v", p)
	}
	if p := parse(0, body(postKRPS{Play: krps.Play{Set: map[string]string{"ACG:Request": "Information"}}})); p.Verdict != "information" {
		t.Errorf("information = %+v", p)
	}
	if p := parse(1, body(postKRPS{Play: krps.Play{Secret: new("wrong")}})); p.Verdict != "bad" || !strings.Contains(*p.Reason, "does not match") {
		t.Errorf("bad = %+v", p)
	}
	if p := parse(1, "%"); p.Verdict != "bad" {
		t.Errorf("no form = %+v", p)
	}
	if err := os.WriteFile(file, []byte(body(postKRPS{Play: krps.Play{Name: new("\x1b[31mRed\r\n\r\nName")}})), 0o600); err != nil {
		t.Fatal(err)
	}
	out := s.must(0, "parse", "krps", file)
	for _, want := range []string{"ACG:TransactionID", "CH0123456789", "verdict", "seed mykey", "OEM seed Clear-Text"} {
		if !strings.Contains(out, want) {
			t.Errorf("parse lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") || strings.Contains(out, "geheim") {
		t.Errorf("parse prints what it must not:\n%q", out)
	}
	s.must(1, "parse", "krps", file+".missing")
	s.must(3, "parse", "krps", file, "--channel", "nothing")
	if _, err := os.Stat(strings.TrimPrefix(conf.Database.URL, "sqlite:")); err == nil {
		t.Error("parse made a database")
	}
}
