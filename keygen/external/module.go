package external

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// What a module says of its own size, the runtime believes: a few bytes of it can
// ask for tables or locals of gigabytes, which no limit of linear memory counts.
// So a module is read here first (WebAssembly 2.0, "Binary Format") and refused
// beyond these bounds. Toolchains stay far below them; where browsers have the
// same bound, it is theirs (WebAssembly JavaScript Interface, "Implementation-
// defined Limits").
const (
	maxModule    = 32 << 20  // bytes of the file
	maxEntries   = 1 << 20   // entries of all tables of an instance
	maxElements  = 1 << 18   // entries of all element segments, each of which is a function
	maxTables    = 100       // tables
	maxParts     = 100_000   // types, imports, exports, globals, element and data segments, each
	maxFunctions = 1_000_000 // functions
	maxValues    = 1000      // parameters or results of one function
	maxLocals    = 50_000    // locals of one function
	maxAllLocals = 4 << 20   // of all functions
	maxBody      = 1 << 20   // bytes of one function
)

// Sections, by their ids (5.5.2).
const (
	customSection = iota
	typeSection
	importSection
	functionSection
	tableSection
	memorySection
	globalSection
	exportSection
	startSection
	elementSection
	codeSection
	dataSection
	dataCountSection
)

const header = 8 // magic number and version

// readModule reads a module's file, fit to run; see fit.
func readModule(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	code, err := io.ReadAll(io.LimitReader(f, maxModule+1))
	if err != nil {
		return nil, err
	}
	if len(code) > maxModule {
		return nil, fmt.Errorf("the file is larger than %d MiB", maxModule>>20)
	}
	return fit(code)
}

// fit holds a module to the bounds and gives each table a maximum, beyond which
// table.grow fails as memory.grow does. Custom sections are left out: names and
// debug information are of no use here. What it does not know it refuses.
func fit(code []byte) ([]byte, error) {
	if len(code) < header || !bytes.HasPrefix(code, []byte("\x00asm\x01\x00\x00\x00")) {
		return code, nil // the runtime says what is wrong
	}
	out := bytes.NewBuffer(make([]byte, 0, len(code)))
	out.Write(code[:header])
	for r := (&reader{b: code[header:]}); len(r.b) > 0; {
		id := r.byte()
		content := r.take(r.u32())
		if r.err == nil && id == tableSection {
			content, r.err = fitTables(content)
		} else if r.err == nil {
			r.err = checkSection(id, content)
		}
		if r.err != nil {
			return nil, r.err
		}
		if id != customSection {
			out.WriteByte(id)
			out.Write(binary.AppendUvarint(nil, uint64(len(content))))
			out.Write(content)
		}
	}
	return out.Bytes(), nil
}

// fitTables bounds a table section: its tables share maxEntries.
func fitTables(content []byte) ([]byte, error) {
	type table struct {
		of       byte
		min, max uint32
	}
	r := &reader{b: content}
	list := make([]table, r.count("tables", maxTables))
	least := uint64(0)
	for i := range list {
		t := table{of: r.byte()}
		t.min, t.max = r.limits()
		least += uint64(t.min)
		list[i] = t
	}
	if least > maxEntries {
		r.fail("its tables begin with %d entries, and at most %d are possible", least, maxEntries)
	}
	if err := r.end(); err != nil || len(list) == 0 {
		return content, err
	}
	room := uint32(maxEntries-least) / uint32(len(list))
	out := binary.AppendUvarint(nil, uint64(len(list)))
	for _, t := range list {
		out = append(out, t.of, 1) // 1: there is a maximum
		out = binary.AppendUvarint(out, uint64(t.min))
		out = binary.AppendUvarint(out, uint64(max(t.min, min(t.max, t.min+room))))
	}
	return out, nil
}

// checkSection holds any other section to the bounds.
func checkSection(id byte, content []byte) error {
	r := &reader{b: content}
	switch id {
	case customSection:
		return nil
	case typeSection:
		r.each("types", maxParts, func() {
			r.byte()
			r.take(r.count("parameters of a function", maxValues))
			r.take(r.count("results of a function", maxValues))
		})
	case importSection:
		r.each("imports", maxParts, r.imported)
	case functionSection:
		r.each("functions", maxFunctions, func() { r.u32() })
	case memorySection: // its pages are bounded by the runtime
		r.each("memories", maxParts, func() { r.limits() })
	case globalSection:
		r.each("globals", maxParts, func() { r.take(2); r.expression() })
	case exportSection:
		r.each("exports", maxParts, func() { r.name(); r.byte(); r.u32() })
	case startSection, dataCountSection:
		r.u32()
	case elementSection:
		entries := uint32(0)
		r.each("element segments", maxParts, func() { r.element(&entries) })
	case codeSection:
		locals := uint64(0)
		r.each("functions", maxFunctions, func() { r.function(&locals) })
	case dataSection:
		r.each("data segments", maxParts, r.data)
	default:
		r.fail("it has a section of an unknown kind, %d", id)
	}
	return r.end()
}

// A reader reads a part of a module. After a failure it reads nothing but zeros.
type reader struct {
	b   []byte
	err error
}

var errCutOff = errors.New("it is cut off, or no WebAssembly module of version 2.0")

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.b = nil
}

// end wants all of it to be read.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errCutOff
	}
	return r.err
}

func (r *reader) take(n uint32) []byte {
	if uint64(n) > uint64(len(r.b)) {
		r.fail("%w", errCutOff)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// number reads an integer (5.2.2, LEB128), signed or not: the bits are for u32.
func (r *reader) number(bytes int) (n uint64) {
	for i := range bytes {
		b := r.byte()
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n
		}
	}
	r.fail("%w", errCutOff)
	return 0
}

func (r *reader) u32() uint32 {
	n := r.number(5)
	if n > 1<<32-1 {
		r.fail("%w", errCutOff)
		return 0
	}
	return uint32(n)
}

// count reads how many there are of something; each has a byte at least.
func (r *reader) count(what string, most uint32) uint32 {
	n := r.u32()
	if n > most {
		r.fail("it has %d %s, and at most %d are possible", n, what, most)
		return 0
	}
	if uint64(n) > uint64(len(r.b)) {
		r.fail("%w", errCutOff)
		return 0
	}
	return n
}

// each reads a vector (5.1.3).
func (r *reader) each(what string, most uint32, read func()) {
	for n := r.count(what, most); n > 0 && r.err == nil; n-- {
		read()
	}
}

func (r *reader) name() { r.take(r.u32()) }

// limits reads a minimum and a maximum (5.3.5).
func (r *reader) limits() (least, most uint32) {
	flag := r.byte()
	least, most = r.u32(), 1<<32-1
	if flag&1 != 0 {
		most = r.u32()
	}
	return least, most
}

// imported reads an import (5.5.5).
func (r *reader) imported() {
	r.name()
	r.name()
	switch kind := r.byte(); kind {
	case 0: // a function
		r.u32()
	case 1: // a table
		r.byte()
		r.limits()
	case 2: // a memory
		r.limits()
	case 3: // a global
		r.take(2)
	default:
		r.fail("it imports something of an unknown kind, %d", kind)
	}
}

// expression reads a constant expression (5.4.9).
func (r *reader) expression() {
	for r.err == nil {
		switch op := r.byte(); op {
		case 0x0b: // end
			return
		case 0x23, 0xd2: // global.get, ref.func
			r.u32()
		case 0x41, 0x42: // i32.const, i64.const
			r.number(10)
		case 0x43: // f32.const
			r.take(4)
		case 0x44: // f64.const
			r.take(8)
		case 0xd0: // ref.null
			r.byte()
		case 0xfd: // v128.const
			r.u32()
			r.take(16)
		case 0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e: // of the later "extended const": add, sub, mul
		default:
			r.fail("it computes a constant by an unknown instruction, 0x%02x", op)
		}
	}
}

// element reads an element segment (5.5.12).
func (r *reader) element(entries *uint32) {
	const passive, explicit, expressions = 1, 2, 4
	flags := r.u32()
	if flags > 7 {
		r.fail("it has an element segment of an unknown kind, %d", flags)
	}
	if flags&(passive|explicit) == explicit {
		r.u32() // which table
	}
	if flags&passive == 0 {
		r.expression() // where to
	}
	if flags&(passive|explicit) != 0 {
		r.byte() // of what
	}
	n := r.count("entries of element segments", maxElements-*entries)
	*entries += n
	for ; n > 0 && r.err == nil; n-- {
		if flags&expressions != 0 {
			r.expression()
		} else {
			r.u32()
		}
	}
}

// function reads a function's code (5.5.13) up to its instructions.
func (r *reader) function(all *uint64) {
	size := r.u32()
	if size > maxBody {
		r.fail("one of its functions has %d bytes, and at most %d are possible", size, maxBody)
	}
	body := &reader{b: r.take(size), err: r.err}
	locals := uint64(0)
	body.each("kinds of locals", maxLocals, func() {
		locals += uint64(body.u32())
		body.byte()
	})
	if locals > maxLocals {
		body.fail("one of its functions has %d locals, and at most %d are possible", locals, maxLocals)
	}
	if *all += locals; *all > maxAllLocals {
		body.fail("its functions have more than %d locals", maxAllLocals)
	}
	if body.err != nil {
		r.fail("%w", body.err)
	}
}

// data reads a data segment (5.5.14).
func (r *reader) data() {
	switch flags := r.u32(); flags {
	case 0: // of the only memory
		r.expression()
	case 1: // passive
	case 2:
		r.u32()
		r.expression()
	default:
		r.fail("it has a data segment of an unknown kind, %d", flags)
	}
	r.take(r.u32())
}
