package daemon

import (
	"os"
	"testing"

	"github.com/keypost/keypost/ingest/mailbox/mailboxtest"
	"github.com/keypost/keypost/store/storetest"
)

func TestMain(m *testing.M) {
	code := storetest.Main(m)
	mailboxtest.Stop()
	os.Exit(code)
}
