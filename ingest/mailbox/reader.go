package mailbox

import (
	"context"
	"math"
)

// A reader reads the windows of one walk.
type reader struct {
	watcher *Watcher
	session *session
	next    uint32
	due     []uint32
	full    bool // no room to set more aside
	out     chan<- *window
}

// run reads what is new first: what must be tried again delays nothing, until
// there is too much of it.
func (r *reader) run(ctx context.Context) error {
	if r.full {
		return r.again(ctx)
	}
	if err := r.fresh(ctx); err != nil {
		return err
	}
	return r.again(ctx)
}

func (r *reader) fresh(ctx context.Context) error {
	span := uint32(maxListed)
	top := r.session.uidNext
	for r.next != 0 {
		last := uint32(0) // all the rest, where that cannot be much
		if r.next < math.MaxUint32-span && r.next+span < top {
			last = r.next + span - 1
		}
		l, err := r.session.list(ctx, r.next, last)
		if err != nil {
			return err
		}
		top = max(top, l.above)
		// A folder can have few messages and high UIDs.
		if len(l.entries) < maxListed/2 && span < math.MaxUint32/4 {
			span *= 2
		} else if len(l.entries) == maxListed {
			span = max(span/2, maxListed)
		}
		if err := r.windows(ctx, l.entries, true); err != nil {
			return err
		}
		r.next = l.next // 0: there is no more
	}
	r.session.uidNext = max(r.session.uidNext, top)
	return nil
}

// again reads what was set aside and is due.
func (r *reader) again(ctx context.Context) error {
	if len(r.due) == 0 {
		return nil
	}
	var l listing
	if err := r.session.listSet(ctx, uidSet(r.due), &l); err != nil {
		return err
	}
	there := map[uint32]bool{}
	for _, e := range l.entries {
		there[e.uid] = true
	}
	win := &window{}
	for _, uid := range r.due {
		if !there[uid] {
			win.absent = append(win.absent, uid)
		}
	}
	if err := r.send(ctx, win); err != nil {
		return err
	}
	return r.windows(ctx, l.entries, false)
}

// windows fetches listed messages and sends them on. New ones move the
// frontier, as far as messages were seen: the server's word alone that there
// is nothing below its UIDNEXT moves nothing.
func (r *reader) windows(ctx context.Context, entries []entry, fresh bool) error {
	for len(entries) > 0 {
		b := batches(entries, r.watcher.window, r.watcher.config.MaxSize)[0]
		entries = entries[len(b.entries):]
		win, err := r.window(ctx, b)
		if err != nil {
			return err
		}
		if last := b.entries[len(b.entries)-1].uid; fresh && last < math.MaxUint32 {
			win.next = last + 1
		}
		if err := r.send(ctx, win); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) send(ctx context.Context, win *window) error {
	select {
	case r.out <- win:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window fetches a batch, and once more what did not come with it: a word
// about a message's flags, in the midst of the answer, is all that go-imap
// hands on of that message.
func (r *reader) window(ctx context.Context, b batch) (*window, error) {
	win := &window{}
	if len(b.entries) == 1 {
		uid := b.entries[0].uid
		if r.watcher.falls[uid] > 1 {
			delete(r.watcher.falls, uid)
			win.withheld = append(win.withheld, uid)
			return win, nil
		}
		b.undated = r.watcher.falls[uid] == 1
	}
	for range 3 {
		messages, err := r.session.fetch(ctx, b)
		r.watcher.learn(ctx, b, err)
		if err != nil {
			return nil, err
		}
		win.messages = append(win.messages, messages...)
		if b.entries = missing(b.entries, messages); len(b.entries) == 0 {
			return win, nil
		}
		var l listing
		if err := r.session.listSet(ctx, uidSet(uidsOf(b.entries)), &l); err != nil {
			return nil, err
		}
		if b.entries = l.entries; len(l.entries) == 0 { // expunged meanwhile
			return win, nil
		}
	}
	win.withheld = uidsOf(b.entries)
	r.watcher.config.Log.Warn("the server lists messages that it does not give", "folder", r.watcher.config.Folder, "messages", len(win.withheld))
	return win, nil
}

// learn fetches less at once after the connection broke, until the message is
// alone over which it breaks: that one is tried without its date, and then set
// aside.
func (w *Watcher) learn(ctx context.Context, b batch, err error) {
	switch {
	case err == nil:
		w.window = min(maxWindow, w.window*2)
	case ctx.Err() != nil:
	case len(b.entries) > 1:
		w.window = max(1, len(b.entries)/8)
	default:
		w.falls[b.entries[0].uid]++
	}
}

func uidsOf(entries []entry) []uint32 {
	list := make([]uint32, len(entries))
	for i, e := range entries {
		list[i] = e.uid
	}
	return list
}

// missing are the entries that no message came for.
func missing(entries []entry, messages []Message) []entry {
	came := make(map[uint32]bool, len(messages))
	for _, m := range messages {
		came[m.UID] = true
	}
	var list []entry
	for _, e := range entries {
		if !came[e.uid] {
			list = append(list, e)
		}
	}
	return list
}
