package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars show how far a long work is, a bar for each table; where nobody looks
// on, nothing.
type bars struct {
	all  *mpb.Progress // nil: nobody looks on
	open map[string]*mpb.Bar
}

func newBars(w io.Writer) *bars {
	b := &bars{open: map[string]*mpb.Bar{}}
	if terminal(w) {
		b.all = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	}
	return b
}

// terminal tells whether a person looks on.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// table notes that so many rows of a table are done.
func (b *bars) table(name string, done, rows int64) {
	if b.all == nil {
		return
	}
	bar := b.open[name]
	if bar == nil {
		bar = b.all.AddBar(max(rows, 1),
			mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR), decor.CountersNoUnit("%d of %d", decor.WCSyncSpace)),
			mpb.AppendDecorators(decor.Percentage(), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace), "")))
		b.open[name] = bar
	}
	bar.SetCurrent(done)
	if done == rows {
		bar.SetTotal(-1, true)
	}
}

// end leaves the bars as they are.
func (b *bars) end(err error) {
	if b.all == nil {
		return
	}
	if err != nil {
		for _, bar := range b.open {
			bar.Abort(false)
		}
	}
	b.all.Wait()
}
