package mailbox_test

import (
	"os"
	"testing"

	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	mailboxtest.Stop()
	os.Exit(code)
}
