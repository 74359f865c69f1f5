package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/keypost/keypost/cmd/keypost/config"
	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/store"
	"github.com/keypost/keypost/store/storetest"
)

// A screen is a terminal: what is written to it, and what it would show.
func screen(t *testing.T, write func(tty *os.File)) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		storetest.LeaveOut(t, "no terminals here: "+err.Error())
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		storetest.LeaveOut(t, "no terminals here: "+err.Error())
	}
	shown := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, master) // it ends in an error when nobody has the terminal any more
		shown <- b.String()
	}()
	write(tty)
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(<-shown, "\r\n", "\n") // as terminals have it
}

// What somebody else wrote stays as it is in a file, and does nothing to a terminal.
func TestAsIs(t *testing.T) {
	const evil = "Subject: \x1b]0;title\x07 \x1b[2J\r\nä\ta\rb\x00\u202eend \x9b31m \u009b1m\n"
	for _, at := range []int{0, 1, len("Subject: \x1b]0;title\x07 \x1b[2J\r"), len("Subject: \x1b]0;title\x07 \x1b[2J\r\n\xc3"), len(evil)} {
		var file bytes.Buffer
		got := screen(t, func(tty *os.File) {
			for _, out := range []io.Writer{&file, tty} {
				w := asIs(out)
				for _, part := range []string{evil[:at], evil[at:]} {
					if n, err := io.WriteString(w, part); n != len(part) || err != nil {
						t.Errorf("%d of %d, %v", n, len(part), err)
					}
				}
			}
		})
		if want := "Subject: \\e]0;title \\e[2J\nä\ta\\rbend ?31m 1m\n"; got != want {
			t.Errorf("cut at %d: %q, want %q", at, got, want)
		}
		if file.String() != evil {
			t.Errorf("in a file: %q", file.String())
		}
	}
}

// No command lets what buyers and strangers wrote act on a terminal.
func TestNothingActsOnATerminal(t *testing.T) {
	s := newSite(t)
	s.mkTemplates(t, "Subject: x\n\n{{.Name}}: {{range .Codes}}{{.Code}}{{end}}\n", "<p>{{.Name}}: {{range .Codes}}{{.Code}}{{end}}</p>\n")
	const evil = "A\x1b]0;x\x07\x1b[2J\u202e\u009b1mda"
	raw := []byte("Subject: " + evil + "\r\nFrom: eve@example.com\r\n\r\n" + evil + "\r\x9b2J\r\n")
	c, err := config.Load(s.config)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), c.Database.URL, store.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	mail := store.Mail{
		ID: store.NewID(), Channel: "mail", Folder: "INBOX" + evil, MessageID: evil, Content: sha256.Sum256(raw), Domain: evil, Verdict: store.MailHeld, Reason: "ambiguous", Detail: evil,
		ArrivedAt: time.Now(), Raw: raw,
	}
	if _, _, err := db.AddMail(t.Context(), mail); err != nil {
		t.Fatal(err)
	}
	got, err := ingest.New(db, c.Catalog()).Accept(t.Context(), ingest.Order{
		Channel: "kagi", Store: "kagi", Transaction: "T-1", StoreProduct: "Product_Name", Name: evil, Email: "ada@example.com", LicenseType: evil, Quantity: 1, Seeds: []string{"Keyword: x - " + evil},
		Message: store.Message{Channel: "kagi", Raw: raw},
	})
	if err != nil || len(got.Licenses) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	db.Close()
	code := got.Licenses[0].Code
	for _, args := range [][]string{
		{"mail", "show", mail.ID, "--raw"},
		{"mail", "show", mail.ID},
		{"mail", "list"},
		{"mail", "list", "--json"},
		{"order", "list"},
		{"order", "show", "kagi", "T-1"},
		{"order", "show", "kagi", "T-1", "--json"},
		{"customer", "show", "ada@example.com"},
		{"customer", "show", "ada@example.com", "--json"},
		{"license", "list"},
		{"license", "show", code},
		{"outbox", "list"},
		{"export", "csv"},
		{"mail", "preview", "demo", "kagi", "T-1"},
		{"mail", "preview", "demo", "kagi", "T-1", "--html"},
		{"mail", "digest"},
	} {
		shown := screen(t, func(tty *os.File) {
			if err := run(t.Context(), append(args, "--config", s.config), strings.NewReader(""), tty, tty); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		})
		if at := strings.IndexFunc(shown, func(r rune) bool {
			return r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar
		}); at >= 0 || shown == "" {
			t.Errorf("%v shows %q", args, shown[max(0, at-20):])
		}
	}
	if out := s.must(0, "mail", "show", mail.ID, "--raw"); out != string(raw) {
		t.Errorf("--raw into a pipe is not what came: %q", out)
	}
	if out := s.must(0, "export", "csv"); !strings.Contains(out, evil) {
		t.Errorf("the export into a pipe is changed: %q", out)
	}
}

// mkTemplates has mails to buyers made of texts.
func (s *site) mkTemplates(t *testing.T, text, html string) {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]string{"codes.txt": text, "codes.html": html} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.add(fmt.Sprintf("[mail]\nsmtp = \"127.0.0.1:1\"\ntls = \"none\"\nfrom = \"shop@example.com\"\nvendor = \"me@example.com\"\ntemplates = %q\n", folder))
}
