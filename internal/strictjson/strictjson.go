// Package strictjson reads JSON objects that come from strangers. It takes
// exactly RFC 8259 with what its security notes ask for: one value and nothing
// after it, no duplicate member names at any level, valid UTF-8, no unpaired
// surrogates, bounded depth. It works on a string without copying: names and
// values are parts of the document wherever they hold no escape.
//
// encoding/json takes duplicates (the last one wins), names in any case and
// broken UTF-8, and those are how two readers of one token come to see two
// different tokens.
package strictjson

import (
	"fmt"
	"strconv"
)

// A SyntaxError says what is wrong with a document, without quoting it.
type SyntaxError struct {
	Offset int // in bytes
	Msg    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Msg, e.Offset)
}

// A DuplicateError says that an object has two members of one name.
type DuplicateError struct{ Name string }

func (e *DuplicateError) Error() string { return fmt.Sprintf("member %q stands twice", e.Name) }

// Kind is the type of a value.
type Kind byte

// The kinds of values.
const (
	Null Kind = iota + 1
	Bool
	Number
	String
	Array
	Members // an object; read it with Object
)

// A Value is a checked part of a document.
type Value struct {
	raw  string
	kind Kind
}

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// Raw returns the value as it stands in the document.
func (v Value) Raw() string { return v.raw }

// Text returns the value of a string.
func (v Value) Text() (string, bool) {
	if v.kind != String {
		return "", false
	}
	return unquote(v.raw), true
}

// Int returns a number that is written as an integer: no fraction, no exponent,
// no "-0", within 64 bits.
func (v Value) Int() (int64, bool) {
	if v.kind != Number || v.raw == "-0" {
		return 0, false
	}
	n, err := strconv.ParseInt(v.raw, 10, 64) // refuses "1.0" and "1e3"
	return n, err == nil
}

// Bool returns the value of true or false.
func (v Value) Bool() (value, ok bool) { return v.raw == "true", v.kind == Bool }

// Elements calls f for each element of an array, in order, until it fails.
func (v Value) Elements(f func(Value) error) error {
	if v.kind != Array {
		return &SyntaxError{0, "not an array"}
	}
	s := scanner{doc: v.raw, checked: true}
	return s.array(f)
}

// Object calls member for each member of an object, in order, until it fails.
func (v Value) Object(member func(name string, v Value) error) error {
	if v.kind != Members {
		return &SyntaxError{0, "not an object"}
	}
	s := scanner{doc: v.raw, checked: true}
	return s.object(member)
}

// Object checks that doc is one object and calls member for each of its
// members, in order, until it fails.
func Object(doc string, member func(name string, v Value) error) error {
	s := scanner{doc: doc}
	s.space()
	if s.peek() != '{' {
		return s.fail("not a JSON object")
	}
	if err := s.object(member); err != nil {
		return err
	}
	s.space()
	if s.at < len(doc) {
		return s.fail("something follows the object")
	}
	return nil
}
