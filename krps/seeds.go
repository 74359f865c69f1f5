package krps

import (
	"regexp"
	"strings"
)

// nextSeed is how a new item begins: "Keyword:", or key= as in-application
// purchases send.
var nextSeed = regexp.MustCompile(`^\s*(Keyword:|[A-Za-z0-9_.-]+\s*=)`)

// Seeds splits ACG:CustomerSeed or ACG:OEMSeed into its items (KRPS 2.0, "What
// is a ACG:CustomerSeed?"): a comma-separated list in which a comma of a value
// is doubled. Not every sender doubles them, so a single comma separates only
// where a new item begins after it. No items: an empty list, never nil.
func Seeds(raw string) []string {
	items := []string{}
	var item strings.Builder
	flush := func() {
		if s := strings.TrimSpace(item.String()); s != "" {
			items = append(items, s)
		}
		item.Reset()
	}
	for i := 0; i < len(raw); i++ {
		switch {
		case strings.HasPrefix(raw[i:], ",,"):
			item.WriteByte(',')
			i++
		case raw[i] == ',' && nextSeed.MatchString(raw[i+1:]):
			flush()
		default:
			item.WriteByte(raw[i])
		}
	}
	flush()
	return items
}
