package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	"github.com/keypost/keypost/store"
)

// jsonFlag is the --json of commands that print.
type jsonFlag struct {
	JSON bool `help:"Print one JSON document."`
}

// printJSON escapes what a terminal would act on or hide: it is printed there too.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range b.String() {
		if r == '\n' || unicode.IsPrint(r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// safe makes a text from outside fit for a terminal: nothing in it can move
// the cursor, break the line or hide.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`, "\x1b", `\e`).Replace(strings.ToValidUTF8(s, "?")))
}

// lineSafe is safe for texts of several lines of our own.
func lineSafe(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = safe(l)
	}
	return strings.Join(lines, "\n")
}

// table prints rows in columns; the first row is the head.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if row[i] = safe(cell); row[i] == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// fields prints a thing's fields, one a line, without those that are empty.
func fields(w io.Writer, pairs ...string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", pairs[i], safe(pairs[i+1]))
		}
	}
	return t.Flush()
}

// count says how many there are of something that takes an s.
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }

func seats(l store.License) string {
	if l.Limit == 0 {
		return strconv.Itoa(l.Used) + " of any"
	}
	return fmt.Sprintf("%d of %d", l.Used, l.Limit)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// orderJSON is an order as scripts see it.
type orderJSON struct {
	Store       string    `json:"store"`
	Transaction string    `json:"transaction"`
	Line        int       `json:"line"`
	Product     *string   `json:"product"`
	Quantity    int       `json:"quantity"`
	Status      string    `json:"status"`
	Reason      *string   `json:"reason"`
	Test        bool      `json:"test"`
	Licenses    []string  `json:"licenses"`
	Channel     string    `json:"channel"`
	LicenseType string    `json:"license_type"`
	Name        string    `json:"name"`
	Email       string    `json:"email"`
	Price       string    `json:"price"`
	Currency    string    `json:"currency"`
	Refunded    bool      `json:"refunded"`
	CreatedAt   time.Time `json:"created_at"`
}

func newOrderJSON(o store.Order) orderJSON {
	return orderJSON{
		o.Store, o.Transaction, o.Line, orNull(o.Product), o.Quantity, o.Status, orNull(o.Reason), o.Test, codes(o),
		o.Channel, o.LicenseType, o.Name, o.Email, o.Price, o.Currency, o.Refunded, o.CreatedAt,
	}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// codes are an order's codes, never nil.
func codes(o store.Order) []string {
	list := []string{}
	for _, l := range o.Licenses {
		list = append(list, l.Code)
	}
	return list
}

func orderTable(w io.Writer, orders []store.Order) error {
	rows := [][]string{{"STORE", "TRANSACTION", "LINE", "PRODUCT", "QUANTITY", "STATUS", "REASON", "TEST", "CREATED", "CODES"}}
	for _, o := range orders {
		list := strings.Join(codes(o), " ")
		if n := len(o.Licenses); n > 1 {
			list = fmt.Sprintf("%s and %d more", o.Licenses[0].Code, n-1)
		}
		status := o.Status
		if o.Refunded {
			status += ", refunded"
		}
		rows = append(rows, []string{
			o.Store, o.Transaction, strconv.Itoa(o.Line), o.Product, strconv.Itoa(o.Quantity), status, o.Reason, yes(o.Test),
			when(o.CreatedAt), list,
		})
	}
	return table(w, rows)
}

// licenseJSON is a license as scripts see it.
type licenseJSON struct {
	Code      string       `json:"code"`
	Product   string       `json:"product"`
	Status    string       `json:"status"`
	Type      string       `json:"type"`
	Test      bool         `json:"test"`
	Limit     int          `json:"limit"`
	Used      int          `json:"used"`
	Order     orderRefJSON `json:"order"`
	ExpiresAt *time.Time   `json:"expires_at"`
	CreatedAt time.Time    `json:"created_at"`
}

// shownLicenseJSON is what license show adds.
type shownLicenseJSON struct {
	licenseJSON
	Reasons     []string         `json:"reasons"`
	UpgradedBy  *orderRefJSON    `json:"upgraded_by"`
	Activations []activationJSON `json:"activations"`
}

type orderRefJSON struct {
	Store       string `json:"store"`
	Transaction string `json:"transaction"`
	Line        int    `json:"line"`
}

func (r orderRefJSON) String() string { return fmt.Sprintf("%s %s %d", r.Store, r.Transaction, r.Line) }

type activationJSON struct {
	ID           string     `json:"id"`
	Name         string     `json:"name"`
	Platform     string     `json:"platform"`
	AppVersion   string     `json:"app_version"`
	CreatedAt    time.Time  `json:"created_at"`
	LeaseExpires *time.Time `json:"lease_expires_at"`
}

func newLicenseJSON(l store.License) licenseJSON {
	return licenseJSON{
		Code: l.Code, Product: l.Product, Status: l.Status, Type: l.Type, Test: l.Test, Limit: l.Limit, Used: l.Used,
		Order: orderRefJSON(l.Order), ExpiresAt: l.ExpiresAt, CreatedAt: l.CreatedAt,
	}
}

// newActivationsJSON is never nil.
func newActivationsJSON(machines []store.Activation) []activationJSON {
	list := []activationJSON{}
	for _, m := range machines {
		j := activationJSON{ID: m.ID, Name: m.Machine.Name, Platform: m.Machine.Platform, AppVersion: m.Machine.AppVersion, CreatedAt: m.CreatedAt}
		if !m.LeaseExpires.IsZero() {
			j.LeaseExpires = &m.LeaseExpires
		}
		list = append(list, j)
	}
	return list
}
