package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/keypost/keypost/admin"
)

func (outboxCommands) Help() string { return "Example: keypost outbox list --status dead" }

type outboxCommands struct {
	List  outboxList  `cmd:"" help:"List notices (mails and webhook events) and whether they were sent."`
	Retry outboxRetry `cmd:"" help:"Retry dead notices."`
}

type outboxList struct {
	jsonFlag
	Status   string `help:"Only with this status: waiting, sent, dead." enum:",waiting,sent,dead" default:""`
	Kind     string `help:"Only of this kind: codes, held, refused, digest, or an event."`
	Endpoint string `help:"Only for this webhook."`
	listLimit
}

func (outboxList) Help() string { return "Example: keypost outbox list --status dead --endpoint crm" }

func (c outboxList) Run(a *app) error {
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	list, err := o.Outbox(a, admin.NoticeFilter{Status: c.Status, Kind: c.Kind, Endpoint: c.Endpoint, Limit: c.more(c.JSON)})
	if err != nil {
		return err
	}
	if err := a.noteUnknown(o, len(list), admin.Named{Webhook: c.Endpoint}); err != nil {
		return err
	}
	list = cutTo(a, list, c.limit(c.JSON))
	if c.JSON {
		return printJSON(a.out, list)
	}
	if len(list) == 0 {
		fmt.Fprintln(a.out, "No notices.")
		return nil
	}
	rows := [][]string{{"ID", "KIND", "TO", "STORE", "TRANSACTION", "LINE", "STATUS", "TRIES", "NEXT TRY", "ERROR"}}
	for _, n := range list {
		rows = append(rows, noticeRow(n))
	}
	return table(a.out, rows)
}

func noticeRow(n admin.Notice) []string {
	to, next, order := n.Audience, "", admin.OrderRef{}
	if n.Endpoint != nil {
		to = *n.Endpoint
	}
	if n.NextAt != nil {
		next = when(*n.NextAt)
	}
	line := ""
	if n.Subject != nil {
		order.Transaction = *n.Subject
	}
	if n.Order != nil {
		order, line = *n.Order, strconv.Itoa(n.Order.Line)
	}
	return []string{n.ID, n.Kind, to, order.Store, order.Transaction, line, n.Status, strconv.Itoa(n.Tries), next, deref(n.Error)}
}

type outboxRetry struct {
	changing
	jsonFlag
	IDs      []string `arg:"" optional:"" name:"id" help:"The notices' ids, from keypost outbox list."`
	Dead     bool     `help:"All dead notices."`
	Kind     string   `help:"With --dead: only notices of this kind."`
	Endpoint string   `help:"With --dead: only notices for this webhook."`
}

func (outboxRetry) Help() string {
	return "The daemon sends them immediately, under the same ids and with the full number of tries.\n\nExample: keypost outbox retry --dead --endpoint crm"
}

func (c outboxRetry) Run(a *app) error {
	if c.Dead == (len(c.IDs) > 0) {
		return usageError{errors.New("name notices by their ids, or use --dead for all dead ones")}
	}
	if (c.Endpoint != "" || c.Kind != "") && !c.Dead {
		return usageError{errors.New("--endpoint and --kind need --dead")}
	}
	o, err := a.open()
	if err != nil {
		return err
	}
	defer o.Close()
	ids := c.IDs
	if c.Dead {
		ids, err = o.RetryDeadNotices(a, actor, c.Kind, c.Endpoint)
	} else {
		err = o.RetryNotices(a, actor, ids)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(a.out, ids)
	}
	fmt.Fprintf(a.out, "Notices queued again: %d\n", len(ids))
	return nil
}

func (webhookCommands) Help() string { return "Example: keypost webhook test crm" }

type webhookCommands struct {
	Test webhookTest `cmd:"" help:"Send a signed test event to a webhook now."`
}

type webhookTest struct {
	jsonFlag
	Name string `arg:"" help:"The webhook's name in the config."`
}

func (webhookTest) Help() string {
	return "The event's type is webhook.test. It prints the HTTP status of the answer. Exit code 1: the status is not 2xx.\n\nExample: keypost webhook test crm"
}

func (c webhookTest) Run(a *app) error {
	conf, err := a.load()
	if err != nil {
		return err
	}
	done, err := admin.TestWebhook(a, conf.Admin(), c.Name)
	if c.JSON && done.Webhook != "" {
		return errors.Join(printJSON(a.out, done), err)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "HTTP %d: %s accepted the event\n", *done.Status, done.Webhook)
	return nil
}
