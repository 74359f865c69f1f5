package main

import (
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"

	"github.com/keypost/keypost/delivery/deliverytest"
	"github.com/keypost/keypost/store"
)

// report is a mail server's word on a mail of ours: RFC 3464.
const report = `From: Mail Delivery Subsystem <MAILER-DAEMON@example.com>
To: shop@example.com
Subject: Returned mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

It is about the mail below.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.example.com

Final-Recipient: rfc822;ada@example.org
Action: ACTION
Status: STATUS
Diagnostic-Code: smtp; STATUS no such person

--b
Content-Type: text/rfc822-headers

From: shop@example.com
Message-ID: <NOTICE@example.com>
Subject: Your activation code

--b--
`

// A report in a real mailbox that a mail to a buyer did not arrive, and never
// will, makes its notice dead; one of a delay does nothing.
func TestBounceInMailbox(t *testing.T) { eachDatabase(t, testBounceInMailbox) }

func testBounceInMailbox(t *testing.T, s *site) {
	exim := deliverytest.SMTP(t)
	m := newMailed(t, s, "")
	s.add(mailConfigOf(exim, ""))
	s.serve()
	m.deliver(sale(1).Text(), true)
	exim.Await(t, "ada@example.org", 1)
	codes := func() (id string, list []admin.Notice) {
		t.Helper()
		s.read(0, &list, "outbox", "list", "--kind", store.NoticeCodes)
		return list[len(list)-1].ID, list
	}
	first, _ := codes()
	// Of each report another sale tells that it was judged: they come in order.
	for i, r := range []struct{ action, status, want string }{{"delayed", "4.4.7", store.NoticeSent}, {"failed", "5.1.1", store.NoticeDead}} {
		text := strings.NewReplacer("ACTION", r.action, "STATUS", r.status, "NOTICE", first, "\n", "\r\n").Replace(report)
		m.deliver(text, false)
		m.deliver(sale(i+2).Text(), true)
		m.filed("Done", i+2)
		_, list := codes()
		for _, n := range list {
			if n.ID == first && n.Status != r.want {
				t.Errorf("%s: %+v; want it %s", r.action, n, r.want)
			}
			if n.ID != first && n.Status == store.NoticeDead {
				t.Errorf("%s: another mail is dead: %+v", r.action, n)
			}
		}
	}
	if out := s.must(0, "outbox", "list", "--status", "dead"); !strings.Contains(out, first) || !strings.Contains(out, "it came back: 5.1.1 no such person") {
		t.Errorf("%s", out)
	}
	var bounces int
	for _, row := range mailsOf(s, store.MailUnknown) {
		if deref(row.Reason) == "bounce" {
			bounces++
		}
	}
	if bounces != 1 {
		t.Errorf("%d bounces", bounces)
	}
	m.filed("INBOX", 2) // the vendor reads them
}
