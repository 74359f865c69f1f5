package admin

import (
	"testing"
	"time"
)

func TestDates(t *testing.T) {
	for text, want := range map[string]string{
		"2027-12-31": "2027-12-31T23:59:59Z", "31.12.2027": "2027-12-31T23:59:59Z", "1.2.2027": "2027-02-01T23:59:59Z",
		"2027-12-31T18:00:00+01:00": "2027-12-31T17:00:00Z", "2027-12-31 18:00:00": "2027-12-31T18:00:00Z",
	} {
		if got, err := ParseEnd(text); err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "12/31/2027", "31/12/2027", "2027-13-01", "31.12.27", "1969-12-31", "9999-01-01"} {
		if got, err := ParseEnd(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
