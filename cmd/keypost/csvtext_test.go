package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// Tables as spreadsheets save them come in with their umlauts, and it is said how
// they were read.
func TestImportCSVAsSpreadsheetsSave(t *testing.T) {
	s := newSite(t)
	if err := s.serve()(); err != nil {
		t.Fatal(err)
	}
	const commas = "code,name,test\r\nCODE,\"Jürgen; Groß, GmbH\",true\r\n"
	const semicolons = "code;name;test;;\r\nCODE;\"Jürgen; Groß, GmbH\";WAHR;;\r\n;;;;\r\n"
	in := func(e encoding.Encoding, text string) string {
		b, err := e.NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	n := 0
	for _, test := range []struct{ text, encoding, want string }{
		{commas, "", "read as UTF-8, separated by commas"},
		{"\ufeff" + semicolons, "", "read as UTF-8 with a byte order mark, separated by semicolons"},
		{"sep=;\r\n" + semicolons, "", "read as UTF-8, separated by semicolons"},
		{strings.ReplaceAll(commas, "\r\n", "\r"), "", "read as UTF-8, separated by commas"},
		{in(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "code\tname\ttest\nCODE\tJürgen; Groß, GmbH\ttrue\n"), "", "read as UTF-16LE, separated by tabs"},
		{in(unicode.UTF16(unicode.BigEndian, unicode.UseBOM), semicolons), "windows-1252", "read as UTF-16BE, separated by semicolons"},
		{in(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), commas), "utf-16le", "read as utf-16le, separated by commas"},
		{in(charmap.Windows1252, semicolons), "windows-1252", "read as windows-1252, separated by semicolons"},
		{in(charmap.ISO8859_1, commas), "latin1", "read as windows-1252, separated by commas"},
		{in(charmap.Macintosh, commas), "macintosh", "read as macintosh, separated by commas"},
	} {
		n++
		code := strings.Repeat("A", n)
		text := test.text
		for _, e := range []encoding.Encoding{encoding.Nop, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)} {
			text = strings.Replace(text, in(e, "CODE"), in(e, code), 1)
		}
		args := []string{"import", "csv", s.place("old.csv", text), "--product", "demo"}
		if test.encoding != "" {
			args = append(args, "--encoding", test.encoding)
		}
		if out := s.must(0, args...); !strings.Contains(out, "1 codes: 1 were imported") || !strings.Contains(out, test.want) {
			t.Errorf("%q:\n%s", test.text, out)
		}
		var o admin.Order
		if s.read(0, &o, "order", "show", "import", strings.ToLower(code)); o.Name != "Jürgen; Groß, GmbH" || !o.Test {
			t.Errorf("%q: %+v", test.text, o)
		}
	}
	// What cannot be read for certain is refused as a whole, with what to do.
	for _, test := range []struct{ text, encoding, want string }{
		{in(charmap.Windows1252, commas), "", "line 2 is not UTF-8"},
		{in(charmap.Windows1252, commas), "", "--encoding windows-1252"},
		{in(unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM), "code,name\nJ,x\n"), "", "may be UTF-16"},
		{commas, "windows-1252", "leave out --encoding"},
		{"code,name\nJ,\x81\n", "windows-1252", "line 2 has a character that does not exist in windows-1252"},
		{"\xff\xfec", "", "does not exist in UTF-16LE"},
		{commas, "nonsense", "--encoding nonsense is unknown"},
		{"code|name\nJ|x\n", "", "unknown"},
	} {
		args := []string{"import", "csv", s.place("old.csv", test.text), "--product", "demo"}
		if test.encoding != "" {
			args = append(args, "--encoding", test.encoding)
		}
		code, out, errOut := s.run(args...)
		if code == 0 || !strings.Contains(errOut, test.want) || out != "" {
			t.Errorf("%q: exit %d\n%s%s", test.text, code, out, errOut)
		}
	}
}

// What goes out comes in again, whatever a buyer typed and whatever separates the
// cells, and no spreadsheet finds a formula in it.
func TestExportCSVRoundTrip(t *testing.T) {
	names := []string{
		"Jürgen Groß", "=1+1", "'=1+1", "''=1+1", "'just so", "x;=cmd|'/c calc'!A0", "x,=1", "a;b, c", `x;"=cmd"`, "x; =1", "＝1+1", "x;＋1", "@x", "-x", "+x", "x;\u200b=1",
	}
	from, to := newSite(t), newSite(t)
	for _, s := range []*site{from, to} {
		if err := s.serve()(); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		from.must(0, "license", "issue", "demo", "--transaction", string(rune('a'+i)), "--name="+name)
	}
	for _, separator := range []string{"comma", "semicolon", "tab"} {
		file := filepath.Join(t.TempDir(), "out.csv")
		from.must(0, "export", "csv", file, "--separator", separator)
		b, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(b, []byte(admin.UTF8Mark)) {
			t.Errorf("%s: no byte order mark: %v", separator, err)
		}
		for _, comma := range []rune{',', ';', '\t'} {
			r := csv.NewReader(bytes.NewReader(b[len(admin.UTF8Mark):]))
			r.Comma, r.LazyQuotes, r.FieldsPerRecord = comma, true, -1
			rows, err := r.ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, cell := range bytes.FieldsFunc(bytes.Join(join(rows), []byte("\x00")), func(r rune) bool { return r == 0 }) {
				if formula.Match(cell) && !bytes.HasPrefix(bytes.TrimLeft(cell, `"`), []byte("'")) {
					t.Errorf("separated by %s and split at %q, there is a cell %q", separator, comma, cell)
				}
			}
		}
		if out := to.must(0, "import", "csv", file); !strings.Contains(out, "0 failed") {
			t.Errorf("%s: %s", separator, out)
		}
	}
	for i, name := range names {
		var o admin.Order
		if to.read(0, &o, "order", "show", "manual", string(rune('a'+i))); o.Name != name {
			t.Errorf("%q came back as %q", name, o.Name)
		}
	}
	if out := from.must(0, "export", "csv"); strings.Contains(out, "\ufeff") {
		t.Error("a byte order mark on standard output")
	}
}

// formula is what a spreadsheet takes for the beginning of a formula: also behind
// quotes, spaces and what is not seen, and by its full-width forms.
var formula = regexp.MustCompile(`^['"\p{Z}\p{Cc}\p{Cf}]*[=+\-@\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]`)

func join(rows [][]string) (cells [][]byte) {
	for _, row := range rows {
		for _, cell := range row {
			cells = append(cells, []byte(cell))
		}
	}
	return cells
}
