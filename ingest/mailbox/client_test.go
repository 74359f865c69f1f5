package mailbox_test

import (
	"crypto/tls"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/keypost/keypost/ingest/mailbox"
)

// other is a second program at the same mailbox.
type other struct {
	t testing.TB
	c *imapclient.Client
}

func client(t testing.TB, config mailbox.Config) other {
	t.Helper()
	c, err := imapclient.DialTLS(config.Address, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: config.RootCAs}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	password, _ := config.Password()
	if err := c.Login(config.User, password).Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	return other{t, c}
}

func (o other) mark(uid imap.UID, flag imap.Flag) {
	o.t.Helper()
	if err := o.c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}, nil).Close(); err != nil {
		o.t.Fatal(err)
	}
}

// remove takes messages away for good.
func (o other) remove(uids ...imap.UID) {
	o.t.Helper()
	for _, uid := range uids {
		o.mark(uid, imap.FlagDeleted)
	}
	if err := o.c.UIDExpunge(imap.UIDSetNum(uids...)).Close(); err != nil {
		o.t.Fatal(err)
	}
}
