package ingest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/keypost/keypost/store"
)

const (
	numbersEnd = 10_000 // a store's running number has four digits
	maxGap     = 100    // more than that was not lost: the number began elsewhere
)

// GapsSince is how far back gaps are looked for.
const GapsSince = 60 * 24 * time.Hour

// A Gap is numbers that a store gave and no mail carried: mails that were lost.
type Gap struct {
	Store, Name string
	First, Last int       // of the numbers that are missing; Last may be under First, after a roll-over
	From, Until time.Time // the dates of the mails around them
	NotedAt     time.Time // when the later one came, by which the gap shows
}

// Gaps are the numbers that are missing among the mails of the last 60 days, as
// far as no post had them either.
func (d *Desk) Gaps(ctx context.Context) (list []Gap, err error) {
	numbers, err := d.db.MailNumbers(ctx, d.now().Add(-GapsSince))
	if err != nil {
		return nil, err
	}
	for len(numbers) > 0 {
		n := slices.IndexFunc(numbers, func(m store.MailNumber) bool { return m.Store != numbers[0].Store || m.Name != numbers[0].Name })
		if n < 0 {
			n = len(numbers)
		}
		found, err := d.gaps(ctx, numbers[:n])
		if err != nil {
			return nil, err
		}
		list, numbers = append(list, found...), numbers[n:]
	}
	return list, nil
}

// gaps are those of one name.
func (d *Desk) gaps(ctx context.Context, numbers []store.MailNumber) (list []Gap, err error) {
	slices.SortStableFunc(numbers, func(a, b store.MailNumber) int { // mails of one second come in any order
		return cmp.Or(a.Date.Compare(b.Date), a.Number-b.Number)
	})
	seen := map[int]bool{} // or told of
	for _, m := range numbers {
		seen[m.Number] = true
	}
	for i := 1; i < len(numbers); i++ {
		before, after := numbers[i-1], numbers[i]
		missing := (after.Number - before.Number - 1 + numbersEnd) % numbersEnd
		if missing == 0 || missing > maxGap {
			continue
		}
		for k := 1; k <= missing; k++ {
			number := (before.Number + k) % numbersEnd
			if seen[number] {
				continue
			}
			posted, err := d.posted(ctx, after.Store, Sequence{after.Name, number, after.Date})
			if err != nil {
				return nil, err
			}
			if posted {
				continue
			}
			seen[number] = true
			if n := len(list); n > 0 && (list[n-1].Last+1)%numbersEnd == number {
				list[n-1].Last = number
				continue
			}
			list = append(list, Gap{after.Store, after.Name, number, number, before.Date, after.Date, after.NotedAt})
		}
	}
	return list, nil
}

// posted tells whether an order has a number.
func (d *Desk) posted(ctx context.Context, storeName string, s Sequence) (bool, error) {
	return d.db.HasKey(ctx, sharedKey(storeName, s, 0))
}

func (g Gap) String() string {
	numbers := fmt.Sprintf("%04d is", g.First)
	if g.Last != g.First {
		numbers = fmt.Sprintf("%04d to %04d are", g.First, g.Last)
	}
	return fmt.Sprintf("%s, SQNM-%q: %s missing, between %s and %s", g.Store, g.Name, numbers, g.From.Format(time.DateOnly), g.Until.Format(time.DateOnly))
}
