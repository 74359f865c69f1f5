package tfyp

import (
	"testing"

	"golang.org/x/text/unicode/norm"
)

// Labels beyond ASCII are found in any case, composed or not.
func TestForeignLabels(t *testing.T) {
	p, err := ParseProfile("p", []byte("subject = [\"Dänke\"]\ntext = [\"Über uns\"]\nkeywords = [\"Gerätenummer\"]\n[fields]\nname = [\"Käufer\"]\nemail = [\"K\"]\n"+
		"product = [\"...der Ähre \"]\ntransaction = [\"№\"]\nquantity = [\"Käufe\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{ // name, product, keyword, quantity
		"Käufer: Ada":             {": Ada", "", "", ""},
		"KÄUFER Zoë Å":            {"Zoë Å", "", "", ""},
		"Käufers Ada":             {"", "", "", ""},
		"Käuferé: Ada":            {"", "", "", ""},
		"Käufe 3":                 {"", "", "", "3"},
		"K\u00e4ufe\u0301 3":      {"", "", "", ""},
		"in der ähre Demo":        {"", "Demo", "", ""},
		"gerätenummer: 4711 - ää": {"", "", "4711 - ää", ""},
	} {
		for _, form := range []norm.Form{norm.NFC, norm.NFD} {
			r := p.Read(Mail{Subject: form.String("DÄNKE schön"), Text: form.String(text) + "\n№ 7\n"})
			got := []string{r.Value("name"), r.Value("product"), r.Value("keyword Gerätenummer"), r.Value("quantity")}
			for i := range want {
				if got[i] != form.String(want[i]) || !r.Recognised || r.Value("transaction") != "7" { // a value stays as it stands there
					t.Errorf("%q: %q, want %q; %+v", form.String(text), got, want, r)
				}
			}
		}
	}
	if r := p.Read(Mail{Subject: "x", Text: "über UNS\n"}); !r.Recognised {
		t.Error("not known by its text")
	}
}
