package ingest

import "strings"

// Seed takes an item apart: "Keyword: KEY - VALUE" or "KEY=VALUE". VALUE may
// hold " - " and "=" itself. An item of neither form is a value without a key.
func Seed(item string) (key, value string) {
	if rest, ok := strings.CutPrefix(item, "Keyword:"); ok {
		if k, v, ok := strings.Cut(rest, " - "); ok {
			return strings.TrimSpace(k), strings.TrimSpace(v)
		}
	}
	if k, v, ok := strings.Cut(item, "="); ok {
		return strings.TrimSpace(k), strings.TrimSpace(v)
	}
	return "", item
}
