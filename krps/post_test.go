package krps

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/keypost/keypost/ingest"
)

func TestTable4IsWhole(t *testing.T) {
	if len(Parameters) != 26 || len(parameters) != 26 {
		t.Fatalf("%d names, %d rows, want 26", len(Parameters), len(parameters))
	}
	for _, name := range Parameters {
		if _, ok := parameters[name]; !ok {
			t.Errorf("%s has no row", name)
		}
	}
	for _, name := range covered {
		if row := parameters[name]; row.shape == nil || row.null {
			t.Errorf("%s is covered by the digest and may be anything", name)
		}
	}
}

// Each field's length: footnote 4's are cut, the others must fit.
func TestLengths(t *testing.T) {
	for _, name := range Parameters {
		row := parameters[name]
		long := strings.Repeat("A", row.max+1)
		if name == "ACG:Request" || name == "ACG:InputVersion" {
			continue // TestRequestAndVersion
		}
		if p, err := Decode([]byte(url.QueryEscape(name) + "=" + long[1:])); err != nil || p.Value(name) != long[1:] {
			t.Errorf("%s with its longest value: %v", name, err)
		}
		p, err := Decode([]byte(url.QueryEscape(name) + "=" + long))
		switch {
		case row.cut && (err != nil || p.Value(name) != long[1:]):
			t.Errorf("%s was not cut: %v", name, err)
		case !row.cut && (err == nil || !strings.Contains(err.Error(), name+" is longer than")):
			t.Errorf("%s one too long: %v", name, err)
		}
	}
	// Not through the middle of a character.
	name := strings.Repeat("é", 200)
	p := mustDecode(t, "ACG%3AFlags=EncodingPreserved%3D1&ACG%3APurchaserName-8bit="+url.QueryEscape("x"+name))
	if got := p.Value("ACG:PurchaserName-8bit"); !utf8.ValidString(got) || got != "x"+name[:254] {
		t.Errorf("a cut name = %q", got)
	}
}

func TestRequestAndVersion(t *testing.T) {
	good := func(field, value string, information bool) {
		t.Helper()
		p, err := Decode([]byte(field + "=" + url.QueryEscape(value)))
		if err != nil || p.Information != information {
			t.Errorf("%s=%q: information %v, %v", field, value, p.Information, err)
		}
	}
	bad := func(field, value string) {
		t.Helper()
		if _, err := Decode([]byte(field + "=" + url.QueryEscape(value))); err == nil {
			t.Errorf("%s=%q is taken", field, value)
		}
	}
	for _, v := range []string{"", "0200", "0201", "0202", "0208", "0299"} { // 0208 is no octal number
		good("ACG:InputVersion", v, false)
	}
	for _, v := range []string{"0199", "0300", "200", "2020", "0x20", "+202", "02.2", " 202", "02020"} {
		bad("ACG:InputVersion", v)
	}
	for _, v := range []string{"", "Generate", "NULL", "null", "generate"} {
		good("ACG:Request", v, false)
	}
	good("ACG:Request", "Information", true)
	for _, v := range []string{"Delete", "Generate ", "Generate,Information", strings.Repeat("G", 33)} {
		bad("ACG:Request", v)
	}
}

func TestDecode(t *testing.T) {
	bad := func(body, want string) {
		t.Helper()
		_, err := Decode([]byte(body))
		if _, ok := err.(Bad); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", body, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "<script>") {
			t.Errorf("%.40q: the error quotes the post: %v", body, err)
		}
	}
	bad("ACG%3ANote=%zz", "ACG:Note has a broken")
	bad("x=%", "a broken %-escape")
	bad("%=x", "name has a broken")
	bad("ACG%3ANote=1&ACG:Note=2", "ACG:Note appears twice")
	bad("ACG%3A%3Cscript%3E=1&ACG:<script>=2", "An ACG: field appears twice")
	bad(strings.Repeat("x", MaxBody+1), "longer than 65536 bytes")

	p := mustDecode(t, "a=1&a=2&&ACG%3APurchaserEmail=a%2Bb%40x&Submit=Do+it&novalue&ACG%3ANote=a;b%253D")
	if got := p.Email(); got != "a+b@x" {
		t.Errorf("decoded twice: %q", got)
	}
	if got := p.Posted("ACG:Note"); got != "a;b%3D" {
		t.Errorf("note = %q", got)
	}
	mustDecode(t, strings.Repeat("x", MaxBody))
	mustDecode(t, "")
}

func TestFlags(t *testing.T) {
	for flags, want := range map[string][2]bool{
		"":                            {false, false},
		"Test=1":                      {true, false},
		"test=1":                      {true, false},
		"Test=0":                      {false, false},
		"EncodingPreserved=1,Test=1":  {true, true},
		" Test = 1 , Other=1":         {true, false},
		"EncodingPreserved=1":         {false, true},
		"NoTest=1":                    {false, false},
		"Test":                        {false, false},
		"Test=10":                     {false, false},
		"Other=Test=1":                {false, false},
		"Test=0,EncodingPreserved=0,": {false, false},
	} {
		p := mustDecode(t, "ACG%3AFlags="+url.QueryEscape(flags))
		if got := [2]bool{p.Test, p.EncodingPreserved}; got != want {
			t.Errorf("%q: test, preserved = %v, want %v", flags, got, want)
		}
	}
}

func TestLicensee(t *testing.T) {
	for _, c := range []struct {
		why, want string
		changes   []string
	}{
		{"the purchaser", "Fred Fragola", nil},
		{"the card", "Card Name Here", []string{"ACG:PurchaserName", ""}},
		{"blank is nothing", "Card Name Here", []string{"ACG:PurchaserName", " \t\r\n"}},
		{"the e-mail", "email@domain.com", []string{"ACG:PurchaserName", "-", "ACG:CardName", "-"}},
		{"the first address", "a@x", []string{"ACG:PurchaserName", "", "ACG:CardName", "", "ACG:PurchaserEmail", "a@x,b@y"}},
		{"nothing", "", []string{"ACG:PurchaserName", "", "ACG:CardName", "", "ACG:PurchaserEmail", ""}},
		{"8 bits are not preserved", "Bj?rn", []string{"ACG:PurchaserName", "Bj?rn", "ACG:PurchaserName-8bit", "Bjørn"}},
		{"8 bits are preserved", "Bjørn", []string{"ACG:Flags", "EncodingPreserved=1", "ACG:PurchaserName", "Bj?rn", "ACG:PurchaserName-8bit", "Bjørn"}},
		{"8 bits are not UTF-8", "Bj?rn", []string{"ACG:Flags", "EncodingPreserved=1", "ACG:PurchaserName", "Bj?rn", "ACG:PurchaserName-8bit", "Bj\xf8rn"}},
		{"8 bits are blank", "Fred Fragola", []string{"ACG:Flags", "EncodingPreserved=1", "ACG:PurchaserName-8bit", " "}},
		{"the card's 8 bits", "Cärd", []string{"ACG:Flags", "EncodingPreserved=1", "ACG:PurchaserName", "", "ACG:PurchaserName-8bit", "", "ACG:CardName-8bit", "Cärd"}},
		{"bytes outside of rule 1", "B??j???", []string{"ACG:PurchaserName", "B\x00\x1bj\x7fø"}},
		{"outer space stays", " Fred ", []string{"ACG:PurchaserName", " Fred "}},
	} {
		if got := mustDecode(t, example("MD5", c.changes...)).Licensee(); got != c.want {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

func TestOrder(t *testing.T) {
	c := hookup("MD5")
	p := mustDecode(t, example("MD5", "ACG:Flags", "Test=1,EncodingPreserved=1", "ACG:QuantityOrdered", "12"))
	got := c.Order(p)
	if strings.Contains(string(got.Message.Raw), p.Posted("ACG:Password")) {
		t.Error("the password is kept")
	}
	if !strings.Contains(string(got.Message.Raw), "ACG%3APurchaserName=Fred+Fragola") {
		t.Errorf("the raw post is not kept: %s", got.Message.Raw)
	}
	got.Message.Raw = nil
	want := ingest.Order{
		Channel: "kagi", Store: "kagi", Transaction: "CH0123456789", StoreProduct: "Product_Name", LicenseType: "single",
		Name: "Fred Fragola", Email: "email@domain.com", Price: "149.000", Currency: "USD",
		Seeds:   []string{"Keyword: mykey - value", "hardwareFingerprint=E96D-6CEE", "userPreferredName=Softedge, Inc."},
		OEMSeed: "Clear-Text=Password", Quantity: 12, Test: true, EightBit: true,
	}
	want.Message.Channel = "kagi"
	want.Also = []string{"password ch0123456789product_name149.0002000-12-3112single"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A password is kept in no spelling, and in no broken post.
func TestRawHasNoPassword(t *testing.T) {
	for _, body := range []string{
		"ACG%3APassword=secretly", "ACG:Password=secretly&x=1", "x=1&acg%3apassword=secretly", "%zz=secretly", "ACG%3APassword=%zzsecretly",
		"ACG%3APassword+=secretly", "ACG%3APassword=a&ACG%3APassword=secretly",
	} {
		p, _ := Decode([]byte(body))
		if strings.Contains(string(p.Raw()), "secretly") {
			t.Errorf("%s is kept as %s", body, p.Raw())
		}
	}
	if p, _ := Decode(make([]byte, MaxBody+10)); len(p.Raw()) > MaxBody {
		t.Errorf("%d bytes of a long post are kept", len(p.Raw()))
	}
}

func TestSeeds(t *testing.T) {
	for raw, want := range map[string][]string{
		"": {},
		"Keyword: mykey - value, hardwareFingerprint=E96D-6CEE, userPreferredName=Softedge,, Inc.": {
			"Keyword: mykey - value", "hardwareFingerprint=E96D-6CEE", "userPreferredName=Softedge, Inc.",
		},
		// As the specification prints it, against its own rule.
		"Keyword: title - Dr. Mark Sloan., M.D, Keyword: SyncID - acg@kagi.com": {
			"Keyword: title - Dr. Mark Sloan., M.D", "Keyword: SyncID - acg@kagi.com",
		},
		"Keyword: title - Dr. Mark Sloan,, M.D, Keyword: SyncID - acg@kagi.com": {
			"Keyword: title - Dr. Mark Sloan, M.D", "Keyword: SyncID - acg@kagi.com",
		},
		"Keyword: Computer-number - 5368-4402-3780-6581": {"Keyword: Computer-number - 5368-4402-3780-6581"},
		"Clear-Text=Password":                            {"Clear-Text=Password"},
		"a=1,b=2,, c=3,d=4":                              {"a=1", "b=2, c=3", "d=4"},
		"x=ends with a comma,,,y=2":                      {"x=ends with a comma,", "y=2"},
		" , ,":                                           {", ,"},
	} {
		if got := Seeds(raw); !slices.Equal(got, want) || got == nil {
			t.Errorf("Seeds(%q) = %q, want %q", raw, got, want)
		}
	}
	for item, want := range map[string][2]string{
		"Keyword: mykey - value":    {"mykey", "value"},
		"Keyword: k - a - b=c":      {"k", "a - b=c"},
		"userPreferredName=A=B - C": {"userPreferredName", "A=B - C"},
		"12345":                     {"", "12345"},
		"Keyword: broken":           {"", "Keyword: broken"},
	} {
		if k, v := ingest.Seed(item); [2]string{k, v} != want {
			t.Errorf("ingest.Seed(%q) = %q, %q", item, k, v)
		}
	}
}

// Whatever is posted: no panic, nothing kept that is not text, and the fields
// come through another encoding as they are.
func FuzzDecode(f *testing.F) {
	f.Add(example("MD5"))
	f.Add("ACG%3AFlags=EncodingPreserved%3D1&ACG%3APurchaserName-8bit=%F8%00")
	f.Add("ACG:Note=a;b%253D&Submit=x&&=&ACG%3ACustomerSeed=a,,b, Keyword: c - d")
	f.Fuzz(func(t *testing.T, body string) {
		p, err := Decode([]byte(body))
		p.Raw()
		if err != nil {
			return
		}
		_ = hookup("MD5").Authenticate(p)
		o := hookup("MD5").Order(p)
		for _, v := range append([]string{o.Name, o.Email, o.LicenseType, o.OEMSeed}, o.Seeds...) {
			if !utf8.ValidString(v) || len(v) > 256 || strings.ContainsAny(v, "\x00\x1b") {
				t.Errorf("%q is taken from %q", v, body)
			}
		}
		again := mustDecode(t, Encode(p.posted))
		for _, name := range Parameters {
			if again.Posted(name) != p.Posted(name) || again.Has(name) != p.Has(name) {
				t.Errorf("%s = %q, and %q after another encoding", name, p.Posted(name), again.Posted(name))
			}
		}
	})
}

func FuzzSeeds(f *testing.F) {
	f.Add("Keyword: a - b, c=d,, e")
	f.Fuzz(func(t *testing.T, raw string) {
		for _, item := range Seeds(raw) {
			if strings.TrimSpace(item) != item || item == "" {
				t.Errorf("Seeds(%q) has the item %q", raw, item)
			}
			ingest.Seed(item)
		}
	})
}

// A post names its mail by the number of a blurb, whose name the channel has.
func TestSequences(t *testing.T) {
	const date = "ACG%3ADateProcessed=2004-05-05&"
	one := []ingest.Sequence{{Name: "me_Demo", Number: 42, Date: time.Date(2004, 5, 5, 0, 0, 0, 0, time.UTC)}}
	for _, c := range []struct {
		blurb, body string
		want        []ingest.Sequence
	}{
		{"me_Demo", date + "ACG%3ASQNM=0042", one},
		{"me_Demo", date + "ACG%3ASQNM=42", one},
		{"", date + "ACG%3ASQNM=0042", nil},
		{"me_Demo", date, nil},
		{"me_Demo", date + "ACG%3ASQNM=-042", nil},
		{"me_Demo", date + "ACG%3ASQNM=+042", nil},
		{"me_Demo", "ACG%3ADateProcessed=2004-13-05&ACG%3ASQNM=0042", nil},
	} {
		got := Channel{Blurb: c.blurb}.Order(mustDecode(t, c.body)).Sequences
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q, %s: %s", c.blurb, c.body, diff)
		}
	}
}
