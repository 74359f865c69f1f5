package admin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/keypost/keypost/ingest/tfyp"
)

// An oldMail is one of a person's own files.
type oldMail struct {
	name      string // the file's within its folder and, in an mbox, which one
	raw       []byte // of one that is too long, as much as is read
	read, all int64  // bytes of all files, up to its end
}

// eachMail hands over each mail of a folder and of those within it, in the order
// of their names: a file each (.eml, Maildir), or an mbox. At most one mail is in
// memory.
func eachMail(folder string, found func(oldMail) error) error {
	var files []string
	var all int64
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() || path != folder && strings.HasPrefix(d.Name(), ".") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files, all = append(files, path), all+info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	var before int64
	for _, path := range files {
		name, err := filepath.Rel(folder, path)
		if err != nil || name == "." {
			name = filepath.Base(path)
		}
		read, err := mailsIn(path, name, func(m oldMail) error {
			m.read, m.all = before+m.read, all
			return found(m)
		})
		if err != nil {
			return err
		}
		before += read
	}
	return nil
}

// mailsIn hands over the mails of one file.
func mailsIn(path, name string, found func(oldMail) error) (read int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 64<<10)
	if head, _ := lines.Peek(len(mboxLine)); string(head) != mboxLine {
		raw, err := io.ReadAll(io.LimitReader(lines, tfyp.MaxMail+1))
		if err != nil {
			return 0, err
		}
		return int64(len(raw)), found(oldMail{name: name, raw: raw, read: int64(len(raw))})
	}
	return mbox(lines, func(n int, raw []byte, read int64) error {
		return found(oldMail{name: fmt.Sprintf("%s %d", name, n), raw: raw, read: read})
	})
}

const mboxLine = "From "

// mbox takes the mails out of an mbox file (RFC 4155): each begins with a line
// "From " after an empty one, and a line in it that begins so, with any number of
// > before it, has one > more.
func mbox(lines *bufio.Reader, found func(n int, raw []byte, read int64) error) (read int64, err error) {
	var raw []byte
	n, empty, begin := 0, true, true
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return read, err
		}
		ended := errors.Is(err, io.EOF)
		next := begin && empty && bytes.HasPrefix(line, []byte(mboxLine))
		if n > 0 && (next || ended && len(line) == 0) {
			if empty { // the line between two mails
				raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
			}
			if err := found(n, raw, read); err != nil {
				return read, err
			}
			raw = nil
		}
		if ended && len(line) == 0 {
			return read, nil
		}
		read += int64(len(line))
		if next {
			n++
		} else if room := tfyp.MaxMail + 1 - len(raw); room > 0 {
			if begin && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte(mboxLine)) {
				line = bytes.TrimPrefix(line, []byte(">"))
			}
			raw = append(raw, line[:min(len(line), room)]...)
		}
		if begin {
			empty = len(bytes.TrimRight(line, "\r\n")) == 0
		}
		begin = err == nil
	}
}
