package mailbox

import (
	"errors"
	"slices"
	"time"
)

const (
	maxAside    = 10_000 // messages that wait for another try
	firstPause  = 30 * time.Second
	lastPause   = 30 * time.Minute
	filingTries = 5
)

var errAsideFull = errors.New("10,000 messages wait to be tried again; no more are taken until some of them are done")

// asides are the messages below the frontier of the walk that must come again:
// the Handler said "later", the server did not give them, or filing them
// failed. The kept Place stays below them, so a restart loses none.
type asides map[uint32]aside

type aside struct {
	tries int
	due   time.Time
}

// put sets a message aside, each time for longer.
func (a *asides) put(uid uint32, now time.Time) error {
	if *a == nil {
		*a = asides{}
	}
	old, again := (*a)[uid]
	if !again && len(*a) >= maxAside {
		return errAsideFull
	}
	pause := min(lastPause, firstPause<<min(old.tries, 10))
	(*a)[uid] = aside{tries: old.tries + 1, due: now.Add(pause)}
	return nil
}

// due are the messages whose time has come, the lowest first, at most as many
// as one listing holds.
func (a asides) due(now time.Time) []uint32 {
	var list []uint32
	for uid, e := range a {
		if !e.due.After(now) {
			list = append(list, uid)
		}
	}
	slices.Sort(list)
	return list[:min(len(list), maxListed)]
}

// lowest is the lowest of them, or next.
func (a asides) lowest(next uint32) uint32 {
	for uid := range a {
		next = min(next, uid)
	}
	return next
}
