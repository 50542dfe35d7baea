package userimport

import (
	"errors"
	"fmt"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/auth"
	"github.com/latchkey-auth/latchkey/internal/strictjson"
)

// wordsOf joins a list of words by spaces.
func wordsOf(list strictjson.Value) (string, error) {
	var words []string
	err := list.Elements(func(v strictjson.Value) error {
		word, ok := v.Text()
		if !ok || word == "" || strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' }) {
			return invalid("roles", "must be a list of words")
		}
		words = append(words, word)
		return nil
	})
	return strings.Join(words, " "), err
}

// parseAttributes reads a JSON object whose members are texts, numbers, true or false;
// each of these is its text. null and the empty text stand for absent, and so does an empty
// document.
func parseAttributes(doc string) (map[string]string, error) {
	if strings.TrimSpace(doc) == "" {
		return nil, nil
	}
	attributes := make(map[string]string)
	err := strictjson.Object(doc, func(name string, v strictjson.Value) error {
		text, ok := v.Text()
		switch v.Kind() {
		case strictjson.Number, strictjson.Bool:
			text, ok = v.Raw(), true
		case strictjson.Null:
			ok = true
		}
		if !ok {
			return invalid("attributes", fmt.Sprintf("%.80q must be text, a number, true or false: make one text of a list", name))
		}
		if text != "" {
			attributes[name] = text
		}
		return nil
	})
	var refused *auth.InvalidError
	if err != nil && !errors.As(err, &refused) {
		err = invalid("attributes", "must be a JSON object: "+err.Error())
	}
	return attributes, err
}
