package mailbox

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"time"
)

// A window is a part of the walk that is handled as one: its messages are
// handled, then filed, and then the place moves on.
type window struct {
	messages []Message
	absent   []uint32 // were asked for again, and are gone
	withheld []uint32 // are there, but the server does not give them
	next     uint32   // the frontier after this window; 0: as it is
}

// Pass connects, hands over what is new since the last time and what is due
// for another try, and returns. It does not wait for mail.
func (w *Watcher) Pass(ctx context.Context) error {
	s, err := w.open(ctx)
	if err != nil {
		return err
	}
	_, err = w.walk(ctx, s)
	s.logout(ctx)
	return err
}

// open opens a session and finds out where to go on. What is remembered counts
// while the kept place is the one that was left; else somebody has moved it.
//
// RFC 3501, 2.3.1.1: with another UIDVALIDITY the UIDs mean other messages;
// without one they mean nothing in another session.
func (w *Watcher) open(ctx context.Context) (*session, error) {
	kept, err := w.places.Place(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the place: %w", err)
	}
	s, err := open(ctx, w.config)
	if err != nil {
		return nil, err
	}
	switch {
	case s.validity != 0 && kept == w.known && kept.UIDValidity == s.validity && w.next > 0:
	case s.validity != 0 && kept.UIDValidity == s.validity:
		w.next, w.aside = max(kept.Next, 1), nil
	default:
		if kept.UIDValidity != 0 {
			w.config.Log.Warn("the server has numbered the folder anew; every message is looked at again", "folder", w.config.Folder)
		}
		w.next, w.aside = 1, nil
	}
	if w.known = kept; w.numbered != s.validity {
		w.numbered = s.validity
		clear(w.falls)
	}
	return s, nil
}

// walk goes over what is new and what is due. The next window is read while
// one is being handled, so that no more than two are in memory. The count is
// of messages that were handed over.
func (w *Watcher) walk(ctx context.Context, s *session) (handed int, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	windows := make(chan *window)
	r := &reader{watcher: w, session: s, next: w.next, due: w.aside.due(time.Now()), full: len(w.aside) >= maxAside, out: windows}
	var failed error
	go func() {
		defer close(windows)
		failed = r.run(ctx)
	}()
	for win := range windows {
		if err != nil {
			continue
		}
		if err = w.take(ctx, s, win); err != nil {
			stop(err)
		}
		handed += len(win.messages)
	}
	if err == nil {
		err = failed
	}
	return handed, err
}

// take handles a window, files it and moves the place.
func (w *Watcher) take(ctx context.Context, s *session, win *window) error {
	verdicts, err := w.handle(ctx, win.messages)
	if err != nil {
		return err
	}
	now := time.Now()
	piles := map[Filing][]uint32{}
	for i, m := range win.messages {
		if v := verdicts[i]; v.err == nil {
			piles[v.filing] = append(piles[v.filing], m.UID)
		} else if err := w.aside.put(m.UID, now); err != nil {
			return err
		}
	}
	for _, uid := range win.withheld {
		if err := w.aside.put(uid, now); err != nil {
			return err
		}
	}
	for filing, uids := range piles {
		if err := w.file(ctx, s, filing, uids); err != nil {
			return err
		}
	}
	for _, uid := range win.absent {
		delete(w.aside, uid)
	}
	if win.next != 0 {
		w.next = win.next
	}
	return w.keep(ctx, s)
}

// file files one pile. Refused by the server, its messages come again a few
// times, and then stay where they are: the verdict counts, not the folder.
func (w *Watcher) file(ctx context.Context, s *session, filing Filing, uids []uint32) error {
	err := s.file(ctx, filing, uids)
	switch {
	case err == nil:
		for _, uid := range uids {
			delete(w.aside, uid)
		}
		return nil
	case said(err) == nil:
		return err
	}
	w.config.Log.Warn("filing failed; the verdicts stand", "messages", len(uids), "err", err)
	for _, uid := range uids {
		if w.aside[uid].tries >= filingTries {
			delete(w.aside, uid)
		} else if err := w.aside.put(uid, time.Now()); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watcher) keep(ctx context.Context, s *session) error {
	p := Place{UIDValidity: s.validity, Next: w.aside.lowest(w.next)}
	if p == w.known {
		return nil
	}
	if err := w.places.SetPlace(ctx, p); err != nil {
		return fmt.Errorf("keep the place: %w", err)
	}
	w.known = p
	return nil
}

type verdict struct {
	filing Filing
	err    error // ErrLater
}

// handle hands messages over, some at once. After an error that is not
// ErrLater nothing more is begun.
func (w *Watcher) handle(ctx context.Context, messages []Message) ([]verdict, error) {
	verdicts := make([]verdict, len(messages))
	var (
		mu    sync.Mutex
		next  int
		fatal error
		group sync.WaitGroup
	)
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		if fatal == nil {
			fatal = ctx.Err()
		}
		if fatal != nil || next == len(messages) {
			return -1
		}
		next++
		return next - 1
	}
	for range min(w.config.AtOnce, len(messages)) {
		group.Go(func() {
			for i := take(); i >= 0; i = take() {
				filing, err := w.judge(ctx, messages[i])
				messages[i].Raw = nil
				verdicts[i] = verdict{filing, err}
				if err != nil && !errors.Is(err, ErrLater) {
					mu.Lock()
					fatal = fmt.Errorf("message %d of %s: %w", messages[i].UID, w.config.Folder, err)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	return verdicts, fatal
}

// judge: a message over which the Handler falls must not end the daemon, which
// would meet it again at the next start.
func (w *Watcher) judge(ctx context.Context, m Message) (filing Filing, err error) {
	defer func() {
		if v := recover(); v != nil {
			w.config.Log.Error("a message could not be handled", "folder", m.Folder, "uid", m.UID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: the handler fell over it", ErrLater)
		}
	}()
	return w.handler.Handle(ctx, m)
}

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
