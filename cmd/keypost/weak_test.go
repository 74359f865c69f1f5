package main

import (
	"strings"
	"testing"
)

// What is weak in a channel is said by check, and in the daemon's log.
func TestWeakChannelIsReported(t *testing.T) {
	const short = "guess such a short secret. Agree on at least 16 random letters and digits"
	s := newSite(t)
	s.write(strings.Replace(siteConfig, "geheim1234567890", "x", 1))
	s.create()
	if out := s.must(0, "check"); !strings.Contains(out, "warning channel kagi: krps of kagi, SHA-512: anyone who sees one post can "+short) {
		t.Errorf("check:\n%s", out)
	}
	stop := s.serve()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if log := s.log.String(); !strings.Contains(log, short) {
		t.Errorf("the daemon's log:\n%s", log)
	}
}
