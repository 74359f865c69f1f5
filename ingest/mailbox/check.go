package mailbox

import (
	"context"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// Findings are what a log-in tells about a mailbox.
type Findings struct {
	Capabilities []string // sorted; those that matter here
	UIDNext      uint32   // 0: the server does not tell
	Idle         bool     // news come at once; else each Config.Poll
	Moves        bool     // messages can be moved; else they are marked where they are
	Keywords     bool     // they can be marked with keywords
}

// Check logs in, opens the folder, and changes nothing.
func (c Config) Check(ctx context.Context) (Findings, error) {
	c, err := c.complete()
	if err != nil {
		return Findings{}, err
	}
	s, err := open(ctx, c)
	if err != nil {
		return Findings{}, err
	}
	defer s.logout(ctx)
	f := Findings{
		UIDNext:  s.uidNext,
		Idle:     s.caps.Has(imap.CapIdle),
		Moves:    s.caps.Has(imap.CapMove) || s.caps.Has(imap.CapUIDPlus),
		Keywords: s.keywords("$KeypostProcessed"),
	}
	for _, capability := range []imap.Cap{imap.CapIMAP4rev1, imap.CapIMAP4rev2, imap.CapIdle, imap.CapMove, imap.CapUIDPlus, imap.CapNamespace} {
		if s.caps.Has(capability) {
			f.Capabilities = append(f.Capabilities, string(capability))
		}
	}
	slices.Sort(f.Capabilities)
	return f, nil
}
