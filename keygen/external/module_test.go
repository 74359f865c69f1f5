package external

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Modules written by hand, as small as they can be: what they ask for is not
// in their size.

func uvarint(n int) string { return string(binary.AppendUvarint(nil, uint64(n))) }

// vec is a vector of parts; part is one that is preceded by its size.
func vec(parts ...string) string { return uvarint(len(parts)) + strings.Join(parts, "") }

func part(content string) string { return uvarint(len(content)) + content }

func section(id byte, content string) string { return string(id) + part(content) }

const (
	magic   = "\x00asm\x01\x00\x00\x00"
	many    = "\xff\xff\xff\xff\x0f" // 2^32 - 1
	noType  = "\x60\x00\x00"
	funcref = "\x70"
)

// module is a WASI command of these instructions, with more sections. Those
// before the code are put in their places.
func module(code string, more ...string) string {
	all := append([]string{
		section(typeSection, vec(noType)), section(functionSection, vec("\x00")), section(exportSection, vec(part("_start")+"\x00\x00")),
		section(codeSection, vec(part("\x00"+code+"\x0b"))),
	}, more...)
	order := []byte{typeSection, importSection, functionSection, tableSection, memorySection, globalSection, exportSection, startSection, elementSection, dataCountSection, codeSection, dataSection, customSection}
	out := magic
	for _, id := range order {
		found := ""
		for _, s := range all {
			if s[0] == id {
				found = s // the last one, for those that replace
			}
		}
		out += found
	}
	return out
}

// allocated is how much memory a call took in all, whether or not it was given back.
func allocated(call func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// cheap wants a call to take less than so many MiB.
func cheap(t *testing.T, most int64, call func()) {
	t.Helper()
	if took := allocated(call) >> 20; took > most {
		t.Errorf("it took %d MiB, more than %d", took, most)
	}
}

// A table grows to its bound and no further, as memory does, however it is asked.
func TestTablesAreBounded(t *testing.T) {
	const (
		grow      = "\xd0\x70" + "\x41\x80\x80\x04" + "\xfc\x0f\x00" // table.grow 0 (ref.null func) (i32.const 65536)
		growByOne = "\xd0\x70" + "\x41\x01" + "\xfc\x0f\x00"
		growAll   = "\xd0\x70" + "\x41\xff\xff\xff\xff\x07" + "\xfc\x0f\x00"
		untilFull = "\x03\x40" + grow + "\x41\x7f\x47\x0d\x00\x0b"      // loop (br_if 0 (i32.ne … (i32.const -1))) end
		slowly    = "\x03\x40" + growByOne + "\x41\x7f\x47\x0d\x00\x0b" //
		forever   = "\x03\x40" + grow + "\x1a\x0c\x00\x0b"              // loop drop (br 0) end
		trap      = "\x00"
	)
	size := "\xfc\x10\x00"                                                              // table.size 0
	full := size + "\x41\x80\x80\xc0\x00\x47\x04\x40" + "\x03\x40\x0c\x00\x0b" + "\x0b" // if it is not 2^20: loop forever
	externref := strings.ReplaceAll(untilFull, "\xd0\x70", "\xd0\x6f")
	for name, c := range map[string]struct{ code, tables, want string }{
		"until it is full":    {untilFull + full + trap, vec(funcref + "\x00\x00"), "unreachable"},
		"one by one":          {slowly + full + trap, vec(funcref + "\x00\x00"), "unreachable"},
		"with a maximum":      {untilFull + full + trap, vec(funcref + "\x01\x00" + many), "unreachable"},
		"of references":       {externref + full + trap, vec("\x6f\x00\x00"), "unreachable"},
		"at once":             {growAll + "\x1a" + trap, vec(funcref + "\x00\x00"), "unreachable"},
		"for ever":            {forever, vec(funcref + "\x00\x00"), "it took more than 100ms"},
		"two, until full":     {untilFull + strings.ReplaceAll(untilFull, "\x0f\x00", "\x0f\x01") + trap, vec(funcref+"\x00\x00", funcref+"\x00\x01"), "unreachable"},
		"its own maximum":     {growAll + "\x41\x7f\x46\x04\x40" + trap + "\x0b", vec(funcref + "\x01\x02\x03"), "unreachable"},
		"begins with as many": {trap, vec(funcref + "\x00\x80\x80\xc0\x00"), "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			w := write(t, module(c.code, section(tableSection, c.tables)))
			w.limits.Timeout = time.Minute
			if strings.Contains(c.want, "took") {
				w.limits.Timeout = limit
			}
			if err := w.Load(); err != nil {
				t.Fatal(err)
			}
			before := heap()
			cheap(t, 80, func() { bad(t, w, request(1), c.want) })
			isBack(t, before)
		})
	}
}

// A module that asks for too much is refused when it is read, at next to no cost.
func TestModulesAreBounded(t *testing.T) {
	end := "\x0b"
	zero := "\x41\x00" + end
	repeat := func(n int, s string) string { return uvarint(n) + strings.Repeat(s, n) }
	for name, c := range map[string]struct{ module, want string }{
		"a table":                   {module("", section(tableSection, vec(funcref+"\x00\x80\x80\x80\x40"))), "its tables begin with 134217728 entries, and at most 1048576 are possible"},
		"tables":                    {module("", section(tableSection, repeat(50, funcref+"\x00\x80\x80\x04"))), "its tables begin with 3276800 entries"},
		"many tables":               {module("", section(tableSection, repeat(101, funcref+"\x00\x00"))), "it has 101 tables, and at most 100 are possible"},
		"tables that are not there": {module("", section(tableSection, many)), "tables, and at most"},
		"memory":                    {module("", section(memorySection, vec("\x00\x80\x80\x04"))), "65536 pages"},
		"memories":                  {module("", section(memorySection, vec("\x00\x01", "\x00\x01"))), "at most one memory"},
		"globals":                   {module("", section(globalSection, repeat(maxParts+1, "\x7f\x00"+zero))), "it has 100001 globals"},
		"types":                     {module("", section(typeSection, many+noType)), "it has 4294967295 types"},
		"parameters":                {module("", section(typeSection, vec("\x60"+many+"\x7f"))), "it has 4294967295 parameters of a function"},
		"results":                   {module("", section(typeSection, vec("\x60\x00"+many+"\x7f"))), "it has 4294967295 results of a function"},
		"functions":                 {module("", section(functionSection, many+"\x00")), "it has 4294967295 functions"},
		"exports":                   {module("", section(exportSection, many)), "it has 4294967295 exports"},
		"a name":                    {module("", section(exportSection, "\x01"+many+"_start")), "it is cut off"},
		"an import's name":          {module("", section(importSection, "\x01"+many+"x")), "it is cut off"},
		"imports":                   {module("", section(importSection, many)), "it has 4294967295 imports"},
		"locals":                    {module("", section(codeSection, vec(part("\x01"+many+"\x7f"+end)))), "one of its functions has 4294967295 locals, and at most 50000 are possible"},
		"locals in parts":           {module("", section(codeSection, vec(part("\x03"+strings.Repeat("\xa0\x9c\x01\x7f", 3)+end)))), "one of its functions has 60000 locals"},
		"locals of all":             {module("", section(functionSection, repeat(100, "\x00")), section(codeSection, repeat(100, part("\x01\xd0\x86\x03\x7f"+end)))), "its functions have more than 4194304 locals"},
		"kinds of locals":           {module("", section(codeSection, vec(part(many+end)))), "it has 4294967295 kinds of locals"},
		"a function":                {module("", section(codeSection, vec(part("\x00"+strings.Repeat("\x01", maxBody)+end)))), "one of its functions has 1048578 bytes"},
		"code that is not there":    {module("", section(codeSection, many)), "it has 4294967295 functions"},
		"element segments":          {module("", section(elementSection, many)), "it has 4294967295 element segments"},
		"elements":                  {module("", section(elementSection, "\x01\x01\x00"+many)), "it has 4294967295 entries of element segments"},
		"elements in parts":         {module("", section(elementSection, vec("\x01\x00"+repeat(1<<17, "\x00"), "\x01\x00"+repeat(1<<17, "\x00"), "\x01\x00\x01\x00"))), "it has 1 entries of element segments, and at most 0 are possible"},
		"data":                      {module("", section(dataSection, "\x01\x01"+many)), "it is cut off"},
		"data segments":             {module("", section(dataSection, repeat(maxParts+1, "\x01\x00"))), "it has 100001 data segments"},
		"a section":                 {magic + "\x01" + many, "it is cut off"},
		"an unknown section":        {magic + section(99, ""), "it has a section of an unknown kind, 99"},
		"more than it says":         {module("", section(startSection, "\x00\x00")), "it is cut off"},
		"an endless number":         {module("", section(startSection, "\x80\x80\x80\x80\x80\x00")), "it is cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			w := write(t, c.module)
			cheap(t, 16, func() {
				if err := w.Load(); err == nil || !strings.Contains(err.Error(), "the module gen.wasm: ") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			})
		})
	}
	large := filepath.Join(t.TempDir(), "large.wasm")
	if err := os.WriteFile(large, []byte(magic), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 1<<40); err != nil {
		t.Fatal(err)
	}
	w, err := NewWasm(large, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Load(); err == nil || !strings.Contains(err.Error(), "the file is larger than 32 MiB") {
		t.Error(err)
	}
}

// Names that are not there cost nothing: custom sections are left out.
func TestCustomSectionsAreLeftOut(t *testing.T) {
	names := module("\x00", section(customSection, part("name")+"\x01"+part(many)))
	w := write(t, names)
	cheap(t, 16, func() { bad(t, w, request(1), "unreachable") })
	if got, err := fit([]byte(names)); err != nil || string(got) != module("\x00") {
		t.Errorf("%q, %v", got, err)
	}
}

// The start function is held to the time limit, too.
func TestStartFunctionIsBounded(t *testing.T) {
	w := write(t, module("\x03\x40\x0c\x00\x0b", section(startSection, "\x00")))
	w.limits.Timeout = limit
	if err := w.Load(); err != nil {
		t.Fatal(err)
	}
	stoppedInTime(t, func() { bad(t, w, request(1), "it took more than 100ms") })
}

// A compilation that takes long keeps nobody waiting; after one that failed
// there is another.
func TestSlowCompilation(t *testing.T) {
	w := write(t, module("\x00"))
	w.patience = 0
	slow := &compilation{ended: make(chan struct{})}
	w.compiled = slow
	for range 2 {
		bad(t, w, request(1), "the module gen.wasm: it is not compiled after 0s")
	}
	if w.compiled != slow {
		t.Error("a second compilation was begun")
	}
	w = write(t, "nonsense")
	bad(t, w, request(1), "invalid magic number")
	if err := os.WriteFile(w.file, []byte(module("\x00")), 0o600); err != nil {
		t.Fatal(err)
	}
	bad(t, w, request(1), "unreachable")
}

// As large as a module may be, it costs no more than its bounds, each time.
func TestLargestModule(t *testing.T) {
	repeat := func(n int, s string) string { return uvarint(n) + strings.Repeat(s, n) }
	w := write(t, module("\x00",
		section(tableSection, repeat(maxTables, funcref+"\x00\x00")),
		section(globalSection, repeat(maxParts, "\x7f\x00\x41\x00\x0b")),
		section(elementSection, vec("\x01\x00"+repeat(maxElements, "\x00"))),
		section(dataCountSection, uvarint(maxParts)),
		section(dataSection, repeat(maxParts, "\x01\x00")),
	))
	w.limits.Timeout = time.Minute
	cheap(t, 256, func() {
		if err := w.Load(); err != nil {
			t.Fatal(err)
		}
	})
	before := heap()
	cheap(t, 64, func() { bad(t, w, request(1), "unreachable") })
	isBack(t, before)
}

// What the module itself says stays as it is.
func TestFitChangesTablesAlone(t *testing.T) {
	code := module("\x00",
		section(importSection, vec(part("a")+part("f")+"\x00\x00", part("a")+part("t")+"\x01"+funcref+"\x01\x00\x05", part("a")+part("m")+"\x02\x00\x01", part("a")+part("g")+"\x03\x7f\x00")),
		section(tableSection, vec(funcref+"\x01\x02\x03")),
		section(globalSection, vec("\x7e\x01\x42\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f\x0b", "\x7d\x00\x43abcd\x0b", "\x7c\x00\x44abcdefgh\x0b", "\x70\x00\xd0\x70\x0b", "\x70\x00\xd2\x00\x0b", "\x7f\x00\x23\x00\x0b", "\x7b\x00\xfd\x0c0123456789abcdef\x0b", "\x7f\x00\x41\x01\x41\x02\x6a\x0b")),
		section(elementSection, vec("\x00\x41\x00\x0b\x01\x00", "\x01\x00\x01\x00", "\x02\x00\x41\x00\x0b\x00\x01\x00", "\x03\x00\x01\x00", "\x04\x41\x00\x0b\x01\xd2\x00\x0b", "\x05\x70\x01\xd0\x70\x0b", "\x06\x00\x41\x00\x0b\x70\x00", "\x07\x70\x00")),
		section(dataSection, vec("\x00\x41\x00\x0b\x02ab", "\x01\x02cd", "\x02\x00\x41\x00\x0b\x02ef")),
	)
	if got, err := fit([]byte(code)); err != nil || !bytes.Equal(got, []byte(code)) {
		t.Errorf("%q, want %q, %v", got, code, err)
	}
	free := strings.Replace(code, funcref+"\x01\x02\x03", funcref+"\x00\x02", 1)
	if got, err := fit([]byte(strings.Replace(free, "\x04\x05\x01\x70", "\x04\x04\x01\x70", 1))); err != nil || !bytes.Contains(got, []byte(funcref+"\x01\x02\x80\x80\x40")) {
		t.Errorf("no maximum: %q, %v", got, err)
	}
}

// Whatever the bytes are: no panic, and what is fit stays fit.
func FuzzFit(f *testing.F) {
	f.Add([]byte(module("\x00", section(tableSection, vec(funcref+"\x00\x02")))))
	f.Add([]byte(module("\x00", section(customSection, part("name")), section(elementSection, vec("\x01\x00\x01\x00")), section(dataSection, vec("\x01\x02cd")))))
	f.Add([]byte("nonsense"))
	f.Fuzz(func(t *testing.T, code []byte) {
		once, err := fit(code)
		if err != nil {
			return
		}
		if again, err := fit(once); err != nil || !bytes.Equal(once, again) {
			t.Errorf("%q, then %q, %v", once, again, err)
		}
	})
}
