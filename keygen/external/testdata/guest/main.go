// A generator of a vendor, good or bad as the order's first seed says: for
// wasip1, and as a program too.
package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

var kept [][]byte

func main() {
	var r struct {
		Name     string
		Seeds    []string
		Quantity int
	}
	line, err := bufio.NewReader(os.Stdin).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	do := "good"
	if len(r.Seeds) > 0 {
		do = r.Seeds[0]
	}
	switch do {
	case "loop":
		for i := 0; ; i++ {
			kept = kept[:0]
		}
	case "sleep":
		time.Sleep(time.Hour)
	case "memory":
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			kept = append(kept, b)
		}
	case "output":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "errors":
		for {
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 1000))
		}
	case "file":
		for _, f := range []string{"/etc/passwd", "main.go", ".", "/"} {
			if _, err := os.ReadFile(f); err == nil {
				fmt.Println("FILE")
			}
		}
		if err := os.WriteFile("/tmp/x", nil, 0o600); err == nil {
			fmt.Println("FILE")
		}
		fmt.Println("NO-FILES")
	case "net":
		if c, err := net.Dial("tcp", "127.0.0.1:80"); err == nil {
			c.Close()
			fmt.Println("NET")
		}
		fmt.Println("NO-NET")
	case "env":
		fmt.Printf("%d-%d\n", len(os.Environ()), len(os.Args))
	case "trap":
		var p *int
		fmt.Println(*p)
	case "few":
	case "lacks":
		fmt.Fprintf(os.Stderr, "%s: a machine's number is missing\nmore\n", r.Name)
		os.Exit(65)
	case "exit":
		fmt.Fprintf(os.Stderr, "no luck for %s \x1b[31m\n", r.Name)
		os.Exit(3)
	default:
		for range r.Quantity {
			fmt.Println(rand.Text())
		}
	}
}
