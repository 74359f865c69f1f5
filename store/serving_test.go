package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/keypost/keypost/store/storetest"
)

// An embedded database is one daemon's at a time; a server's is everybody's.
func TestServe(t *testing.T) {
	file := "sqlite:" + filepath.Join(t.TempDir(), "k.db")
	end, err := Serve(file)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Serve(file)
	if !errors.Is(err, ErrServed) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", os.Getpid())) {
		t.Errorf("a second daemon: %v", err)
	}
	end()
	again, err := Serve(file)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again()
	server := storetest.MariaDB(t)
	for range 2 {
		end, err := Serve(server)
		if err != nil {
			t.Fatal(err)
		}
		defer end()
	}
}
