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

	"github.com/keypost/keypost/admin"
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

func seats(used, limit int) string {
	if limit == 0 {
		return strconv.Itoa(used) + ", no limit"
	}
	return fmt.Sprintf("%d of %d", used, limit)
}

// notes prints sentences that the person should see.
func (a *app) notes(list []string) {
	for _, n := range list {
		a.note(n)
	}
}

// noteUnknown says of a list without rows whether it was narrowed by a name that
// nothing has.
func (a *app) noteUnknown(o *admin.Admin, rows int, n admin.Named) error {
	if rows > 0 {
		return nil
	}
	list, err := o.Unknown(a, n)
	a.notes(list)
	return err
}

// deref is the text, or "".
func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orderTable(w io.Writer, orders []admin.Order) error {
	rows := [][]string{{"STORE", "TRANSACTION", "LINE", "PRODUCT", "QUANTITY", "STATUS", "REASON", "TEST", "CREATED", "CODES"}}
	for _, o := range orders {
		list := strings.Join(o.Licenses, " ")
		if n := len(o.Licenses); n > 1 {
			list = fmt.Sprintf("%s and %d more", o.Licenses[0], n-1)
		}
		status := o.Status
		if o.Refunded {
			status += ", refunded"
		}
		rows = append(rows, []string{
			o.Store, o.Transaction, strconv.Itoa(o.Line), deref(o.Product), strconv.Itoa(o.Quantity), status, deref(o.Reason), yes(o.Test),
			when(o.CreatedAt), list,
		})
	}
	return table(w, rows)
}
