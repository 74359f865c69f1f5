package main

import (
	"fmt"
	"time"

	"github.com/keypost/keypost/admin"
)

// parseExpiry reads --expires.
func parseExpiry(s *string) (*time.Time, error) {
	if s == nil {
		return nil, nil
	}
	at, err := admin.ParseEnd(*s)
	if err != nil {
		return nil, fmt.Errorf("--expires %s: %w", *s, err)
	}
	return &at, nil
}

// days are the time from the beginning of one day to the end of another; "": no
// bound.
func days(from, to string) (begin, end time.Time, err error) {
	for flag, d := range map[string]struct {
		text string
		at   *time.Time
		read func(string) (time.Time, error)
	}{"--from": {from, &begin, admin.ParseBegin}, "--to": {to, &end, admin.ParseEnd}} {
		if d.text == "" {
			continue
		}
		if *d.at, err = d.read(d.text); err != nil {
			return begin, end, fmt.Errorf("%s %s: %w", flag, d.text, err)
		}
	}
	if !end.IsZero() {
		end = end.Add(time.Second) // of the day's last second, too
	}
	return begin, end, nil
}

// begins shows people when a license was issued. An import may know the day alone,
// which is stored as its midnight in UTC.
func begins(at time.Time) string {
	if day, whole := admin.FirstMoment(at); whole {
		return day
	}
	return when(at)
}

// ends shows people when a license ends; "": never.
func ends(end *time.Time) string {
	if end == nil {
		return ""
	}
	if day, whole := admin.LastDay(*end); whole {
		return day + " (inclusive, UTC)"
	}
	return end.UTC().Format("2006-01-02 15:04 UTC")
}
