package keygen

import (
	"errors"
	"strings"
	"testing"
)

const machineKey = "a key of 16 bytes or more"

func machine(t testing.TB, o MachineOptions) *Machine {
	t.Helper()
	o.Seed = func(item string) (string, string) {
		k, v, _ := strings.Cut(item, "=")
		return k, v
	}
	if o.Key == "" {
		o.Key, o.Keyword = machineKey, "Computer-number"
	}
	g, err := NewMachine(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestMachineCodes(t *testing.T) {
	g := machine(t, MachineOptions{})
	// The number's case, spaces and dashes do not count, nor the keyword's case.
	for _, seed := range []string{"Computer-number=5368-44AB", "computer-NUMBER= 5368 44ab"} {
		codes, err := g.Generate(t.Context(), Request{Product: "demo", Quantity: 1, Seeds: []string{"colour=red", seed}})
		if err != nil || len(codes) != 1 || codes[0] != "VSDPC-BQ7YM-6ZCVT-WKMSM-WXEQ2" {
			t.Errorf("%s: %v, %v", seed, codes, err)
		}
	}
	two, err := g.Generate(t.Context(), Request{Product: "demo", Quantity: 2, Seeds: []string{"Computer-number=11111111", "Computer-number=5368-44AB"}})
	if err != nil || len(two) != 2 || two[1] != "VSDPC-BQ7YM-6ZCVT-WKMSM-WXEQ2" || two[0] == two[1] {
		t.Errorf("two machines: %v, %v", two, err)
	}
	if other := g.code("other", "536844AB"); other == two[1] {
		t.Error("two products have one code")
	}
	long := machine(t, MachineOptions{Groups: 17, Length: 3})
	if code := long.code("demo", "536844AB"); len(code) != 67 || plain(code)[:25] != plain(two[1]) {
		t.Errorf("long: %s", code)
	}
}

func TestMachineRequests(t *testing.T) {
	g := machine(t, MachineOptions{Key: machineKey, Keyword: "N", Shape: `[0-9]{8}|X[0-9]`})
	bad := func(quantity int, want string, seeds ...string) {
		t.Helper()
		codes, err := g.Generate(t.Context(), Request{Product: "demo", Quantity: quantity, Seeds: seeds})
		if !errors.Is(err, ErrRequest) || !strings.Contains(err.Error(), want) || codes != nil {
			t.Errorf("%v: %v, %v, want %s", seeds, codes, err, want)
		}
	}
	bad(1, "0 have a number")
	bad(1, "0 have a number", "M=12345678")
	bad(1, "N: what the buyer gave is not", "N=1234567")
	bad(1, "is not a machine's number", "N=x1y") // the whole number must fit
	bad(1, "2 have a number", "N=12345678", "N=X1")
	bad(3, "2 have a number", "N=12345678", "N=X1")
	bad(2, "appears twice", "N=12345678", "N=1234 5678")
	if !g.Fits("1234-5678") || g.Fits("") {
		t.Error("Fits")
	}
}

func TestMachineRefuses(t *testing.T) {
	bad := func(o MachineOptions, option, want string) {
		t.Helper()
		_, err := NewMachine(o)
		e, ok := errors.AsType[*OptionError](err)
		if !ok || e.Option != option || !strings.Contains(e.Problem, want) || o.Key != "" && strings.Contains(e.Problem, o.Key) {
			t.Errorf("%+v: %v, want %s: %s", o, err, option, want)
		}
	}
	bad(MachineOptions{Key: "too short", Keyword: "N"}, "key", "at least 16")
	bad(MachineOptions{Key: machineKey, Keyword: " "}, "keyword", "it is missing")
	bad(MachineOptions{Key: machineKey, Keyword: "N", Shape: "("}, "shape", "no regular expression")
	bad(MachineOptions{Key: machineKey, Keyword: "N", Groups: 3}, "length", "15 symbols")
	bad(MachineOptions{Key: machineKey, Keyword: "N", Groups: 52, Length: 1}, "length", "52 symbols")
}
