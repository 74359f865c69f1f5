package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const boxed = "[[product]]\nid = \"boxed\"\ngenerator = { kind = \"pool\", file = \"codes.txt\" }\n"

// boxedSite sells codes out of a file.
func boxedSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	if err := os.WriteFile(filepath.Join(filepath.Dir(s.config), "codes.txt"), []byte("BOX-1\nBOX-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.write(siteConfig + boxed)
	return s
}

// A mistyped id of a product that was sold is reported, its customers are not
// told that their codes are unknown, and the codes of its file are not sold a
// second time under the mistyped one.
func TestMistypedProduct(t *testing.T) {
	s := boxedSite(t)
	stop := s.serve()
	s.post("--product", "boxed", "--transaction", "B1")
	code := s.post()[0]
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	typo := strings.NewReplacer(`id = "demo"`, `id = "dmeo"`, `id = "boxed"`, "id = \"bxoed\"\naliases = [\"boxed\"]")
	s.write(typo.Replace(siteConfig + boxed))
	const want = "product demo: it has 1 license but is not in the config"
	stop = s.serve()
	if !strings.Contains(s.log.String(), want) || !strings.Contains(s.log.String(), "pool=bxoed") {
		t.Errorf("serve does not report it:\n%s", s.log.String())
	}
	if out := s.must(1, "check"); !strings.Contains(out, "failed  "+want) || !strings.Contains(out, "product boxed: it has 1 license") {
		t.Errorf("check:\n%s", out)
	}
	if got := s.activate(code, "machine-1"); got != "unavailable" {
		t.Errorf("activate: %s", got)
	}
	s.must(4, "post", "krps", s.url+"/in/kagi", "--product", "boxed", "--transaction", "B2")
	if out := s.must(0, "order", "show", "kagi", "B2"); !strings.Contains(out, "pool_empty") {
		t.Errorf("order of a mistyped product:\n%s", out)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s.write(siteConfig + boxed)
	s.serve()
	s.must(0, "check")
	if got := s.activate(code, "machine-1"); got != "" {
		t.Errorf("activate after the correction: %s", got)
	}
}

// A config that is read again reports it, too, and fills no new pool.
func TestMistypedProductOnSIGHUP(t *testing.T) {
	binary := program(t)
	s := boxedSite(t)
	p := s.start(binary)
	s.url = p.url
	s.post("--product", "boxed", "--transaction", "B1")
	s.write(strings.Replace(siteConfig+boxed, `id = "boxed"`, `id = "bxoed"`, 1))
	missing := p.stderr.expect("product boxed: it has 1 license but is not in the config")
	unfilled := p.stderr.expect("pool=bxoed")
	read := p.stderr.expect("the config was read again")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	<-missing
	<-unfilled
	<-read
}
