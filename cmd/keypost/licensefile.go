package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

type licenseFile struct {
	licenseName
	Out string `help:"The file to write (default: standard output, with control characters escaped on a terminal). An existing file is not overwritten." short:"o" placeholder:"FILE"`
}

func (licenseFile) Help() string {
	return "The file is generated from the current order, and is the same each time.\n\nExample: keypost license file 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T -o Ada.plist"
}

func (c licenseFile) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	f, err := o.LicenseFile(a, c.name())
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err := asIs(a.out).Write(f.Content)
		return err
	}
	if err := writeNew(c.Out, f.Content); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Wrote the license file to %s. Buyers get it as %s.\n", safe(c.Out), safe(f.Name))
	return nil
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists and was not changed: name another file", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}
