package delivery

import (
	"slices"
	"testing"

	"github.com/keypost/keypost/store"
)

// A mail that is put off is tried for days, under one Message-ID; then it is
// dead.
func TestMailSchedule(t *testing.T) {
	f := &mailhost{atRcpt: answer(450, "later")}
	p := newPost(t, sqlite(t), faultyHost(t, f))
	_, n := p.add("T1", nil)
	begin := p.now()
	for p.notice(n.ID).Status == store.NoticeWaiting {
		p.wait(max(0, p.notice(n.ID).NextAt.Sub(p.now())))
		p.mail()
	}
	if got, days := p.notice(n.ID), p.now().Sub(begin).Hours()/24; got.Tries != len(mailSchedule)+1 || days < 4 || days > 5 {
		t.Errorf("%.1f days, %+v", days, got)
	}
	f.set(func() { f.atRcpt = nil })
	if err := p.db.RetryNotice(t.Context(), n.ID, "test"); err != nil {
		t.Fatal(err)
	}
	p.mail()
	if want := []string{"<" + n.ID + "@example.com>"}; !slices.Equal(f.got, want) {
		t.Errorf("%v, want %v", f.got, want)
	}
}
