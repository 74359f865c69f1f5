package mailbox

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// maxListed is how many messages are kept of one listing, however many the
// server sends.
const maxListed = 1000

// An entry is a message that is there. Its size is -1 when the server did not
// tell it.
type entry struct {
	uid  uint32
	size int64
}

// A listing is what there is of some UIDs, in their order.
type listing struct {
	entries []entry
	// next: every message below it that is there is in entries; 0: there is
	// no more at all.
	next uint32
	// above is one more than the highest UID that was seen.
	above uint32
	// dropped is the lowest UID for which there was no room; 0: none.
	dropped uint32
}

// list lists the UIDs from first to last; last 0 is "all the rest".
func (s *session) list(ctx context.Context, first, last uint32) (listing, error) {
	l := listing{}
	if last != 0 {
		l.next = last + 1
	}
	err := s.listSet(ctx, imap.UIDSet{{Start: imap.UID(first), Stop: imap.UID(last)}}, &l)
	return l, err
}

// listSet lists a set of UIDs. The server may send them in any order, twice,
// or send others: what is above the lowest maxListed is left to the next
// listing.
func (s *session) listSet(ctx context.Context, set imap.UIDSet, l *listing) error {
	budget := limit{time: 10 * time.Minute, bytes: 64 << 20, literal: 64 << 10}
	return s.do(ctx, "list messages", budget, func(c *imapclient.Client) error {
		cmd := c.Fetch(set, &imap.FetchOptions{UID: true, RFC822Size: true})
		for data := cmd.Next(); data != nil; data = cmd.Next() {
			e := readEntry(data)
			if e.uid == 0 { // FLAGS of another, for instance
				continue
			}
			if e.uid < math.MaxUint32 {
				l.above = max(l.above, e.uid+1)
			}
			if l.dropped != 0 && e.uid >= l.dropped {
				continue
			}
			if l.entries = append(l.entries, e); len(l.entries) >= 2*maxListed {
				l.cut()
			}
		}
		if l.cut(); l.dropped != 0 {
			l.next = l.dropped
		}
		return cmd.Close()
	})
}

func readEntry(data *imapclient.FetchMessageData) entry {
	e := entry{size: -1}
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			e.uid = uint32(item.UID)
		case imapclient.FetchItemDataRFC822Size:
			e.size = item.Size
		}
	}
	return e
}

func (l *listing) cut() {
	slices.SortFunc(l.entries, func(a, b entry) int { return cmp.Compare(a.uid, b.uid) })
	l.entries = slices.CompactFunc(l.entries, func(a, b entry) bool { return a.uid == b.uid })
	if len(l.entries) > maxListed {
		l.dropped = l.entries[maxListed].uid
		l.entries = l.entries[:maxListed]
	}
}

// uidSet is the set of some entries.
func uidSet(uids []uint32) imap.UIDSet {
	var set imap.UIDSet
	for _, uid := range uids {
		set.AddNum(imap.UID(uid))
	}
	return set
}
