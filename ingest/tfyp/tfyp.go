// Package tfyp makes orders of notification mails: what a store sends its
// vendor after a sale (Kagi's is the "Thanks For Your Purchase" mail), where
// there is no call that could be answered.
//
// How such a mail is written is configuration: a [Profile] says by what it is
// known, which labels stand before which field, and how a product's line looks.
// [Open] takes a mail apart, [Profile.Read] finds the fields; both are pure, and
// neither guesses. What is missing, there twice, forwarded, or of letters that
// cannot be relied on is held with a reason, for a person. Whether a mail is
// authentic is not decided here.
//
// mime.go and text.go lead from bytes to the lines of one text; profile.go and
// pattern.go are the profile; scan.go finds, read.go judges; draft.go proposes a
// profile from a sample.
package tfyp

import (
	"slices"
	"strconv"

	"github.com/keypost/keypost/ingest"
)

// Why a mail is held: stable words, which scripts may rely on.
const (
	HeldIncomplete = ingest.HeldIncomplete // it lacks the product, the buyer, or a name of the sale
	HeldAmbiguous  = "ambiguous"           // a label, a product or a number is there twice
	HeldForwarded  = "forwarded"           // it quotes another mail
	HeldComment    = "comment"             // the buyer left comments, and the profile cannot tell where
	HeldCharset    = "charset"             // a field's letters are not known for certain
	HeldMalformed  = "malformed"           // a field's value is not of its kind
	HeldUnreadable = "unreadable"          // the mail is broken, or over a limit
)

// Explain says in a sentence why a mail is held and what to do.
func Explain(reason string) string {
	switch reason {
	case HeldIncomplete:
		return "An order needs a product, the buyer's name or e-mail, and a transaction id or a blurb's number. A refund needs the amount with its currency and the reference, if the profile has labels for them. Compare the mail with the profile, or issue the code by hand."
	case HeldAmbiguous:
		return "Something appears twice that must appear once. A buyer can type text that looks like a label, so compare the mail with the store's records."
	case HeldForwarded:
		return "The mail quotes another mail, which anyone could have changed. Forward the original as an attachment, or compare the mail with the store's records."
	case HeldComment:
		return "The buyer left comments, which can contain text that looks like a label. Say in the profile where comments begin and end (comment, comment_end), or compare the mail with the store's records."
	case HeldCharset:
		return "Some letters of a field were lost or have the wrong encoding. Ask the buyer for the name, and issue the code by hand."
	case HeldMalformed:
		return "A field has an impossible value. Compare the mail with the store's records."
	case HeldUnreadable:
		return "The mail is broken or too large to be read. Compare it with the store's records."
	}
	return ""
}

// A Field is one thing that was found in a mail.
type Field struct {
	Name  string // as in the profile: "email"; of a keyword: "keyword Computer-number"
	Value string // as it stands there, trimmed
	Line  int    // of the text that was read; 0: it is in the subject
}

// Where says in words where the field was found.
func (f Field) Where() string {
	if f.Line == 0 {
		return "subject"
	}
	return "line " + strconv.Itoa(f.Line)
}

// Value is what was found under a name, "" where nothing was.
func (r Reading) Value(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// BringsCodes tells whether a mail has the codes of what was sold with it already:
// no others are to be made.
func (r Reading) BringsCodes() bool { return len(r.Codes) > 0 && len(r.Orders) > 0 }

// Of is a reading of a mail of another store than the profile's; "": of no other.
func (r Reading) Of(store string) Reading {
	if store == "" {
		return r
	}
	r.Sale.Store, r.Orders, r.Refunds = store, slices.Clone(r.Orders), slices.Clone(r.Refunds)
	for i := range r.Orders {
		r.Orders[i].Store = store
	}
	for i := range r.Refunds {
		r.Refunds[i].Store = store
	}
	return r
}

// MaxCopies is how many of one product a mail may say that were sold.
const MaxCopies = 999

// A Reading is what a profile makes of a mail. Orders and Refunds are for the
// desk only where Held is "": else they show what could be read.
type Reading struct {
	Recognised bool
	Fields     []Field
	Orders     []ingest.Order // one a product; Channel and Message are left to the caller
	Sale       ingest.Order   // what they have in common, for a person where no product was found
	Refunds    []ingest.Refund
	Codes      []string // that the mail brings: none, or one for each copy of its orders, in order
	Held       string   // "": nothing speaks against it; else a reason from above
	Problems   []string // in words, for people; some hold and some only tell
}
