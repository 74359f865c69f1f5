package tfyp

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A mail brings one code, or one for each copy.
func TestCodes(t *testing.T) {
	p, _ := Builtin("tfyp")
	for _, test := range []struct {
		items, codes, want string
		list               []string
	}{
		{"US$ 35.00 - 1 * Product_Name\n", "", "", nil},
		{"US$ 35.00 - 1 * Product_Name\n", "Registration-Code: A-1\n", "", []string{"A-1"}},
		{"US$ 35.00 - 2 * Product_Name\n", "Registration-Code: B-2\nRegistration-Code: A-1\n", "", []string{"B-2", "A-1"}},
		{"US$ 35.00 - 1 * Product_Name\nUS$ 35.00 - 1 * Other_Product\n", "Registration-Code: A-1\nRegistration-Code: B-2\n", "", []string{"A-1", "B-2"}},
		{"US$ 35.00 - 2 * Product_Name\n", "Registration-Code: A-1\n", "", []string{"A-1"}},
		{"US$ 35.00 - 3 * Product_Name\n", "Registration-Code: A-1\nRegistration-Code: B-2\n", HeldAmbiguous, []string{"A-1", "B-2"}},
		{"US$ 35.00 - 2 * Product_Name\n", "Registration-Code: A-1\nRegistration-Code: A-1\n", HeldAmbiguous, []string{"A-1"}},
		{"US$ 35.00 - 1 * Product_Name\n", "Registration-Code:\n", "", nil},
		{"US$ 35.00 - 1 * Product_Name\n", "Registration-Code:\nRegistration-Code: A-1\n", HeldAmbiguous, []string{"A-1"}},
		{"US$ 35.00 - 1 * Product_Name\n", "Registration-Code: A-1\nComment: mine\nRegistration-Code: B-2\n", "", []string{"A-1"}},
	} {
		r := p.Read(textMail(t, test.items+"\nRegistered-To: Ada\n\nSQNM-\"me_Demo\" 0042\n"+test.codes))
		if diff := cmp.Diff(test.list, r.Codes); diff != "" || r.Held != test.want {
			t.Errorf("%q %q: %q, want %q; %s%q", test.items, test.codes, r.Held, test.want, diff, r.Problems)
		}
	}
}

// What is not in the charset that a mail declares is not known for certain.
func TestDeclaredCharset(t *testing.T) {
	p, _ := Builtin("tfyp")
	for charset, want := range map[string]string{
		"; charset=us-ascii": HeldCharset, "; charset=US-ASCII": HeldCharset, "; charset=utf-8": "", "": "", "; charset=x-unknown": HeldCharset,
	} {
		m, err := Open([]byte("Subject: Thanks for your purchase\nDate: Wed, 5 May 2004 09:12:44 -0700\nContent-Type: text/plain" + charset +
			"\n\nPayment for Product_Name\n\nRegistered-To: Zoë\n\nSQNM-\"me_Demo\" 0042\n"))
		if err != nil {
			t.Fatal(err)
		}
		if r := p.Read(m); r.Held != want {
			t.Errorf("%s: %q, want %q", charset, r.Held, want)
		}
	}
}
