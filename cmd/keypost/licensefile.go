package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

type licenseFile struct {
	licenseName
	Out string `help:"Where to; a file that is there stays. Without it: standard output, where a terminal is shown nothing that would control it." short:"o" placeholder:"FILE"`
}

func (licenseFile) Help() string {
	return "It is made of the order as it is now, and is the same each time.\n\nExample: keypost license file 4KJMX-9RTWA-2XK7P-HFD3C-V8M6T -o Ada.plist"
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
	fmt.Fprintf(a.out, "The license file is in %s; buyers get it as %s.\n", safe(c.Out), safe(f.Name))
	return nil
}

// writeNew writes a file that is not there yet, whole or not at all.
func writeNew(file string, content []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and stays as it is: name another file", file)
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
