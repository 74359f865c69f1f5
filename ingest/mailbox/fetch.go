package mailbox

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	maxWindow   = 200      // messages fetched with one command
	windowBytes = 8 << 20  // that they may have together, by what the server says
	maxHeader   = 64 << 10 // of a message that is too big
	slowest     = 8 << 10  // bytes a second; below it a fetch is given up
)

// A batch is what one FETCH asks for.
type batch struct {
	entries []entry
	tooBig  bool // these are: the headers alone
	undated bool // without INTERNALDATE, which broke the connection before
}

// batches cuts a list into what is fetched at once: as many messages as the
// window has, of bounded size, and those that are too big by themselves.
func batches(entries []entry, window int, maxSize int64) []batch {
	var list []batch
	var sum int64
	for _, e := range entries {
		tooBig := e.size > maxSize
		size := e.size
		if tooBig {
			size = maxHeader
		} else if size < 0 {
			size = maxSize
		}
		last := len(list) - 1
		if last < 0 || list[last].tooBig != tooBig || len(list[last].entries) >= window || sum+size > windowBytes {
			list, last, sum = append(list, batch{tooBig: tooBig}), last+1, 0
		}
		list[last].entries = append(list[last].entries, e)
		sum += size
	}
	return list
}

// fetch reads the messages of a batch. Those that are not in the answer are
// gone, or the server did not give them.
func (s *session) fetch(ctx context.Context, b batch) ([]Message, error) {
	section := &imap.FetchItemBodySection{Peek: true} // does not set \Seen
	if b.tooBig {
		section.Specifier, section.Partial = imap.PartSpecifierHeader, &imap.SectionPartial{Size: maxHeader}
	}
	options := &imap.FetchOptions{UID: true, RFC822Size: true, InternalDate: !b.undated, BodySection: []*imap.FetchItemBodySection{section}}
	largest := s.config.MaxSize
	if b.tooBig {
		largest = maxHeader
	}
	sizes := map[uint32]int64{}
	uids := make([]uint32, 0, len(b.entries))
	for _, e := range b.entries {
		uids, sizes[e.uid] = append(uids, e.uid), e.size
	}
	var list []Message
	err := s.do(ctx, "fetch messages", s.fetchLimit(b), func(c *imapclient.Client) error {
		cmd := c.Fetch(uidSet(uids), options)
		for data := cmd.Next(); data != nil; data = cmd.Next() {
			m, whole := s.read(data, largest)
			if size, asked := sizes[m.UID]; asked && whole {
				if b.tooBig {
					m.TooBig, m.Size = true, size
				}
				delete(sizes, m.UID)
				list = append(list, m)
			}
		}
		return cmd.Close()
	})
	if err != nil { // go-imap takes a literal that was cut off for whole: nothing of a broken answer counts
		return nil, err
	}
	return list, nil
}

// fetchLimit: the server's sizes may be wrong, but not by any measure.
func (s *session) fetchLimit(b batch) limit {
	l := limit{time: 2 * time.Minute, bytes: 4 << 20, literal: 4*s.config.MaxSize + 1<<20}
	for _, e := range b.entries {
		l.bytes += 2 * max(e.size, 0)
		if b.tooBig {
			l.bytes = 4<<20 + int64(len(b.entries))*2*maxHeader
		}
	}
	l.bytes += l.literal
	l.time += time.Duration(l.bytes/slowest) * time.Second
	return l
}

// read reads one message; of one that turns out to be too big the header.
// Whole is false when the text did not come: a word about flags, say.
func (s *session) read(data *imapclient.FetchMessageData, largest int64) (m Message, whole bool) {
	m.Folder, m.UIDValidity = s.config.Folder, s.validity
	for item := data.Next(); item != nil; item = data.Next() {
		switch item := item.(type) {
		case imapclient.FetchItemDataUID:
			m.UID = uint32(item.UID)
		case imapclient.FetchItemDataInternalDate:
			m.Arrived = item.Time.UTC()
		case imapclient.FetchItemDataBodySection:
			if item.Literal != nil {
				whole = readBody(&m, item.Literal, largest)
			}
		}
	}
	return m, whole
}

func readBody(m *Message, literal imap.LiteralReader, largest int64) bool {
	m.Size = literal.Size()
	if m.Size <= largest {
		m.Raw = make([]byte, m.Size)
		_, err := io.ReadFull(literal, m.Raw)
		_, _ = io.Copy(io.Discard, literal) // go-imap goes on when it was read to its end
		return err == nil
	}
	m.TooBig = true
	start, err := io.ReadAll(io.LimitReader(literal, maxHeader))
	rest, errRest := io.Copy(io.Discard, literal)
	m.Raw = header(start)
	return err == nil && errRest == nil && int64(len(start))+rest == m.Size
}

// header is a message up to the empty line.
func header(start []byte) []byte {
	for _, end := range []string{"\r\n\r\n", "\n\n"} {
		if before, _, found := bytes.Cut(start, []byte(end)); found {
			return start[:len(before)+len(end)]
		}
	}
	return start
}
