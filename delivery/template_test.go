package delivery

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestTemplatesFound(t *testing.T) {
	folder := t.TempDir()
	for _, file := range []string{"codes.txt", "codes.de.txt", "demo/codes.txt", "demo/codes.de.txt", "other/codes.pt-BR.txt"} {
		write(t, folder, file, "Subject: "+file+"\r\n\r\n{{range .Codes}}{{.Code}} {{end}}")
	}
	write(t, folder, "codes.de.html", "<b>{{.Product}}</b>{{range .Codes}}{{.Code}} {{end}}")
	write(t, folder, "README", "not a template")
	list, err := LoadTemplates(folder, []string{"demo", "other"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{"demo", "de", "demo/codes.de.txt"},
		{"demo", "de-AT", "demo/codes.de.txt"},
		{"demo", "DE", "demo/codes.de.txt"},
		{"demo", "fr", "demo/codes.txt"},
		{"demo", "", "demo/codes.txt"},
		{"other", "de", "codes.de.txt"},
		{"other", "pt-br", "other/codes.pt-BR.txt"},
		{"other", "pt", "codes.txt"},
		{"", "", "codes.txt"},
	} {
		if r, err := list.Codes(c[0], c[1], example("demo", "Demo")); err != nil || r.Subject != c[2] {
			t.Errorf("%v: %q, %v", c, r.Subject, err)
		}
	}
	if r, _ := list.Codes("other", "de", example("demo", "D<e>mo")); !strings.HasPrefix(r.HTML, "<b>D&lt;e&gt;mo</b>") {
		t.Errorf("%q", r.HTML)
	}
	if r, _ := list.Codes("demo", "de", example("demo", "Demo")); r.HTML != "" {
		t.Errorf("the HTML is another text's: %q", r.HTML)
	}
}

// What is wrong in a template is told when it is loaded, with file and line.
func TestTemplatesRefused(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"codes.txt", "Hello\n\nx", "codes.txt:1: it must start with a line like Subject:"},
		{"codes.txt", "Subject: \n\nx", "codes.txt:1: it must start"},
		{"codes.txt", "Subject: x\nText at once", "codes.txt:1: it must start"},
		{"codes.txt", "Subject: x\n\n", "codes.txt:1: it must start"},
		{"codes.txt", "Subject: x\n\na\nb {{.Naem}}\n", "codes.txt:4:4: "},
		{"codes.txt", "Subject: x\n\na\n{{if}}\n", "codes.txt:4: "},
		{"codes.txt", "Subject: {{.Naem}}\n\na", "codes.txt:1:"},
		{"codes.txt", "Subject: x\n\n{{range .Codes}}{{if gt .Limit 2}}{{.Nothing}}{{end}}{{end}}", "codes.txt:3:"},
		{"codes.txt", "Subject: x\n\nThank you.", "codes: the code is missing"},
		{"demo/codes.html", "x", "demo/codes.html: codes.txt is missing beside it"},
		{"nothing/codes.txt", "Subject: x\n\nx", `no product has the id "nothing"`},
		{"code.txt", "Subject: x\n\nx", "code.txt: a template must be named codes.txt or codes.html"},
		{"codes.deutsch.txt", "Subject: x\n\nx", "a template must be named codes.txt"},
	} {
		folder := t.TempDir()
		write(t, folder, c.file, c.text)
		if _, err := LoadTemplates(folder, []string{"demo"}); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "html/") {
			t.Errorf("%s %q: %v, want %q", c.file, c.text, err, c.want)
		}
	}
	folder := t.TempDir()
	write(t, folder, "codes.txt", "Subject: x\n\nx")
	write(t, folder, "codes.html", "<p>\n{{.Naem}}")
	if _, err := LoadTemplates(folder, nil); err == nil || !strings.Contains(err.Error(), "codes.html:2:") {
		t.Errorf("%v", err)
	}
	if _, err := LoadTemplates(folder+"/codes.txt", nil); err == nil || !strings.Contains(err.Error(), "is not a folder") {
		t.Errorf("%v", err)
	}
	if _, err := LoadTemplates(folder+"/nowhere", nil); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}

// The built-in texts, word for word.
func TestBuiltIn(t *testing.T) {
	list, err := LoadTemplates("", nil)
	if err != nil {
		t.Fatal(err)
	}
	one := Codes{Name: "Ada Lovelace", Product: "Demo", Order: "CH0123456789", Codes: []Code{{Code: "4KJMX-9RTWA", Product: "Demo", Limit: 3}}}
	end := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	two := Codes{Product: "Bundle", Bundle: true, For: ForTest, Offline: "https://keys.example.com/offline", Codes: []Code{{"A", "App", "app", 1, &end}, {"B", "Plugin", "plugin", 1, &end}}}
	for _, c := range []struct {
		language string
		data     Codes
		want     string
	}{
		{"", one, `Your activation code for Demo
Hello Ada Lovelace,

This is your activation code for Demo:

    4KJMX-9RTWA

Enter it where the program asks for it. It activates up to 3 computers.

Keep this mail: you will need the code again for your next computer.

Order: CH0123456789
`},
		{"", two, `[Test order] Your activation codes for Bundle
This was a test order, so this mail goes to you. A buyer would get the text below.

Hello,

These are your activation codes for Bundle:

    A   (App)
    B   (Plugin)

Enter one where the program asks for it. Each activates one computer. Valid until 31 January 2027.

For a computer without internet access: https://keys.example.com/offline

Keep this mail: you will need the code again for your next computer.
`},
		{"de", one, `Ihr Aktivierungscode für Demo
Guten Tag Ada Lovelace,

hier ist Ihr Aktivierungscode für Demo:

    4KJMX-9RTWA

Geben Sie ihn ein, wenn das Programm danach fragt. Er gilt für bis zu 3 Computer.

Heben Sie diese Mail auf: Auf Ihrem nächsten Computer brauchen Sie den Code wieder.

Bestellung: CH0123456789
`},
	} {
		r, err := list.Codes("demo", c.language, c.data)
		if got := r.Subject + "\n" + r.Text; err != nil || got != c.want {
			t.Errorf("%v:\n%s\nwant:\n%s", err, got, c.want)
		}
	}
	if _, err := list.Codes("demo", "", Codes{}); err == nil {
		t.Error("a mail without codes")
	}
}
