package mailer

import (
	"fmt"
	htmltemplate "html/template"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	texttemplate "text/template"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/message"
	"github.com/latchkey-auth/latchkey/internal/textfile"
)

// files are the texts of all templates.
type files struct {
	text     map[string]string // by file name
	replaced map[string]bool   // those that came from the directory
}

func readFiles(dir string) (files, error) {
	f := files{make(map[string]string), make(map[string]bool)}
	known, err := fs.ReadDir(builtIn, "templates")
	if err != nil {
		return f, err
	}
	for _, entry := range known {
		text, err := builtIn.ReadFile("templates/" + entry.Name())
		if err != nil {
			return f, err
		}
		f.text[entry.Name()] = string(text)
	}
	if dir == "" {
		return f, nil
	}
	own, err := os.ReadDir(dir)
	if err != nil {
		return f, fmt.Errorf("mail templates: %w", err)
	}
	for _, entry := range own {
		name := entry.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "README") {
			continue
		}
		if _, ok := f.text[name]; !ok {
			return f, fmt.Errorf("mail templates: %s is the name of no template; there are %s", filepath.Join(dir, name), strings.Join(f.names(), ", "))
		}
		text, err := textfile.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return f, fmt.Errorf("mail templates: %w", err)
		}
		if !utf8.Valid(text) {
			return f, fmt.Errorf("mail templates: %s is not in UTF-8", filepath.Join(dir, name))
		}
		f.text[name] = strings.ReplaceAll(string(text), "\r\n", "\n")
		f.replaced[name] = true
	}
	return f, nil
}

func (f files) names() []string {
	var names []string
	for name := range f.text {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f files) parse(kind message.Kind) (pair, error) {
	var p pair
	textName, htmlName := string(kind)+".txt", string(kind)+".html"
	first, rest, _ := strings.Cut(f.text[textName], "\n")
	if !strings.HasPrefix(first, "Subject: ") {
		return p, fmt.Errorf(`%s:1: must be "Subject: " and the subject`, textName)
	}
	if second, _, _ := strings.Cut(rest, "\n"); strings.TrimSpace(second) != "" {
		return p, fmt.Errorf("%s:2: must be empty, between subject and text", textName)
	}
	var err error
	if p.text, err = texttemplate.New(layoutText).Parse(f.text[layoutText]); err != nil {
		return p, err
	}
	if p.text, err = p.text.New(textName).Parse(f.text[textName]); err != nil {
		return p, err
	}
	if f.replaced[textName] && !f.replaced[htmlName] {
		return p, nil
	}
	if p.html, err = htmltemplate.New(layoutHTML).Parse(f.text[layoutHTML]); err != nil {
		return p, err
	}
	if _, err = p.html.New(htmlName).Parse(f.text[htmlName]); err != nil {
		return p, err
	}
	_, err = p.html.New("content").Parse(fmt.Sprintf("{{template %q .}}", htmlName))
	return p, err
}

// hasLink says whether a message of this kind is nothing without its link, and
// hasCode the same of a code.
func hasLink(kind message.Kind) bool { return kind == message.Invite || hasCode(kind) }

func hasCode(kind message.Kind) bool {
	switch kind {
	case message.Verify, message.Taken, message.Confirm, message.Reset:
		return true
	}
	return false
}
