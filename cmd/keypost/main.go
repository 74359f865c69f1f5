// Command keypost takes orders in, gives activation codes out and lets shipped
// software activate: the daemon (keypost serve), and every operation of its
// vendor. This package has flags, one call to package admin, and printing; a file
// a subcommand. config reads keypost.toml, daemon is what serve runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"

	"github.com/keypost/keypost/admin"
	"github.com/keypost/keypost/cmd/keypost/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "keypost: "+lineSafe(err.Error()))
	}
	os.Exit(exitCode(err))
}

// commands is the command line.
type commands struct {
	Config string `help:"The config file. Default: $KEYPOST_CONFIG, then ./keypost.toml, then /etc/keypost/keypost.toml." placeholder:"FILE"`
	Demo   bool   `help:"Without a config file: allow a command to change the demo's database."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`

	Init       initCommand       `cmd:"" help:"Write a commented keypost.toml, and create the database and its keys."`
	Serve      serveCommand      `cmd:"" help:"Run the daemon."`
	Check      checkCommand      `cmd:"" help:"Check the config, the database, the mail servers and each generator."`
	Post       postCommands      `cmd:"" help:"Post an order as a store would, for testing."`
	Parse      parseCommands     `cmd:"" help:"Show what would be read from an order, without changing anything."`
	Profile    profileCommands   `cmd:"" help:"Profiles for notification mails: show, test, draft."`
	Order      orderCommands     `cmd:"" help:"Orders: list, show, approve, reject, resend, refund."`
	License    licenseCommands   `cmd:"" help:"Licenses: list, show, file, issue, edit, replace, revoke, suspend, restore, release, reset."`
	Keygen     keygenCommands    `cmd:"" help:"Generators: try."`
	Pool       poolCommands      `cmd:"" help:"Pools of ready-made codes: load, show."`
	Import     importCommands    `cmd:"" help:"Import codes that were issued elsewhere: csv, mbox, maildir."`
	Export     exportCommands    `cmd:"" help:"Export all licenses: csv."`
	Customer   customerCommands  `cmd:"" help:"Customers: show, edit, forget."`
	DB         dbCommands        `cmd:"" name:"db" help:"The database: create, migrate, verify, copy, backup, restore."`
	Audit      auditCommands     `cmd:"" help:"The audit log of what people did: verify."`
	Outbox     outboxCommands    `cmd:"" help:"Outgoing mails and webhook events: list, retry."`
	Mail       mailCommands      `cmd:"" help:"Outgoing mail and mails in mailboxes: preview, test, digest, list, show, approve, dismiss."`
	Webhook    webhookCommands   `cmd:"" help:"Webhooks: test."`
	Keys       keysCommands      `cmd:"" help:"Lease-signing keys: list, rotate."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Completion completionCommand `cmd:"" help:"Shell completion for bash, zsh and fish."`
}

type completionCommand struct {
	kongcompletion.Completion
}

func (completionCommand) Help() string {
	return "Shows what to add to the shell's startup file. With -c, it prints the script itself.\n\nExample: keypost completion bash"
}

// An app is what a subcommand works with.
type app struct {
	context.Context
	in       io.Reader
	out, err io.Writer
	file     string // --config
	demo     bool   // --demo
}

// run is main without the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) error {
	var c commands
	exited := false
	parser, err := kong.New(&c,
		kong.Name("keypost"),
		kong.Description("Orders in, activation codes out: a license server for people who sell their own software.\n\nExample: keypost serve"),
		kong.Writers(out, errOut),
		kong.Vars{"version": versionLine()},
		kong.Exit(func(int) { exited = true }), // --help
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, Summary: true}),
	)
	if err != nil {
		return err
	}
	kongcompletion.Register(parser) // answers where a shell asks (COMP_LINE)
	if exited {
		return nil
	}
	switch {
	case len(args) == 0:
		parser.Stdout = errOut
		_, _ = parser.Parse([]string{"--help"})
		return usageError{errors.New("name a command")}
	case args[0] == "help":
		args = append(args[1:], "--help")
	}
	k, err := parser.Parse(args)
	if exited {
		return nil
	}
	if err != nil {
		said := strings.ReplaceAll(err.Error(), `must be one of "",`, "must be one of ") // "": not given at all
		return usageError{fmt.Errorf("%s (see: keypost%s --help)", said, commandOf(err))}
	}
	a := &app{Context: ctx, in: in, out: out, err: errOut, file: c.Config, demo: c.Demo}
	if _, changes := k.Selected().Target.Addr().Interface().(changer); changes {
		if err := a.mayChange(); err != nil {
			return err
		}
	}
	return a.explain(k.Run(a))
}

// changing is embedded by commands that change what is in the store. Without a
// config file they need --demo: a person in the wrong folder would otherwise
// work on the store that a demo has left there.
type changing struct{}

func (changing) changes() {}

type changer interface{ changes() }

// mayChange refuses a change to the demo's store that was not asked for.
func (a *app) mayChange() error {
	file := config.Find(a.file)
	switch {
	case file == "" && !a.demo:
		return usageError{errors.New("there is no config file, so this would change the demo's database in ./data: name your config with --config (or KEYPOST_CONFIG), or add --demo if you mean the demo")}
	case file != "" && a.demo:
		return usageError{fmt.Errorf("--demo works only without a config file, but there is %s", file)}
	}
	return nil
}

// commandOf is the command, as far as it was understood, that an error is about.
func commandOf(err error) (names string) {
	if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context != nil {
		for _, p := range e.Context.Path {
			if p.Command != nil {
				names += " " + p.Command.Name
			}
		}
	}
	return names
}

// Exit codes beyond 0 and 1.
const (
	exitUsage    = 2
	exitNotFound = 3
	exitHeld     = 4
)

// A usageError is a call that cannot be understood.
type usageError struct{ error }

// errHeld ends a command whose order is held. Its text is empty: the command
// has told already.
var errHeld = errors.New("")

func exitCode(err error) int {
	_, usage := errors.AsType[usageError](err)
	code := admin.CodeOf(err)
	switch {
	case err == nil:
		return 0
	case usage, code == admin.Invalid, code == admin.Ambiguous:
		return exitUsage
	case errors.Is(err, errHeld):
		return exitHeld
	case code == admin.NotFound:
		return exitNotFound
	}
	return 1
}

// actor is who does what a command does, for the audit log.
const actor = "cli"

// note tells the person beside what is printed; "" tells nothing.
func (a *app) note(text string) {
	if text != "" {
		fmt.Fprintln(a.err, safe(a.worded(text)))
	}
}

// load reads the config.
func (a *app) load() (*config.Config, error) { return config.Load(config.Find(a.file)) }

// open opens the config's database, which must be there. What is done in it is
// reported to the webhooks, too.
func (a *app) open() (*admin.Admin, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	operations, err := admin.Open(a, c.Admin())
	if err == nil && c.File == "" && !a.demo {
		fmt.Fprintln(a.err, "keypost: there is no config file: using the demo's database in ./data")
	}
	return operations, err
}

// worded words the operations of a sentence as commands.
func (a *app) worded(sentence string) string { return admin.Word(sentence, a.command) }

// command is an operation as a command line, to be typed in this folder.
func (a *app) command(operation string) string {
	named := strings.HasPrefix(operation, "db ") || operation == "check" || operation == "serve"
	if named && a.file != "" && a.file != config.Find("") {
		return "keypost " + operation + " --config " + shellQuoted(a.file)
	}
	return "keypost " + operation
}

// shellQuoted makes a path one word for a shell.
func shellQuoted(path string) string {
	if regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`).MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// A wordedError is an error whose operations are worded as commands.
type wordedError struct {
	text string
	err  error
}

func (e wordedError) Error() string { return e.text }

func (e wordedError) Unwrap() error { return e.err }

// explain words an error. Of several things that have a name it lists all.
func (a *app) explain(err error) error {
	if orders, ok := errors.AsType[*admin.SeveralOrders](err); ok {
		err = errors.Join(orderTable(a.err, orders.List), err)
	}
	if licenses, ok := errors.AsType[*admin.SeveralLicenses](err); ok {
		err = errors.Join(licenseTable(a.err, licenses.List), err)
	}
	if err == nil || err.Error() == "" {
		return err
	}
	return wordedError{a.worded(admin.Helped(err).Error()), err}
}
