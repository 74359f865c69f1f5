package tfyp

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/emersion/go-message"
)

// What a profile costs on one mail, beside go-message that takes it apart and
// does nothing with it: docs/benchmarks.md wants at least 0.6 of its speed.

var benchSamples = []string{"02-later-wording", "33-with-the-headers-of-the-way", "12-quoted-printable", "15-alternative"}

func BenchmarkProfile(b *testing.B) {
	p, _ := Builtin("tfyp")
	for _, name := range benchSamples {
		raw := sample(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				m, err := Open(raw)
				if err != nil {
					b.Fatal(err)
				}
				if r := p.Read(m); !r.Recognised || r.Held != "" {
					b.Fatal(r)
				}
			}
		})
	}
}

func BenchmarkGoMessage(b *testing.B) {
	for _, name := range benchSamples {
		raw := sample(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				e, err := message.Read(bytes.NewReader(raw))
				if err != nil {
					b.Fatal(err)
				}
				err = e.Walk(func(_ []int, part *message.Entity, err error) error {
					if err != nil || part.MultipartReader() != nil {
						return err
					}
					_, err = io.Copy(io.Discard, part.Body)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/mails/" + name + ".eml")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
