package delivery

import (
	"encoding/base64"
	"strings"
	"testing"
)

const bounceID = "01M7YZ14FT8V61BK3914Y4YK9C"

// bounce is one as RFC 3464 shows it.
const bounce = `From: Mail Delivery Subsystem <MAILER-DAEMON@example.com>
To: shop@example.com
Subject: Returned mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
	boundary="RAA14128.773615765/example.com"

--RAA14128.773615765/example.com

The original message was received at Sat, 2 Jul 1994 17:10:28 -0400.

--RAA14128.773615765/example.com
content-type: message/delivery-status

Reporting-MTA: dns; cs.example.com

Original-Recipient: rfc822;ada@example.com
Final-Recipient: rfc822;ada@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <ada@example.com>... User
	unknown

--RAA14128.773615765/example.com
content-type: message/rfc822

From: shop@example.com
Message-ID: <01M7YZ14FT8V61BK3914Y4YK9C@example.com>
Subject: Your code

CODE
--RAA14128.773615765/example.com--
`

func TestReadBounce(t *testing.T) {
	const why = "it came back: 550 5.1.1 <a…@example.com>... User unknown"
	replace := func(pairs ...string) string {
		changed := strings.NewReplacer(pairs...).Replace(bounce)
		if changed == bounce {
			t.Fatalf("%q changes nothing", pairs)
		}
		return changed
	}
	status, _, _ := strings.Cut(bounce[strings.Index(bounce, "Reporting-MTA"):], "\n--RAA")
	for name, raw := range map[string]string{
		"as it is":          bounce,
		"CRLF":              strings.ReplaceAll(bounce, "\n", "\r\n"),
		"header alone":      replace("message/rfc822", "text/rfc822-headers", "\n\nCODE", ""),
		"cut off":           bounce[:strings.Index(bounce, "Subject: Your code")],
		"base64":            strings.Replace(replace(status, base64.StdEncoding.EncodeToString([]byte(status))), "content-type: message/delivery-status", "Content-Type: Message/Delivery-Status\nContent-Transfer-Encoding: BASE64", 1),
		"internationalised": replace("message/delivery-status", "message/global-delivery-status", "message/rfc822", "message/global"),
		"two recipients":    replace("Original-Recipient", "Final-Recipient: rfc822;b@example.com\nAction: delivered\nStatus: 2.0.0\n\nOriginal-Recipient"),
		"a comment":         replace("Status: 5.1.1", "Status: 5.1.1 (no such user)", "Action: failed", "action: Failed (permanently)"),
	} {
		if id, got, ok := ReadBounce([]byte(raw)); id != bounceID || got != why || !ok {
			t.Errorf("%s: %q, %q, %v", name, id, got, ok)
		}
	}
	for name, raw := range map[string]string{
		"nothing":              "",
		"no mail":              "hello",
		"delayed":              replace("Action: failed\nStatus: 5.1.1", "Action: delayed\nStatus: 4.4.7"),
		"failed for a while":   replace("Status: 5.1.1", "Status: 4.4.7"),
		"a receipt":            replace("report-type=delivery-status", "report-type=disposition-notification"),
		"no report":            replace("multipart/report", "multipart/mixed"),
		"another's mail":       replace(bounceID, "CAF=xyz"),
		"no Message-ID":        replace("Message-ID", "X-ID"),
		"no original":          replace("message/rfc822", "text/plain"),
		"no status":            replace("message/delivery-status", "text/plain"),
		"no boundary":          replace("boundary=", "border="),
		"an id that is no one": replace("<01M7YZ14FT8V61BK3914Y4YK9C@", "<01M7YZ14FT8V61BK3914Y4YK9U@"),
	} {
		if id, why, ok := ReadBounce([]byte(raw)); ok {
			t.Errorf("%s: %q, %q", name, id, why)
		}
	}
}

// Whatever comes as a mail, reading it ends, and tells nothing that acts.
func FuzzReadBounce(f *testing.F) {
	f.Add([]byte(bounce))
	f.Add([]byte(strings.ReplaceAll(bounce, "\n", "\r\n")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		id, why, ok := ReadBounce(raw)
		if ok && (len(id) != 26 || why == "" || len([]rune(why)) > maxWhy+len("it came back: ") || oneLine(why) != why) {
			t.Errorf("%q, %q", id, why)
		}
	})
}
