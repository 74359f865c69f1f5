package mailbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-sasl"
)

// A refusedError is a log-in that the server did not take. It goes on
// failing until a person does something about it.
type refusedError struct {
	user, why string
	token     bool
}

func (e *refusedError) Error() string {
	what := "the password, and whether the account lets a program log in with it (some want an app password)"
	if e.token {
		what = "that the program that keeps the token file runs, and that the token is for IMAP"
	}
	return fmt.Sprintf("log in as %q: %s; check %s", e.user, e.why, what)
}

func (s *session) login(ctx context.Context) error {
	secret, err := s.secret()
	if err != nil {
		return err
	}
	err = s.do(ctx, "log in", brief, func(c *imapclient.Client) error {
		if err := c.WaitGreeting(); err != nil {
			return err
		}
		if c.State() == imap.ConnStateAuthenticated { // PREAUTH, within TLS or on this machine
			return nil
		}
		return s.authenticate(c, secret)
	})
	return s.refusal(ctx, err, secret)
}

func (s *session) secret() (string, error) {
	read, what := s.config.Password, "password"
	if s.config.Token != nil {
		read, what = s.config.Token, "token"
	}
	secret, err := read()
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	if secret == "" || strings.ContainsAny(secret, "\r\n\x00") {
		return "", fmt.Errorf("the %s is empty or has a line end in it", what)
	}
	return secret, nil
}

// authenticate takes the best way that the server offers.
func (s *session) authenticate(c *imapclient.Client, secret string) error {
	caps, err := c.Capability().Wait()
	if err != nil {
		return err
	}
	user := s.config.User
	switch {
	case s.config.Token != nil && caps.Has(imap.AuthCap(sasl.OAuthBearer)):
		return c.Authenticate(sasl.NewOAuthBearerClient(&sasl.OAuthBearerOptions{Username: user, Token: secret}))
	case s.config.Token != nil && caps.Has(imap.AuthCap("XOAUTH2")):
		return c.Authenticate(xoauth2{user, secret})
	case s.config.Token != nil:
		return errors.New("the server takes no OAuth token: it offers neither OAUTHBEARER nor XOAUTH2")
	case caps.Has(imap.AuthCap(sasl.Plain)):
		return c.Authenticate(sasl.NewPlainClient("", user, secret))
	case caps.Has(imap.CapLoginDisabled):
		return errors.New("the server takes no password: it has LOGINDISABLED")
	}
	return c.Login(user, secret).Wait()
}

// refusal tells a refused log-in from a broken connection. A server that
// quotes the secret in its answer is not quoted.
func (s *session) refusal(ctx context.Context, err error, secret string) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	if no := said(err); no != nil {
		// BYE, and what RFC 5530 says will pass.
		if no.Type == imap.StatusResponseTypeBye || no.Code == imap.ResponseCodeUnavailable || no.Code == imap.ResponseCodeInUse {
			return err
		}
		clean := *no
		clean.Text = strings.ReplaceAll(no.Text, secret, "(the secret)")
		return &refusedError{user: s.config.User, why: answer(&clean), token: s.config.Token != nil}
	}
	if s.wire.why() != nil {
		return err
	}
	select {
	case <-s.client.Closed():
		return err
	default:
		return &refusedError{user: s.config.User, why: strings.ReplaceAll(shown(errors.Unwrap(err).Error()), secret, "(the secret)"), token: s.config.Token != nil}
	}
}

// xoauth2 is Google's and Microsoft's way of before RFC 7628.
//
// https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
type xoauth2 struct{ user, token string }

func (x xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

// Next answers the challenge in which the server says what is wrong: nothing,
// and then the server says NO.
func (x xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
