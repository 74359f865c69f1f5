package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// confirmed is embedded by commands that ask before they do what cannot be undone.
type confirmed struct {
	Yes bool `help:"Do not ask." short:"y"`
}

// confirm asks a person. Where nobody can answer, --yes must have been given.
func (c confirmed) confirm(a *app, question string) error {
	if c.Yes {
		return nil
	}
	if in, ok := a.in.(*os.File); !ok || !device(in) {
		return usageError{fmt.Errorf("%s To confirm, add --yes", question)}
	}
	fmt.Fprintf(a.err, "%s [y/N] ", safe(question))
	answer, err := bufio.NewReader(a.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}
