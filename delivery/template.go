package delivery

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// Codes is what the template of a mail with codes is told. Texts that a
// stranger wrote, Name and Order among them, are one line each.
type Codes struct {
	Name        string // the buyer's; may be empty
	Product     string // the product's name for people
	ProductID   string
	LicenseType string
	Codes       []Code   // one or more
	Files       []string // names of what is attached: license files
	Bundle      bool     // the codes are for other products than Product
	Quantity    int      // copies
	Store       string   // as in the config: kagi
	Order       string   // the store's transaction id
	Offline     string   // URL of the page for machines that are not online; may be empty
	For         For      // whom it goes to, where that is not the buyer
}

// A Code is one of an order's.
type Code struct {
	Code, Product, ProductID string
	Limit                    int        // machines; 0: any number
	ExpiresAt                *time.Time // the last second at which it works, UTC; nil: it has no end
}

// For is whom a mail with codes goes to in the buyer's place.
type For string

// In whose hands a mail with codes is.
const (
	ForBuyer  For = ""
	ForTest   For = "test"   // the vendor's in-house address: it was a test order
	ForVendor For = "vendor" // the buyer has no address
)

// Limit is how many machines each code is for, where that is the same of all
// and not any number; else 0.
func (c Codes) Limit() int {
	for _, code := range c.Codes {
		if code.Limit != c.Codes[0].Limit {
			return 0
		}
	}
	return c.Codes[0].Limit
}

// ExpiresAt is when the codes end, where that is the same of all; else nil.
func (c Codes) ExpiresAt() *time.Time {
	first := c.Codes[0].ExpiresAt
	for _, code := range c.Codes {
		if first == nil || code.ExpiresAt == nil || !code.ExpiresAt.Equal(*first) {
			return nil
		}
	}
	return first
}

// Rendered is a mail's text.
type Rendered struct {
	Subject, Text, HTML string // HTML "": it has none
}

// A mailTemplate is a text with its subject and, perhaps, the same as HTML.
type mailTemplate struct {
	subject, text *template.Template
	html          *htmltemplate.Template // nil: none
}

// Templates are the texts of mails to buyers: the built-in ones, and a
// folder's, which come first.
type Templates struct {
	own, builtIn map[string]mailTemplate // by "PRODUCT/codes.LANGUAGE", less what is missing
}

//go:embed templates
var embedded embed.FS

// LoadTemplates reads the templates of a folder ("": there is none) and tries
// each. products are the ids that folders in it may be named by. An error
// names the file and the line.
func LoadTemplates(folder string, products []string) (*Templates, error) {
	builtIn, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	t := &Templates{}
	if t.builtIn, err = loadFolder(builtIn, "built-in", nil); err != nil || folder == "" {
		return t, err
	}
	if info, err := os.Stat(folder); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", folder)
	}
	t.own, err = loadFolder(os.DirFS(folder), folder, products)
	return t, err
}

// BuiltInText is the text of a built-in template of a mail to buyers: "codes.txt",
// "codes.de.html". names are all that there are.
func BuiltInText(name string) (text string, names []string, ok bool) {
	entries, _ := embedded.ReadDir("templates") // it is compiled in
	for _, e := range entries {
		if !templateName.MatchString(e.Name()) {
			continue
		}
		names = append(names, e.Name())
		if e.Name() == name {
			b, _ := embedded.ReadFile("templates/" + name)
			text, ok = string(b), true
		}
	}
	return text, names, ok
}

var templateName = regexp.MustCompile(`^codes(?:\.([A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,4}))?\.(txt|html)$`)

func loadFolder(files fs.FS, name string, products []string) (map[string]mailTemplate, error) {
	list := map[string]mailTemplate{}
	known := map[string]bool{"": true}
	for _, id := range products {
		known[id] = true
	}
	var html []string
	err := fs.WalkDir(files, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		ext, where := path.Ext(file), filepath.Join(name, file)
		if ext != ".txt" && ext != ".html" || strings.HasPrefix(path.Base(file), "vendor_") && name == "built-in" {
			return nil // a note, an editor's backup
		}
		m := templateName.FindStringSubmatch(path.Base(file))
		folder := strings.TrimSuffix(path.Dir(file), ".")
		if m == nil {
			return fmt.Errorf("%s: a template must be named codes.txt or codes.html, or with a language, codes.de.txt", where)
		}
		if !known[folder] {
			return fmt.Errorf("%s: no product has the id %q", where, folder)
		}
		key := templateKey(folder, m[1])
		if m[2] == "html" {
			html = append(html, file)
			return nil
		}
		if _, twice := list[key]; twice {
			return fmt.Errorf("%s: it exists twice, in different case", where)
		}
		b, err := fs.ReadFile(files, file)
		if err == nil {
			list[key], err = parseText(where, string(b))
		}
		return err
	})
	for _, file := range html {
		if err == nil {
			err = addHTML(files, list, file, filepath.Join(name, file))
		}
	}
	for key, t := range list {
		if err == nil {
			if err = t.try(); err != nil {
				err = fmt.Errorf("template %s: %w", key, err)
			}
		}
	}
	return list, err
}

func templateKey(product, language string) string {
	key := path.Join(product, "codes")
	if language != "" {
		key += "." + strings.ToLower(language)
	}
	return key
}

// parseText reads "Subject: …", an empty line, and the text. Lines count from
// the file's first.
func parseText(name, text string) (t mailTemplate, err error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	first, body, _ := strings.Cut(text, "\n")
	subject, ok := strings.CutPrefix(first, "Subject:")
	if empty, _, _ := strings.Cut(body, "\n"); !ok || strings.TrimSpace(subject) == "" || strings.TrimSpace(empty) != "" || strings.TrimSpace(body) == "" {
		return t, fmt.Errorf("%s:1: it must start with a line like Subject: Your code for {{.Product}}, then an empty line, then the text", name)
	}
	if t.subject, err = template.New(name).Parse(strings.TrimSpace(subject)); err == nil {
		t.text, err = template.New(name).Parse("\n" + body)
	}
	return t, plainTemplate(err)
}

func addHTML(files fs.FS, list map[string]mailTemplate, file, name string) error {
	m := templateName.FindStringSubmatch(path.Base(file))
	key := templateKey(strings.TrimSuffix(path.Dir(file), "."), m[1])
	t, ok := list[key]
	if !ok {
		return fmt.Errorf("%s: %s is missing beside it; it has the subject and the plain text", name, strings.TrimSuffix(path.Base(file), "html")+"txt")
	}
	b, err := fs.ReadFile(files, file)
	if err == nil {
		t.html, err = htmltemplate.New(name).Parse(string(b))
	}
	list[key] = t
	return plainTemplate(err)
}

// plainTemplate is an error of a template without Go's prefix.
func plainTemplate(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "html/"), "template: "))
}

// example is an order as templates are tried and shown with.
func example(productID, product string) Codes {
	end := time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC)
	return Codes{
		Name: "Ada Lovelace", Product: product, ProductID: productID, LicenseType: "single", Quantity: 2, Store: "kagi", Order: "CH0123456789",
		Offline: "https://keys.example.com/offline",
		Codes: []Code{
			{Code: "4KJMX-9RTWA-2XK7P-HFD3C-V8M6T", Product: product, ProductID: productID, Limit: 3, ExpiresAt: &end},
			{Code: "7QWNX-3FJKC-8MRTP-2HVAD-9X4K6", Product: product, ProductID: productID, Limit: 3, ExpiresAt: &end},
		},
	}
}

// try renders a template with the least and with much, so that what would fail
// on the first order fails when it is loaded.
func (t mailTemplate) try() error {
	full, least := example("demo", "Demo"), Codes{Product: "Demo", Codes: []Code{{Code: "CODE"}}}
	bundle := full
	bundle.Bundle, bundle.Files = true, []string{"Demo.license"}
	for _, data := range []Codes{full, least, bundle} {
		for _, who := range []For{ForBuyer, ForTest, ForVendor} {
			data.For = who
			r, err := t.render(data)
			if err != nil {
				return err
			}
			for _, c := range data.Codes {
				if !strings.Contains(r.Text, c.Code) || t.html != nil && !strings.Contains(r.HTML, c.Code) {
					return errors.New("the code is missing: the text and the HTML need {{range .Codes}}{{.Code}}{{end}}")
				}
			}
		}
	}
	return nil
}

const maxSubject = 200 // characters

func (t mailTemplate) render(data any) (r Rendered, err error) {
	var subject, text, html strings.Builder
	if err = t.subject.Execute(&subject, data); err == nil {
		err = t.text.Execute(&text, data)
	}
	if err == nil && t.html != nil {
		err = t.html.Execute(&html, data)
	}
	if err != nil {
		return r, plainTemplate(err)
	}
	// RFC 2047, 2: what looks like an encoded word would be decoded.
	line := []rune(strings.ReplaceAll(oneLine(subject.String()), "=?", "= ?"))
	r = Rendered{Subject: string(line[:min(len(line), maxSubject)]), Text: strings.TrimSpace(text.String()) + "\n", HTML: html.String()}
	return r, nil
}

// Codes renders a mail with codes. A folder's template comes before the
// built-in ones; product and language before language before product.
func (t *Templates) Codes(product, language string, data Codes) (Rendered, error) {
	if len(data.Codes) == 0 {
		return Rendered{}, errors.New("there is no code to send")
	}
	found := t.find(product, language)
	return found.render(data)
}

func (t *Templates) find(product, language string) mailTemplate {
	languages := []string{}
	for tag := strings.ToLower(language); tag != ""; {
		languages = append(languages, tag)
		tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)]
	}
	for _, list := range []map[string]mailTemplate{t.own, t.builtIn} {
		for _, tag := range append(languages, "") {
			for _, id := range []string{product, ""} {
				if found, ok := list[templateKey(id, tag)]; ok {
					return found
				}
			}
		}
	}
	return mailTemplate{} // there is always the built-in one
}
