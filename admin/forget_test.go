package admin

import (
	"encoding/base64"
	"strings"
	"testing"
)

// What was refused names somebody however it is written.
func TestNaming(t *testing.T) {
	coded := base64.StdEncoding.EncodeToString([]byte("Email: Ada.Private@example.com\r\n"))
	inBase64 := "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" + coded + "\r\n"
	names := naming(customer{who: " ada.private@EXAMPLE.com "}.addresses())
	for raw, want := range map[string]bool{
		"": false,
		`{"Name":"Ada \u003cada.private@example.com\u003e"}`:             true,
		"mail of Ada.Private@example.com":                                true,
		"ACG%3APurchaserEmail=ada.private%40EXAMPLE.com&x":               true,
		"Email: bob@example.com":                                         false,
		"To: =?utf-8?q?ada=2Eprivate=40example=2Ecom?=\r\n\r\nHello\r\n": true,
		"Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nEmail: ada.priv=\r\nate=40example.com\r\n": true,
		"<ada.private@example.com>":                           true,
		"ada.private@example.com":                             true,
		"See ada.private@example.com.":                        true,
		"To=%3Cada.private%40example.com%3E":                  true,
		"ACG%3Aada.private@example.com":                       true,
		`{"Seeds":["to\nada.private@example.com"]}`:           true,
		"Email: not.ada.private@example.com":                  false,
		"Email=dada.private%40example.com&x":                  false,
		"xada.private@example.com":                            false,
		"nada.private@example.com":                            false,
		"ada.private@example.com.au":                          false,
		"ada.private@example.community":                       false,
		"ada.private@example.com.au, Ada.Private@example.com": true,
		inBase64: true,
		"Subject: fw\r\nContent-Type: message/rfc822\r\n\r\n" + inBase64:                                  true,
		strings.Replace(inBase64, coded, base64.StdEncoding.EncodeToString([]byte("bob@example.com")), 1): false,
	} {
		if got := names([]byte(raw)); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}
