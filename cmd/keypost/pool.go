package main

import (
	"fmt"
	"os"
	"strconv"
)

func (poolCommands) Help() string { return "Example: keypost pool show" }

type poolCommands struct {
	Load poolLoad `cmd:"" help:"Add codes to a product's pool."`
	Show poolShow `cmd:"" help:"Show how many codes are left in each pool."`
}

type poolLoad struct {
	changing
	jsonFlag
	Product string `arg:"" help:"The product, by its id."`
	File    string `arg:"" help:"The codes, one per line; - is standard input. Codes that the pool already has are skipped."`
}

func (poolLoad) Help() string {
	return "Codes are issued in the order of the file. Loading a file twice adds nothing.\n\nExample: keypost pool load demo codes.txt"
}

func (c poolLoad) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	in, from := a.in, "standard input"
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in, from = f, c.File
	}
	done, err := o.LoadPool(a, actor, c.Product, in, from)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, done)
	}
	fmt.Fprintf(a.out, "Added %d codes to the pool %s; %d were already there.\n", done.Added, done.Pool, done.Known)
	return nil
}

type poolShow struct {
	jsonFlag
}

func (poolShow) Help() string { return "Example: keypost pool show --json" }

func (c poolShow) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	pools, err := o.Pools(a)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, pools)
	}
	if len(pools) == 0 {
		fmt.Fprintln(a.out, "No pools.")
		return nil
	}
	rows := [][]string{{"POOL", "CODES", "LEFT", "LOW"}}
	for _, p := range pools {
		rows = append(rows, []string{p.Pool, strconv.Itoa(p.Codes), strconv.Itoa(p.Free), yes(p.Low)})
	}
	return table(a.out, rows)
}
