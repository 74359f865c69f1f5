package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/keypost/keypost/admin"
)

// testKey is the path of a key that keygen's tests have.
func testKey(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../keygen/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// filing makes demo a product with license files.
func (s *site) filing() {
	s.t.Helper()
	s.write(strings.Replace(s.text(), "limit = 2\n",
		fmt.Sprintf("limit = 2\ngenerator = { kind = \"aquaticprime\", key_file = %q }\n", testKey(s.t, "aquaticprime.plist")), 1))
}

// The buyer of a license file gets its number in the reply, and a mail for the
// file; the vendor has the same file at any time.
func TestLicenseFile(t *testing.T) {
	eachDatabase(t, func(t *testing.T, s *site) {
		s.filing()
		s.serve()
		code := s.post("--name", "Ada <L>")[0]
		if problem := s.activate(code, "machine-1"); problem != "" {
			t.Errorf("activate: %s", problem)
		}
		var waiting []struct{ Kind, Audience string }
		s.read(0, &waiting, "outbox", "list")
		if len(waiting) != 1 || waiting[0].Kind != "codes" || waiting[0].Audience != "buyer" {
			t.Errorf("outbox = %+v", waiting)
		}
		_, text, errOut := s.run("license", "file", strings.ToLower(code))
		for _, want := range []string{"<string>Ada &lt;L&gt;</string>", "<string>" + code + "</string>", "<string>CH0123456789</string>"} {
			if !strings.Contains(text, want) || errOut != "" {
				t.Errorf("no %s in\n%s%s", want, text, errOut)
			}
		}
		file := filepath.Join(t.TempDir(), "a.plist")
		if out := s.must(0, "license", "file", code, "-o", file); !strings.Contains(out, "a.plist. Buyers get it as demo.plist") {
			t.Error(out)
		}
		if b, err := os.ReadFile(file); err != nil || string(b) != text {
			t.Errorf("%s, %v, want %s", b, err, text)
		}
		if out := s.must(1, "license", "file", code, "--out", file); !strings.Contains(out, "was not changed") {
			t.Error(out)
		}
		s.must(1, "license", "file", code, "-o", filepath.Join(file, "no", "folder"))
		s.must(3, "license", "file", "NOTHING")
		s.must(2, "license", "file", " ")

		var l admin.License
		s.read(0, &l, "license", "replace", code)
		if out := s.must(1, "license", "file", code); !strings.Contains(out, "replaced by another code") {
			t.Error(out)
		}
		if out := s.must(0, "license", "file", l.Code); !strings.Contains(out, l.Code) {
			t.Error(out)
		}
		s.must(0, "license", "suspend", l.Code)
		if out := s.must(1, "license", "file", l.Code); !strings.Contains(out, "the license is suspended") {
			t.Error(out)
		}
		other := issueOne(s, "other", "--name", "Ada")
		if out := s.must(1, "license", "file", other); !strings.Contains(out, "the product other has only codes") {
			t.Error(out)
		}
		test := issueOne(s, "demo", "--name", "Ada", "--test")
		if out := s.must(1, "license", "file", test); !strings.Contains(out, "it is a test license") {
			t.Error(out)
		}
		// A person who was forgotten is in no new file.
		forgotten := issueOne(s, "demo", "--name", "Ada", "--email", "ada@example.com")
		s.must(0, "license", "file", forgotten)
		s.must(0, "customer", "forget", "--yes", "ada@example.com")
		if out := s.must(1, "license", "file", forgotten); !strings.Contains(out, "no name") {
			t.Error(out)
		}
		if out := s.must(4, "license", "issue", "demo"); !strings.Contains(out, "incomplete") {
			t.Errorf("without a name:\n%s", out)
		}
	})
}

func issueOne(s *site, product string, args ...string) string {
	s.t.Helper()
	_, out, errOut := s.run(append([]string{"license", "issue", product, "--codes"}, args...)...)
	if out = strings.TrimSpace(out); out == "" {
		s.t.Fatal(errOut)
	}
	return out
}

// keygen try shows the file after the code, and warns of what is good as it is.
func TestKeygenTryFile(t *testing.T) {
	s := newSite(t)
	s.filing()
	_, out, warning := s.run("keygen", "try", "demo", "--name", "Ada", "--quantity", "2")
	shape := regexp.MustCompile(`^(\S+)\n\S+\n\ndemo\.plist, of (\S+):\n<\?xml (?s:.*)</plist>\n\ndemo\.plist, of \S+:\n<\?xml (?s:.*)</plist>\n$`)
	if m := shape.FindStringSubmatch(out); m == nil || m[1] != m[2] || !strings.Contains(warning, "Keep these codes secret") {
		t.Errorf("%s%s", out, warning)
	}
	var tried []admin.Trial
	s.read(0, &tried, "keygen", "try", "demo", "--name", "Ada")
	if len(tried) != 1 || tried[0].File == nil || tried[0].File.Name != "demo.plist" || !strings.Contains(tried[0].File.Content, tried[0].Code) {
		t.Errorf("%+v", tried)
	}
	if out := s.must(1, "keygen", "try", "demo"); !strings.Contains(out, "no name") {
		t.Error(out)
	}
	if out := s.must(0, "keygen", "try", "other"); strings.Contains(out, "Keep") || strings.Contains(out, "plist") {
		t.Error(out)
	}
}
