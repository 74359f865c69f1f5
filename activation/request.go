package activation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"unicode/utf8"
)

const (
	maxBody        = 16 << 10 // bytes
	minFingerprint = 8        // bytes
	maxFingerprint = 256
	maxMachine     = 256 // bytes, each of the machine's fields
)

// A request is the body of all three calls.
type request struct {
	Product     string  `json:"product"`
	Code        string  `json:"code"`
	Fingerprint string  `json:"fingerprint"`
	Machine     machine `json:"machine"`
	Renew       bool    `json:"renew"` // validate alone
}

type machine struct {
	Name       string `json:"name"`
	Platform   string `json:"platform"`
	AppVersion string `json:"app_version"`
}

// decode reads a request, JSON or form, and checks its shape.
func decode(r *http.Request) (q request, err error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" && media != "application/x-www-form-urlencoded" {
		return q, errMedia
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return q, errLarge
	}
	if err != nil {
		return q, badRequest("The request broke off.")
	}
	if media == "application/json" {
		err = q.fromJSON(body)
	} else {
		err = q.fromForm(body)
	}
	if err != nil {
		return q, err
	}
	return q, q.check()
}

func (q *request) fromJSON(body []byte) error {
	if !utf8.Valid(body) {
		return badRequest("The body is not UTF-8.")
	}
	err := json.Unmarshal(body, q)
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if e.Field == "" {
			return badRequest("The body must be a JSON object.")
		}
		return badRequest(fmt.Sprintf("The field %s must be %s.", fieldName(e.Field), jsonType(e.Type.Kind().String())))
	}
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return badRequest("The body is not JSON: see byte " + strconv.FormatInt(e.Offset, 10) + ".")
	}
	if err != nil {
		return badRequest("The body is not JSON.")
	}
	return nil
}

// fieldName keeps to the names that we know: nothing posted is sent back.
func fieldName(field string) string {
	switch field {
	case "product", "code", "fingerprint", "machine", "renew", "machine.name", "machine.platform", "machine.app_version":
		return field
	}
	return "(unnamed)"
}

func jsonType(kind string) string {
	switch kind {
	case "bool":
		return "true or false"
	case "struct":
		return "a JSON object"
	}
	return "a " + kind
}

func (q *request) fromForm(body []byte) error {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return badRequest("The body is not a form: a %-escape is broken, or there is a semicolon.")
	}
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"product", &q.Product},
		{"code", &q.Code},
		{"fingerprint", &q.Fingerprint},
		{"machine.name", &q.Machine.Name},
		{"machine.platform", &q.Machine.Platform},
		{"machine.app_version", &q.Machine.AppVersion},
	} {
		*f.to = form.Get(f.name)
		if len(form[f.name]) > 1 {
			return badRequest("The field " + f.name + " appears twice.")
		}
		if !utf8.ValidString(*f.to) {
			return badRequest("The field " + f.name + " is not UTF-8.")
		}
	}
	if v := form.Get("renew"); v != "" {
		if q.Renew, err = strconv.ParseBool(v); err != nil {
			return badRequest("The field renew must be true or false.")
		}
	}
	return nil
}

func (q request) check() error {
	switch {
	case q.Product == "":
		return badRequest("The field product is missing.")
	case q.Code == "":
		return badRequest("The field code is missing.")
	case q.Fingerprint == "":
		return badRequest("The field fingerprint is missing.")
	case len(q.Fingerprint) < minFingerprint || len(q.Fingerprint) > maxFingerprint:
		return badRequest(fmt.Sprintf("The field fingerprint must have %d-%d bytes.", minFingerprint, maxFingerprint))
	}
	for _, f := range []struct{ name, value string }{
		{"machine.name", q.Machine.Name},
		{"machine.platform", q.Machine.Platform},
		{"machine.app_version", q.Machine.AppVersion},
	} {
		if len(f.value) > maxMachine {
			return badRequest(fmt.Sprintf("The field %s must have at most %d bytes.", f.name, maxMachine))
		}
	}
	return nil
}
