// Package mailbox watches a folder of an IMAP server and hands each message in
// it to a Handler.
//
// Where a store tells of a sale only by mail, the vendor's mailbox is the way
// in. The folder is walked by UID from the place where the last walk stopped,
// and then watched, by IDLE and by a timer. A message that the Handler has
// judged can be filed: moved to a folder, or marked with a keyword. Nothing
// else is touched: nothing is deleted, and what was not handled is not marked
// as read.
//
// The package knows neither orders nor the database. Each message comes at
// least once, and again after a crash, a cut connection or a changed
// UIDVALIDITY: the Handler must know a message by its content.
package mailbox

import (
	"context"
	"errors"
	"time"
)

// A Message is one as the server has it.
type Message struct {
	Folder           string
	UIDValidity, UID uint32
	// Arrived is the server's INTERNALDATE, in UTC; zero when the server does
	// not tell it.
	Arrived time.Time
	// Size is in bytes; of a message that is too big, as the server says.
	Size int64
	// Raw is the whole message; of one that is too big the header alone, as
	// much as comes in 64 KiB.
	Raw    []byte
	TooBig bool
}

// Filing is what becomes of a message on the server.
type Filing int

const (
	Leave     Filing = iota // nothing at all, for what is not ours
	Processed               // Config.Processed
	Held                    // Config.Held
	Failed                  // Config.Failed
)

// ErrLater, wrapped in a Handler's error, says that this one message cannot be
// judged now: others go on, and it comes again.
var ErrLater = errors.New("judge this message later")

// A Handler judges messages.
type Handler interface {
	// Handle returns when its verdict is durable. It is called again for a
	// message that it knows, and must then be cheap and say the same. An error
	// that wraps ErrLater postpones this message; any other says that nothing
	// can be handled now. With Config.AtOnce above one it is called
	// concurrently. It may keep m.Raw.
	Handle(ctx context.Context, m Message) (Filing, error)
}

// Place is where to go on in a folder: every message below Next was handled,
// as long as the folder has this UIDVALIDITY.
type Place struct{ UIDValidity, Next uint32 }

// Places keeps the Place of one folder.
type Places interface {
	// Place is the zero Place when none was kept.
	Place(ctx context.Context) (Place, error)
	// SetPlace need not be durable at once: an older place costs time and
	// nothing else.
	SetPlace(ctx context.Context, p Place) error
}

// How the connection is protected.
const (
	TLS      = "tls"      // from the first byte: port 993
	StartTLS = "starttls" // port 143
	NoTLS    = "none"     // for a server on this machine
)

// Defaults and bounds of a Config.
const (
	DefaultPoll    = time.Minute
	MaxPoll        = 25 * time.Minute // RFC 2177: IDLE at least every 29 minutes
	DefaultMaxSize = 1 << 20
)
