package admin

import (
	"context"
	"encoding/csv"
	"io"
	"strconv"
	"time"

	"github.com/keypost/keypost/store"
)

// UTF8Mark is the byte order mark by which a spreadsheet knows UTF-8.
const UTF8Mark = utf8Mark

// An Exported is what came of an export.
type Exported struct {
	Licenses int
	Shared   int // codes that several orders share: a row names the first alone
}

// ExportCSV writes all licenses, or those of a product, in the columns of import,
// oldest first. What a spreadsheet would take for a formula has an apostrophe
// before it, which import takes away again.
func (a *Admin) ExportCSV(ctx context.Context, out io.Writer, product string, separator rune) (Exported, error) {
	var done Exported
	w := csv.NewWriter(out)
	w.Comma = separator
	if err := w.Write(csvColumns); err != nil {
		return done, err
	}
	err := a.db.EachSold(ctx, store.LicenseFilter{Product: product}, func(l store.Sold) error {
		done.Licenses++
		if l.Replaced {
			return nil
		}
		if l.Shared {
			done.Shared++
		}
		if l.Limit > 0 {
			l.Limit = max(l.Limit, l.Used) // a refund takes no machine's seat: see same_name
		}
		return w.Write(csvCells(l))
	})
	if err != nil {
		return done, err
	}
	w.Flush()
	return done, w.Error()
}

func csvCells(l store.Sold) []string {
	expires := ""
	if l.ExpiresAt != nil {
		expires = csvEnd(*l.ExpiresAt)
	}
	cells := []string{
		l.Product, l.Code, l.Name, l.Email, l.Type, strconv.Itoa(l.Limit), strconv.Itoa(l.Used), l.Status, strconv.FormatBool(l.Test),
		csvCreated(l.CreatedAt), expires, l.Order.Store, l.Order.Transaction, l.StoreProduct,
	}
	for i, cell := range cells {
		cells[i] = safeCell(cell)
	}
	return cells
}

// csvCreated writes when a license was issued as [parseTime] reads it.
func csvCreated(at time.Time) string {
	if day, whole := FirstMoment(at); whole {
		return day
	}
	return at.UTC().Format(time.RFC3339)
}

// csvEnd writes a license's end as [ParseEnd] reads it.
func csvEnd(end time.Time) string {
	if day, whole := LastDay(end); whole {
		if again, err := ParseEnd(day); err == nil && again.Equal(end) {
			return day
		}
	}
	return end.UTC().Format(time.RFC3339Nano)
}
