package delivery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

// Nothing that a buyer writes gets out of its place.
func TestInjection(t *testing.T) {
	f := &mailhost{}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	folder := t.TempDir()
	write(t, folder, "codes.txt", "Subject: For {{.Name}}, {{.Order}}{{\"\\r\\nBcc: x@example.com\"}}\n\n{{.Name}}: {{range .Codes}}{{.Code}}{{end}}\n")
	write(t, folder, "codes.html", "<p title='{{.Name}}'>{{.Name}}</p>{{range .Codes}}{{.Code}}{{end}}")
	var err error
	if p.config.Templates, err = LoadTemplates(folder, nil); err != nil {
		t.Fatal(err)
	}
	names := []string{
		"Ada\r\nBcc: victim@example.com\r\n\r\nbody", "Ada\nSubject: other", "Ada\u2028Bcc: x", "Ada\x00\x1b[31m\u202e", "'><script>alert(1)</script>", "=?utf-8?q?=0D=0ABcc:_x?=",
		"\r\n.\r\nMAIL FROM:<x@example.com>\r\n",
	}
	for i, name := range names {
		p.add(fmt.Sprint("T", i), func(n *store.NewOrder) { n.Order.Name = name })
	}
	p.config.Attach = func(context.Context, store.Order) ([]Attachment, error) {
		return []Attachment{{"Ada\"\r\nBcc: x@example.com\r\n../é.license", "text/plain", []byte("x")}}, nil
	}
	p.mail()
	if len(f.mails) != len(names) {
		t.Fatalf("%d mails of %d\n%s", len(f.mails), len(names), p.log)
	}
	for _, raw := range f.mails {
		m := open(t, raw)
		var headers []string
		for name := range m.header {
			headers = append(headers, name)
		}
		slices.Sort(headers)
		want := []string{"Auto-Submitted", "Content-Type", "Date", "From", "Message-Id", "Mime-Version", "Subject", "To"}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Errorf("%s\n%s", diff, raw)
		}
		if len(m.attachments) != 1 || strings.Contains(raw, "\nBcc: x@") || strings.ContainsAny(slices.Collect(maps.Keys(m.attachments))[0], "\r\n\"/") {
			t.Errorf("%q\n%s", m.attachments, raw)
		}
		if strings.Contains(m.html, "<script>") || strings.ContainsAny(m.subject+m.text[:len(m.text)-1], "\r\n\x00\x1b\u2028\u202e") {
			t.Errorf("%q %q %q", m.subject, m.text, m.html)
		}
	}
	f.set(func() { f.to = nil })
	for i, address := range []string{
		"ada@example.com\r\nRCPT TO:<victim@example.com>", "ada@example.com> NOTIFY=NEVER", "<ada@example.com\nBcc: x@example.com>",
		`"a b"@example.com`, `"a>\r\nRCPT TO:<x"@example.com`, "ada@[127.0.0.1]", "ada@example.com\x00", "ada", "", " ; ", "@example.com", "ada@", "a..b@example.com", "ada@exa mple.com",
		strings.Repeat("a", 65) + "@example.com",
	} {
		_, n := p.add(fmt.Sprint("A", i), func(n *store.NewOrder) { n.Order.Email = address })
		p.mail()
		if got := p.notice(n.ID); got.Status != store.NoticeDead || !strings.Contains(got.Error, "do customer.edit of [] with []") || !strings.Contains(got.Error, "outbox.retry of [\""+n.ID) {
			t.Errorf("%q: %+v", address, got)
		}
	}
	if len(f.to) > 0 {
		t.Errorf("mailed to %q", f.to)
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"ada@example.com": "ada@example.com", " ada@example.com ": "ada@example.com", "Ada <ada@example.com>": "ada@example.com",
		"ada@example.com, bob@example.com": "ada@example.com", "ada@example.com; bob@example.com": "ada@example.com",
		"Ada <ada@example.com>, Bob <bob@example.com>": "ada@example.com", "ada@example.com bob@example.com": "ada@example.com",
		"o'neil+x@sub.example.com": "o'neil+x@sub.example.com", "zoë@example.com": "zoë@example.com", "a@bücher.example": "a@bücher.example", "root@localhost": "root@localhost",
	} {
		if got, err := Address(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{"ada@example.com": "a…@example.com", "é@x": "é…@x", "nothing": "…", "": "…", "@x": "…@x"} {
		if got := mask(text); got != want {
			t.Errorf("mask(%q) = %q", text, got)
		}
	}
}

// What is taken for an address has nothing that could end it.
func FuzzAddress(f *testing.F) {
	for _, text := range []string{"ada@example.com", "Ada <ada@example.com>, b@x", "\"a b\"@x", "a@[::1]", "a@b c@d", "zoë@bücher.example"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Address(text)
		if err == nil && (len(a) > maxAddress || strings.Count(a, "@") != 1 || strings.ContainsAny(a, " <>()[]:;,\"\\") || oneLine(a) != a) {
			t.Errorf("%q gives %q", text, a)
		}
	})
}
