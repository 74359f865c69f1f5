package admin

import (
	"errors"
	"time"
)

// A license that ends on a day that somebody typed is good until the last second
// of that day, UTC: so every program that prints the end in UTC, a mail or the
// vendor's own software, prints the day that was typed. Midnight after it would
// be the same moment, but its date is the next day's.

// lastSecond is that of a day.
func lastSecond(day time.Time) time.Time { return day.AddDate(0, 0, 1).Add(-time.Second) }

// dayForms are how people and spreadsheets write a day. With dots the day comes
// first everywhere (a German spreadsheet rewrites 2027-12-31 so when it saves);
// with slashes nobody can tell, so those are refused.
var dayForms = []string{time.DateOnly, "02.01.2006", "2.1.2006"}

var errDate = errors.New("it must look like 2027-12-31 or 2027-12-31T18:00:00Z")

// parseTime reads a time, or a day: then it is its first moment, and whole is set.
func parseTime(s string) (at time.Time, whole bool, err error) {
	if at, err = time.Parse(time.RFC3339, s); err != nil {
		at, err = time.Parse(time.DateTime, s)
	}
	for _, form := range dayForms {
		if err != nil {
			at, err = time.Parse(form, s)
			whole = err == nil
		}
	}
	switch {
	case err != nil:
		return at, false, errDate
	case at.Year() < 1970 || at.Year() > 9998: // JSON has no year 10000
		return at, false, errors.New("the year must be from 1970 to 9998")
	}
	return at.UTC(), whole, nil
}

// ParseBegin reads when something begins: a day from its first moment.
func ParseBegin(s string) (time.Time, error) {
	at, _, err := parseTime(s)
	return at, err
}

// ParseEnd reads when a license ends: a day counts as a whole.
func ParseEnd(s string) (time.Time, error) {
	at, whole, err := parseTime(s)
	if whole {
		at = lastSecond(at)
	}
	return at, err
}

// LastDay is the day that a license's end was typed as. Older versions stored the
// midnight after it.
func LastDay(end time.Time) (day string, whole bool) {
	end = end.UTC()
	switch begin := end.Truncate(24 * time.Hour); {
	case end.Equal(begin):
		return end.Add(-time.Second).Format(time.DateOnly), true
	case end.Equal(lastSecond(begin)):
		return end.Format(time.DateOnly), true
	}
	return "", false
}

// FirstMoment is the day that a time is the first moment of, in UTC.
func FirstMoment(at time.Time) (day string, whole bool) {
	at = at.UTC()
	return at.Format(time.DateOnly), at.Equal(at.Truncate(24 * time.Hour))
}
