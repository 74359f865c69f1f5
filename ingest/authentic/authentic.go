// Package authentic finds out whether a notification mail was written by whom it
// says. Anybody can write to a mailbox that a store's mails come to, so that is
// the first question, and [Policy.Judge] answers it: a mail is authentic when a
// DKIM signature of a configured domain is verified, here or by the vendor's
// own mail server, and when that very signature covers all that an order is
// read from.
//
// policy.go has what is trusted, letter.go the message as bytes, canonical.go the
// forms in which it is signed, signature.go and key.go DKIM (RFC 6376),
// results.go the mail server's word (RFC 8601), clauses.go what is asked beyond
// a valid signature, recipient.go whom a mail is for.
//
// DKIM is verified by code of our own: what is judged is one signature of
// several, by the time of arrival and not of today, with the key record's
// flags, and a body that the server's word is held against as well. ARC is not
// looked at.
package authentic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// A Verdict is what is to be done with a mail.
type Verdict string

// The verdicts. Refused is final: no order, and no answer to anybody. Later is
// DNS trouble: the same bytes are judged again, with the same time of arrival.
const (
	Authentic Verdict = "authentic"
	Refused   Verdict = "refused"
	Later     Verdict = "later"
)

// A Judgement is what was found out about one message.
type Judgement struct {
	Verdict Verdict
	Reason  Reason // "" when it is authentic
	Domain  string // the signing domain, in lower case and punycode; "" when none of ours signed

	// BodyHash is SHA-256 of the body in relaxed canonical form, whatever form
	// the signature used: a mail with two signatures has one hash, whichever of
	// them is left on a copy. A mail may be taken only if no mail with this
	// hash was taken before, and only the store can tell. nil unless authentic.
	BodyHash []byte

	Checks []Check // in order, always all of them
}

// A Check is one step of a judgement, in words for the person who keeps the
// mailbox. What a mail says is quoted and cut; addresses are in it, so it is not
// for a log, where the reason is.
type Check struct {
	Name   string
	Result Result
	Detail string // "" when it was not reached
}

// A Result is how a check went.
type Result string

// The results of a check.
const (
	Passed     Result = "passed"
	Failed     Result = "failed"
	NotReached Result = "not reached"
)

// A Resolver looks up the TXT records of a name, each joined to one string, as
// [net.Resolver.LookupTXT] does. A name without any is a [net.DNSError] that
// says IsNotFound, or no record and no error; every other error is trouble.
// It must come back by itself.
type Resolver func(ctx context.Context, name string) ([]string, error)

// A refusal is a clause that does not hold; a clause returns nothing else.
type refusal struct {
	reason Reason
	detail string
}

func (r refusal) Error() string { return string(r.reason) + ": " + r.detail }

func refuse(reason Reason, format string, args ...any) error {
	return refusal{reason, fmt.Sprintf(format, args...)}
}

// shown is text from a mail or the DNS, fit for a terminal and a log.
func shown(s string) string {
	const most = 80
	if len(s) <= most {
		return strconv.QuoteToASCII(s)
	}
	for cut := most; ; cut-- {
		if utf8.RuneStart(s[cut]) || cut == 0 {
			return strconv.QuoteToASCII(s[:cut]) + "…"
		}
	}
}

// A trial is one signature's way through the clauses.
type trial struct {
	policy  Policy
	letter  letter
	all     []signatureField
	arrived time.Time
	txt     Resolver
	field   signatureField
	sig     signature // from the second clause on
	key     keyState  // from the key's clause on
}

// The clauses, in order: what costs nothing comes first, the DNS is asked
// about a mail that holds so far, and only what is verified is unpacked.
var clauses = []struct {
	name string
	hold func(*trial, context.Context) (string, error)
}{
	{"message", nil}, // Judge does it, once for all signatures
	{"signature", (*trial).readable},
	{"signed fields", (*trial).covered},
	{"sender", (*trial).sender},
	{"dates", (*trial).dates},
	{"body", (*trial).body},
	{"key", (*trial).lookUp},
	{"verification", (*trial).verified},
	{"recipient", (*trial).recipient},
}

// Judge finds out whether a message is authentic. Arrived is when the mail
// server took it (INTERNALDATE); nothing depends on the time of the call. One
// signature must hold every clause; of several, the best one's findings are
// told. A message that came within another is judged by [Policy.Attached], with
// the arrival of the outer one.
func (p Policy) Judge(ctx context.Context, raw []byte, arrived time.Time, txt Resolver) Judgement {
	l, err := readLetter(raw)
	if err != nil {
		return judgement("", 0, nil, err)
	}
	all := l.signatures()
	candidates, err := p.candidates(all)
	if err != nil {
		return judgement("", 1, []string{l.told()}, err)
	}
	var best Judgement
	for _, field := range candidates {
		t := trial{policy: p, letter: l, all: all, arrived: arrived, txt: txt, field: field}
		if j := t.judge(ctx); best.Verdict == "" || j.betterThan(best) {
			best = j
		}
		if best.Verdict == Authentic {
			break
		}
	}
	return best
}

func (t *trial) judge(ctx context.Context) Judgement {
	details := []string{t.letter.told()}
	for i, clause := range clauses[1:] {
		detail, err := clause.hold(t, ctx)
		if err != nil {
			return judgement(t.field.domain, i+1, details, err)
		}
		details = append(details, detail)
	}
	j := judgement(t.field.domain, len(clauses), details, nil)
	hash := t.letter.bodyHash(relaxed)
	j.BodyHash = hash[:]
	return j
}

// judgement tells of clauses that held and, if there is an error, of the one
// that did not.
func judgement(domain string, held int, details []string, err error) Judgement {
	j := Judgement{Verdict: Authentic, Domain: domain, Checks: make([]Check, len(clauses))}
	for i, clause := range clauses {
		j.Checks[i] = Check{Name: clause.name, Result: NotReached}
		if i < held {
			j.Checks[i] = Check{clause.name, Passed, details[i]}
		}
	}
	if err == nil {
		return j
	}
	var r refusal
	if !errors.As(err, &r) { // a clause that breaks its contract takes no mail
		r = refusal{Malformed, shown(err.Error())}
	}
	j.Verdict, j.Reason = Refused, r.reason
	if r.reason == DNS {
		j.Verdict = Later
	}
	j.Checks[held] = Check{clauses[held].name, Failed, r.detail}
	return j
}

// betterThan orders what is told when no signature is good: a signature that
// may be good later, then the one that held the most.
func (j Judgement) betterThan(other Judgement) bool {
	rank := func(j Judgement) int {
		switch j.Verdict {
		case Authentic:
			return 2 * len(clauses)
		case Later:
			return len(clauses)
		}
		return slices.IndexFunc(j.Checks, func(c Check) bool { return c.Result == Failed })
	}
	return rank(j) > rank(other)
}
