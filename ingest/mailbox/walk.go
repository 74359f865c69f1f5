package mailbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A window is a part of the walk that is handled as one: its messages are
// handled, then filed, and then the place moves on.
type window struct {
	messages []Message
	absent   []uint32 // were asked for again, and are gone
	withheld []uint32 // are there, but the server does not give them
	next     uint32   // the frontier after this window; 0: as it is, for these are tried again
}

var errFell = errors.New("the handler fell over them")

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
	case s.validity != 0 && kept.UIDValidity == s.validity && (s.uidNext == 0 || kept.Next <= s.uidNext):
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
		} else {
			w.state(nil) // what is behind may take hours
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
	verdicts, err := w.handle(ctx, win)
	if err != nil {
		return err
	}
	now := time.Now()
	piles := map[Filing][]uint32{}
	for i, m := range win.messages {
		if v := verdicts[i]; !v.Later {
			piles[v.Filing] = append(piles[v.Filing], m.UID)
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

// together is how many messages are handed over at once: enough to share what a
// call costs, and few, since the slowest keeps the others waiting.
const together = 8

// handle hands messages over. Those that fail while others do not come again, and
// so do those that failed before; when all new ones fail, it is no message's own
// fault.
func (w *Watcher) handle(ctx context.Context, win *window) ([]Verdict, error) {
	messages := win.messages
	verdicts, failed := make([]Verdict, len(messages)), make([]error, len(messages))
	size := min(together, max(1, len(messages)/w.config.AtOnce))
	var group sync.WaitGroup
	slots := make(chan bool, w.config.AtOnce)
	for from := 0; from < len(messages); from += size {
		to := min(from+size, len(messages))
		slots <- true
		group.Go(func() {
			defer func() { <-slots }()
			w.hand(ctx, messages[from:to], verdicts[from:to], failed[from:to])
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(messages) > 0 && win.next != 0 && !slices.Contains(failed, nil) {
		return nil, failed[0]
	}
	for i, err := range failed {
		if err != nil {
			w.config.Log.Warn("a message could not be handled; it comes again", "err", err)
			verdicts[i].Later = true
		}
	}
	return verdicts, nil
}

// hand hands a part over, and each of its messages alone when that fails.
func (w *Watcher) hand(ctx context.Context, messages []Message, verdicts []Verdict, failed []error) {
	got, err := w.call(ctx, messages)
	switch {
	case err == nil:
		copy(verdicts, got)
	case len(messages) == 1:
		failed[0] = fmt.Errorf("message %d of %s: %w", messages[0].UID, w.config.Folder, err)
	default:
		for i := range messages {
			w.hand(ctx, messages[i:i+1], verdicts[i:i+1], failed[i:i+1])
		}
	}
	for i := range messages {
		messages[i].Raw = nil
	}
}

// call calls the Handler. One that falls over a message must not end the daemon,
// which would meet it again at the next start.
func (w *Watcher) call(ctx context.Context, messages []Message) (verdicts []Verdict, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		w.config.Log.Error("the handler fell over messages", "folder", w.config.Folder, "uid", messages[0].UID, "messages", len(messages),
			"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		if verdicts, err = nil, errFell; len(messages) == 1 { // that one's own fault
			verdicts, err = []Verdict{{Later: true}}, nil
		}
	}()
	verdicts, err = w.handler.Handle(ctx, messages)
	if err == nil && len(verdicts) != len(messages) {
		err = fmt.Errorf("the handler gave %d verdicts on %d messages", len(verdicts), len(messages))
	}
	return verdicts, err
}
