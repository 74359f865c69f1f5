package ingest

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/store"
)

func TestGaps(t *testing.T) {
	today := time.Now().UTC().Truncate(24 * time.Hour)
	day := func(n int) time.Time { return today.AddDate(0, 0, n) }
	onBoth(t, func(t *testing.T, d *Desk) {
		mails := 0
		mail := func(name string, number int, at time.Time) {
			t.Helper()
			mails++
			m := store.Mail{
				ID: store.NewID(), Channel: "mails", Content: sha256.Sum256(fmt.Append(nil, mails)), Verdict: store.MailUnknown,
				Numbers: []store.MailNumber{{Store: "kagi", Name: name, Number: number, Date: at}},
			}
			if _, _, err := d.db.AddMail(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		mail("a", 10, day(-9))
		mail("a", 13, day(-8))
		mail("a", 12, day(-7)) // late
		mail("a", 16, day(-6))
		mail("a", 5000, day(-5)) // another beginning
		mail("b", 9998, day(-4))
		mail("b", 1, day(-3))
		mail("old", 1, day(-90))
		mail("old", 3, day(-89))
		mustAccept(t, d, claim(func(o *Order) { o.Sequences = []Sequence{{"A", 15, day(-6)}} })) // by a post
		got, err := d.Gaps(t.Context())
		for i, g := range got {
			if since := time.Since(g.NotedAt); since < -time.Second || since > time.Minute {
				t.Errorf("noted at %s", g.NotedAt)
			}
			got[i].NotedAt = time.Time{}
		}
		want := []Gap{
			{Store: "kagi", Name: "a", First: 11, Last: 11, From: day(-9), Until: day(-8)},
			{Store: "kagi", Name: "a", First: 14, Last: 14, From: day(-7), Until: day(-6)},
			{Store: "kagi", Name: "b", First: 9999, Last: 0, From: day(-4), Until: day(-3)},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Gaps, %v (-want +got):\n%s", err, diff)
		}
		if len(got) == 3 {
			if text := got[2].String(); text != fmt.Sprintf(`kagi, SQNM-"b": 9999 to 0000 are missing, between %s and %s`, day(-4).Format(time.DateOnly), day(-3).Format(time.DateOnly)) {
				t.Error(text)
			}
		}
	})
}
