// Package krps answers the Kagi Remote Post System: Kagi posts each paid order
// as a form, we answer GOOD with its activation codes in the same call, or BAD,
// which stalls the customer's order until Kagi's next try. So BAD is only for
// what another try can cure; everything else is GOOD, if need be with a
// sentence in the place of a code, and waits for the vendor.
//
// post.go, table.go, digest.go, seeds.go and reply.go are the pure codec, bytes
// in and bytes out; settings.go has the keys of a channel in the config;
// handler.go is the way in; client.go and play.go play Kagi. Comments name the
// section of the specification, "KRPS 2.0", that a rule comes from.
package krps

import (
	"context"

	"github.com/keypost/keypost/ingest"
	"github.com/keypost/keypost/ingest/channel"
	"github.com/keypost/keypost/store"
)

// A Channel is one hookup, as agreed on with Kagi (KRPS 2.0, Table 2).
type Channel struct {
	Name     string
	Store    string   // whose orders these are: "kagi"
	UserName string   // "": not checked
	Secrets  []string // any of them will do, while one is rotated
	Digest   Digest   // the cipher agreed on; no other is taken
	Blurb    string   // the blurb that the channel's products are sold with; "": not known
	channel.Guard
}

// Label is the name for logs.
func (c Channel) Label() string { return channel.Label(c.Name) }

// A Desk judges and keeps what a channel takes in.
type Desk interface {
	Accept(context.Context, ingest.Order) (store.Order, error)
	Refuse(context.Context, store.Message) error
}
