package mailboxtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"time"
)

// An Account is a user of the server, with an INBOX.
type Account struct {
	User, Password string

	server *Server
	files  atomic.Int64
}

const (
	password    = `p"ss\ wörd`
	maxAccounts = 1000
)

func userName(n int64) string { return fmt.Sprintf("ada%d@example.com", n) }

// users is Dovecot's file of them all. It looks for changes of the file once a
// second, so it is written beforehand.
func users() []byte {
	var text []byte
	for n := range int64(maxAccounts) {
		text = fmt.Appendf(text, "%s:{PLAIN}%s\n", userName(n+1), password)
	}
	return text
}

// NewAccount makes an account with an empty INBOX.
func (s *Server) NewAccount() (*Account, error) {
	n := s.accounts.Add(1)
	if n > maxAccounts {
		return nil, fmt.Errorf("more than %d accounts", maxAccounts)
	}
	a := &Account{User: userName(n), Password: password, server: s}
	for _, dir := range []string{"", "Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"} {
		if err := errors.Join(os.Mkdir(a.path(dir), 0o700), os.Chown(a.path(dir), s.uid, s.gid)); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Account) path(name string) string {
	return filepath.Join(a.server.path("mail"), a.User, name)
}

// Deliver puts a message into INBOX, as a mail server on the machine does.
// Arrived is its INTERNALDATE.
func (a *Account) Deliver(raw []byte, arrived time.Time) error {
	name := fmt.Sprintf("%d.%09d.test", arrived.Unix(), a.files.Add(1))
	tmp := a.path("Maildir/tmp/" + name)
	return errors.Join(os.WriteFile(tmp, raw, 0o600), os.Chown(tmp, a.server.uid, a.server.gid),
		os.Chtimes(tmp, arrived, arrived), os.Rename(tmp, a.path("Maildir/new/"+name)))
}

// Stored is a message as it lies on the server's disk.
type Stored struct {
	Raw   string
	Flags string // Maildir's: S is seen, T is deleted, a-z are keywords
}

// Stored are the messages of a folder, in the order of delivery. A folder's
// levels are separated by "."; one that does not exist has none.
func (a *Account) Stored(folder string) ([]Stored, error) {
	base := "Maildir/"
	if folder != "INBOX" {
		base += "." + folder + "/"
	}
	type file struct{ name, path string }
	var files []file
	for _, dir := range []string{"new", "cur"} {
		entries, err := os.ReadDir(a.path(base + dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			files = append(files, file{e.Name(), a.path(base + dir + "/" + e.Name())})
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	var list []Stored
	for _, f := range files {
		raw, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		_, flags, _ := strings.Cut(f.name, ":2,")
		list = append(list, Stored{Raw: string(raw), Flags: flags})
	}
	return list, nil
}

// Renumber makes the server number INBOX anew: another UIDVALIDITY, and UIDs
// from 1. No one may be at the folder.
func (a *Account) Renumber() error {
	stale, err := filepath.Glob(a.path("Maildir/dovecot*"))
	if err != nil {
		return err
	}
	for _, file := range stale {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	// Dovecot makes a UIDVALIDITY of the time in seconds.
	list := fmt.Sprintf("3 V%d N1 G3085f01b7f11094c501100008c4a11c1\n", time.Now().Unix()+1000)
	return errors.Join(os.WriteFile(a.path("Maildir/dovecot-uidlist"), []byte(list), 0o600),
		os.Chown(a.path("Maildir/dovecot-uidlist"), a.server.uid, a.server.gid))
}
