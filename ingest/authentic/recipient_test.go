package authentic

import (
	"fmt"
	"strings"
	"testing"
)

func TestRecipients(t *testing.T) {
	z := storeZone()
	to := func(value string) string { return hand(replaced(order, "Shop <shop@example.com>", value), "") }
	for _, value := range []string{
		"shop@example.com", "SHOP@Example.COM", `"Shop" <shop@example.com>`, `"shop"@example.com`, "other@example.net, shop@example.com",
		"Vendors: other@example.net, shop@example.com;", "=?utf-8?q?Sh=C3=B6p?= <shop@example.com>", "=?x-unknown?q?Sh=F6p?= <shop@example.com>",
		"\r\n Shop (sales)\r\n <shop@example.com>", "Shop <shop@example.com> (x)", `"a, b" <shop@example.com>`,
	} {
		good(t, here(), to(value), z)
	}
	for _, value := range []string{
		"", "undisclosed-recipients:;", "shop", "shop@example.com.", "ashop@example.com", "shop@mail.example.com", "shop@example.co",
		"=?utf-8?q?shop=40example.com?= <x@example.net>", "shop@example.com@example.net", `"shop@example.com"@example.net`, "shop @example.org", "<shop@example.com", "shop+a@example.com",
	} {
		bad(t, here(), to(value), z, NotOurs)
	}

	// IDN: both ways of writing a domain are one.
	p := here()
	p.Recipients = []string{"Shop@Bücher.example"}
	good(t, p, to("shop@xn--bcher-kva.example"), z)
	good(t, p, to("shop@bücher.example"), z)
	p.Recipients = []string{"shop@xn--bcher-kva.example"}
	good(t, p, to("shop@BÜCHER.example"), z)
	bad(t, p, to("shop@bucher.example"), z, NotOurs)

	// Cc counts when it is signed, once.
	cc := replaced(order, "To: Shop <shop@example.com>\r\n", "To: a@example.net\r\nCc: shop@example.com\r\n")
	good(t, here(), handSigned(cc, plainTags, append(signedFields, "Cc"), rsaKey()), z)
	bad(t, here(), "Cc: x@example.net\r\n"+handSigned(cc, plainTags, append(signedFields, "Cc"), rsaKey()), z, NotOurs)
	bad(t, here(), hand(cc, ""), z, NotOurs)
	bad(t, here(), hand(replaced(order, "To: Shop <shop@example.com>\r\n", ""), ""), z, NotOurs)
}

func TestMerchant(t *testing.T) {
	z := storeZone()
	marked := func(mark string) Policy {
		p := here()
		p.Recipients, p.Merchant = nil, mark
		return p
	}
	good(t, marked("Merchant: Example Software (#4711)"), hand(order, ""), z) // over a soft line break
	good(t, marked("Example  Software"), hand(order, ""), z)
	good(t, marked("#4711"), hand(order, ""), z)
	bad(t, marked("Example Soft"), hand(order, ""), z, NotOurs) // a longer name's beginning
	bad(t, marked("xample Software"), hand(order, ""), z, NotOurs)
	bad(t, marked("example software"), hand(order, ""), z, NotOurs)
	bad(t, marked("You sold"), hand(order, ""), z, NotOurs) // in the header
	bad(t, marked(" "), hand(order, ""), z, NotOurs)

	for text, want := range map[string]bool{
		"(Seller 47)": true, "Seller 47.": true, "id:Seller 47, thanks": true, "Seller 47 - thanks": true, "x - Seller 47": true, "Seller 471 or Seller 47": true,
		"Seller 471": false, "Seller 47-1": false, "Seller 47.1": false, "Seller 47_a": false, "re-Seller 47": false, "x@Seller 47": false, "a.Seller 47": false, "éSeller 47": false, "e\u0301Seller 47": false,
	} {
		if hasWords(text, "Seller 47") != want {
			t.Errorf("%q has the mark: %v, want %v", text, !want, want)
		}
	}
	for text, want := range map[string]bool{
		"to me@vendor.co.": true, "<me@vendor.co>": true, "me@vendor.com": false, "me@vendor.co.uk": false, "x-me@vendor.co": false, "x.me@vendor.co": false, "x+me@vendor.co": false, "xme@vendor.co": false,
	} {
		if hasWords(text, "me@vendor.co") != want {
			t.Errorf("%q has the address: %v, want %v", text, !want, want)
		}
	}

	body := func(kind, body string) string {
		head, _, _ := strings.Cut(order, "Content-Type:")
		return hand(head+"Content-Type: "+kind+"\r\n"+body, "")
	}
	const mark = "Merchant: Käufer & Söhne"
	good(t, marked(mark), body("text/plain; charset=utf-8", "\r\n"+mark), z)
	good(t, marked(mark), body("text/plain; charset=iso-8859-1", "Content-Transfer-Encoding: quoted-printable\r\n\r\nMerchant: K=E4ufer &\r\n S=F6hne.\r\n"), z)
	good(t, marked(mark), body("text/html; charset=utf-8", "Content-Transfer-Encoding: base64\r\n\r\nPHA+TWVyY2hhbnQ6PGI+S8OkdWZlcjwvYj4gJmFtcDsgU8O2aG5lPC9wPg==\r\n"), z)
	bad(t, marked("comment 4711"), body("text/html", "\r\n<!-- comment 4711 --><style>comment 4711</style>"), z, NotOurs)
	bad(t, marked(mark), body("application/octet-stream", "\r\n"+mark), z, NotOurs)
	bad(t, marked(mark), body("nonsense", "\r\n"+mark), z, NotOurs)

	parts := func(part string) string {
		return body("multipart/mixed; boundary=b", "\r\npreamble "+mark+"\r\n--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\n"+part+"\r\n--b--\r\nepilogue "+mark+"\r\n")
	}
	good(t, marked(mark), parts("Content-Type: text/plain; charset=utf-8\r\n\r\n"+mark), z)
	good(t, marked(mark), parts("Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n"+mark+"\r\n--c--"), z)
	bad(t, marked(mark), parts("Content-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\n"+mark), z, NotOurs)
	bad(t, marked(mark), parts("Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n"+mark), z, NotOurs)
	bad(t, marked(mark), parts("Content-Type: text/plain\r\n\r\nnothing"), z, NotOurs)

	// Boxes in boxes, and many of them.
	nested := func(depth int) string {
		deep := "Content-Type: text/plain; charset=utf-8\r\n\r\n" + mark
		for i := range depth {
			deep = fmt.Sprintf("Content-Type: multipart/mixed; boundary=x%dx\r\n\r\n--x%dx\r\n%s", i, i, deep)
		}
		return parts(deep)
	}
	good(t, marked(mark), nested(maxDepth-1), z)
	bad(t, marked(mark), nested(maxDepth), z, NotOurs)
	good(t, marked(mark), parts(strings.Repeat("\r\nx\r\n--b\r\n", maxParts-3)+"\r\n"+mark), z)
	bad(t, marked(mark), parts(strings.Repeat("\r\nx\r\n--b\r\n", maxParts)+"\r\n"+mark), z, NotOurs)
}

func TestValidate(t *testing.T) {
	if err := both().Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Policy){
		"trust is empty":         func(p *Policy) { p.Trust = nil },
		"\"https://store\"":      func(p *Policy) { p.Trust[0].DKIM = "https://store" },
		"dkim = \"\"":            func(p *Policy) { p.Trust[0].DKIM = "" },
		"dkim = \"com\"":         func(p *Policy) { p.Trust[0].DKIM = "com" },
		"authserv_id = \"a; b\"": func(p *Policy) { p.Trust[0].AuthservID = "a; b" },
		"authserv_id = \" mx\"":  func(p *Policy) { p.Trust[0].AuthservID = " mx" },
		"both empty":             func(p *Policy) { p.Recipients = nil },
		"\"Shop <s@x.example>\"": func(p *Policy) { p.Recipients[0] = "Shop <s@x.example>" },
		"shorter than 4":         func(p *Policy) { p.Merchant = "abc" },
	} {
		p := here()
		change(&p)
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
