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
		return day + " (that day, UTC, still counts)"
	}
	return end.UTC().Format("2006-01-02 15:04 UTC")
}
