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
	"crypto/x509"
	"log/slog"
	"net"
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

// A Verdict is what a Handler says of a message.
type Verdict struct {
	Filing Filing
	Later  bool // it cannot be judged now, and comes again
}

// A Handler judges messages.
type Handler interface {
	// Handle judges each message by itself and returns their verdicts, in the
	// same order, when they are durable. It is called again for messages that it
	// knows, and must then be cheap and say the same. When it fails, it is called
	// for each message alone, and those that fail alone come again; when all
	// fail, nothing can be handled now. With Config.AtOnce above one it is called
	// concurrently. It may keep what is Raw.
	Handle(ctx context.Context, list []Message) ([]Verdict, error)
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

// A Config is one folder of one account.
type Config struct {
	Name    string // for the log
	Address string // host:port
	User    string
	// Password or Token is asked at each log-in, so that a changed file counts
	// from the next one. A token is OAuth 2.0's access token.
	Password, Token func() (string, error)
	TLS             string         // TLS, StartTLS or NoTLS; "": TLS
	RootCAs         *x509.CertPool // nil: the system's
	Folder          string         // "": INBOX
	// Processed, Held and Failed say where a message goes: a folder, with "/"
	// between its levels, a keyword when it begins with "$", or "", for
	// nowhere.
	Processed, Held, Failed string
	Poll                    time.Duration // 0: DefaultPoll
	MaxSize                 int64         // of a message, in bytes; 0: DefaultMaxSize
	AtOnce                  int           // calls of the Handler at the same time; 0: one
	// State is told at each change, and at each try, whether the folder is
	// watched: nil, or why it is not. nil: nobody is told.
	State func(error)
	// Dial is the way out; nil: the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  *slog.Logger // nil: the default one
}

// A Watcher watches one folder. Its methods are for one goroutine.
type Watcher struct {
	config  Config
	handler Handler
	places  Places

	known    Place          // as it was read or kept last
	next     uint32         // all below was handled, or is aside
	aside    asides         // what must come again
	window   int            // messages that are fetched at once
	falls    map[uint32]int // how often the connection broke while this one alone was fetched
	numbered uint32         // the UIDVALIDITY that falls are of
	noted    string         // the last state that was logged
}

// New makes a Watcher. Its error names the part of c that is wrong.
func New(c Config, h Handler, p Places) (*Watcher, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	return &Watcher{config: c, handler: h, places: p, window: maxWindow, falls: map[uint32]int{}}, nil
}
