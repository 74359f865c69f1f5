package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A bar shows how far a long work is; where nobody looks on, nothing.
type bar struct {
	progress *mpb.Progress // nil: nobody looks on
	bar      *mpb.Bar
}

func newBar(w io.Writer) *bar {
	b := &bar{}
	if !terminal(w) {
		return b
	}
	b.progress = mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
	b.bar = b.progress.AddBar(0,
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d rows ")),
		mpb.AppendDecorators(decor.Percentage(), decor.Name(" "), decor.AverageETA(decor.ET_STYLE_GO)))
	return b
}

// terminal tells whether a person looks on.
func terminal(w io.Writer) bool { return device(w) && os.Getenv("TERM") != "dumb" }

// device tells whether it is a terminal, of whatever kind, that is written to.
func device(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// at notes how far it is.
func (b *bar) at(_ string, done, total int64) {
	if b.progress != nil {
		b.bar.SetTotal(total, false)
		b.bar.SetCurrent(done)
	}
}

// end leaves the bar as it is.
func (b *bar) end() {
	if b.progress != nil {
		b.bar.SetTotal(-1, true)
		b.bar.Abort(false) // after an error; one that is complete stays so
		b.progress.Wait()
	}
}
