package krps

import (
	"fmt"
	"strings"

	"github.com/keypost/keypost/store"
)

// ContentType of every answer (KRPS 2.0, "Sample output").
const ContentType = "text/text"

// Reply is the answer to an order's post, and to all its duplicates: it comes
// from the stored order alone.
func Reply(o store.Order) []byte {
	switch o.Status {
	case store.Issued:
		b := status("GOOD", "Order accepted.")
		if o.StatusOnly { // KRPS 2.0, Table 2, ExpectUserAndRegcode: No
			return b
		}
		for _, l := range o.Licenses {
			b = code(b, o, l.Code)
		}
		return b
	case store.Held, store.Rejected:
		b := status("GOOD", "Order received.")
		if o.StatusOnly {
			return b
		}
		return code(b, o, o.Prose) // one line, whatever the quantity
	}
	return ReplyBad("The order is still being worked on. Post it again.")
}

// ReplyInformation answers a post that asks for information: no codes.
func ReplyInformation() []byte { return status("GOOD", "Keypost is online and the password is right.") }

// ReplyBad asks Kagi to try again.
func ReplyBad(message string) []byte { return status("BAD", message) }

// KRPS 2.0, "Return Definition". Every line ends in CR LF CR LF, as in its
// samples.
func status(word, message string) []byte {
	return fmt.Appendf(nil, "kagiRemotePostStatus=%s, message=%s\r\n\r\n", word, csv(message, false))
}

func code(b []byte, o store.Order, regNumber string) []byte {
	return fmt.Appendf(b, "userName=%s, regNumber=%s\r\n\r\n", csv(o.Name, o.EightBit), csv(regNumber, o.EightBit))
}

// csv makes a value safe for an answer (KRPS 2.0, "CSV Safe Definition" 1-5).
func csv(v string, eightBit bool) string {
	v = plain(v, eightBit) // 1: which bytes
	// 5: no two CR LF in a row, they end the line.
	for strings.Contains(v, "\r\n\r\n") {
		v = strings.ReplaceAll(v, "\r\n\r\n", "\r\n")
	}
	// 2, 3: a comma needs quotes; so do, for readers that trim and split, line
	// ends and outer space. 4: a quote is doubled.
	if strings.ContainsAny(v, ",\"\r\n") || v != strings.TrimSpace(v) {
		return `"` + strings.ReplaceAll(v, `"`, `""`) + `"`
	}
	return v
}

// Carries tells whether an answer can carry a value as it is.
func Carries(v string) bool { return plain(v, false) == v && !strings.Contains(v, "\r\n\r\n") }
