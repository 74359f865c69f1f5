package main

import (
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/ingest"
)

// Each operation that an explanation speaks of is a command.
func TestAdviceIsOfCommands(t *testing.T) {
	s := newSite(t)
	for _, reason := range []string{
		ingest.HeldUnknownProduct, ingest.HeldPoolEmpty, ingest.HeldIncomplete, ingest.HeldSameName, ingest.HeldUpgradeUsed, ingest.HeldGenerator,
	} {
		for _, op := range ingest.Explain(reason).Operations {
			s.must(0, append(strings.Split(op.Name, "."), "--help")...)
		}
	}
}

// Each operation that an error of package admin may name is a command.
func TestOperationsAreCommands(t *testing.T) {
	s := newSite(t)
	for _, operation := range admin.Operations() {
		s.must(0, append(strings.Fields(operation), "--help")...)
	}
}
