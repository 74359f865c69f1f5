package mailbox

import (
	"cmp"
	"context"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// What marks a message that was to be moved, on a server that cannot move.
var keywords = map[Filing]string{Processed: "$KeypostProcessed", Held: "$KeypostHeld", Failed: "$KeypostFailed"}

// file puts messages where they belong. It is safe to do again. A server may
// refuse all of them because somebody else has taken one away (RFC 5530,
// EXPUNGEISSUED): then the rest is filed.
func (s *session) file(ctx context.Context, filing Filing, uids []uint32) error {
	err := s.put(ctx, filing, uids)
	for range 3 {
		if said(err) == nil {
			return err
		}
		var l listing
		if failed := s.listSet(ctx, uidSet(uids), &l); failed != nil || len(l.entries) == len(uids) {
			return cmp.Or(failed, err)
		}
		uids = uidsOf(l.entries)
		err = s.put(ctx, filing, uids)
	}
	return err
}

func (s *session) put(ctx context.Context, filing Filing, uids []uint32) error {
	target := map[Filing]string{Processed: s.config.Processed, Held: s.config.Held, Failed: s.config.Failed}[filing]
	set := uidSet(uids)
	switch {
	case target == "" || len(uids) == 0:
		return nil
	case target[0] == '$':
		return s.mark(ctx, filing, set, target)
	case s.caps.Has(imap.CapMove):
		return s.into(ctx, target, func(c *imapclient.Client, folder string) error {
			_, err := c.Move(set, folder).Wait()
			return err
		})
	case s.caps.Has(imap.CapUIDPlus):
		return s.copyAway(ctx, set, target)
	}
	// What is left would be COPY, \Deleted and EXPUNGE, and that takes away
	// what somebody else has marked as deleted, too.
	return s.mark(ctx, filing, set, keywords[filing])
}

// mark sets a keyword, if the server keeps such. What was processed needs no
// one's eyes any more, and is seen.
func (s *session) mark(ctx context.Context, filing Filing, set imap.UIDSet, keyword string) error {
	var flags []imap.Flag
	if s.keywords(keyword) {
		flags = append(flags, imap.Flag(keyword))
	}
	if filing == Processed {
		flags = append(flags, imap.FlagSeen)
	}
	if len(flags) == 0 {
		return nil
	}
	return s.do(ctx, "mark messages", brief, func(c *imapclient.Client) error {
		return c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close()
	})
}

// copyAway is MOVE for servers that have only UIDPLUS. Cut short, it leaves a
// second copy in the target, and none is lost. An earlier try may have got as
// far as \Deleted, which must not go along with the copy.
func (s *session) copyAway(ctx context.Context, set imap.UIDSet, target string) error {
	flag := func(op imap.StoreFlagsOp) error {
		return s.do(ctx, "mark messages", brief, func(c *imapclient.Client) error {
			return c.Store(set, &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close()
		})
	}
	if err := flag(imap.StoreFlagsDel); err != nil {
		return err
	}
	err := s.into(ctx, target, func(c *imapclient.Client, folder string) error {
		_, err := c.Copy(set, folder).Wait()
		return err
	})
	if err != nil {
		return err
	}
	if err := flag(imap.StoreFlagsAdd); err != nil {
		return err
	}
	return s.do(ctx, "expunge moved messages", brief, func(c *imapclient.Client) error { return c.UIDExpunge(set).Close() })
}

// into runs a command that wants a folder, and makes the folder when the
// server refuses.
//
// RFC 3501, 6.4.7: the server should say TRYCREATE; not each one does.
func (s *session) into(ctx context.Context, name string, f func(c *imapclient.Client, folder string) error) error {
	folder := s.folder(name)
	try := func() error {
		return s.do(ctx, "file messages in "+name, brief, func(c *imapclient.Client) error { return f(c, folder) })
	}
	err := try()
	if said(err) == nil || s.created[folder] {
		return err
	}
	s.created[folder] = true
	made := s.do(ctx, "create the folder "+name, brief, func(c *imapclient.Client) error { return c.Create(folder, nil).Wait() })
	switch no := said(made); {
	case made == nil:
		return try()
	case no == nil:
		return made
	case no.Code == imap.ResponseCodeAlreadyExists || strings.Contains(strings.ToLower(no.Text), "exist"):
		return err // so it was not the folder
	}
	return made
}
