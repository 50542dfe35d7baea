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

// maxDepth is how deep arrays and objects may nest.
const maxDepth = 32

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

// scanner stands before the byte at. On a part that was checked before, it
// does not look for duplicates again.
type scanner struct {
	doc     string
	at      int
	depth   int
	checked bool
}

func (s *scanner) fail(msg string) error { return &SyntaxError{s.at, msg} }

// peek returns the next byte, or 0 at the end (0 is nowhere valid).
func (s *scanner) peek() byte {
	if s.at < len(s.doc) {
		return s.doc[s.at]
	}
	return 0
}

func (s *scanner) space() {
	for s.at < len(s.doc) {
		switch s.doc[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) enter() error {
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested too deep")
	}
	s.at++
	s.space()
	return nil
}

func (s *scanner) leave() {
	s.depth--
	s.at++
}

func (s *scanner) object(member func(string, Value) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	var names nameSet
	if s.peek() == '}' {
		s.leave()
		return nil
	}
	for {
		name, err := s.name(&names)
		if err != nil {
			return err
		}
		v, err := s.value()
		if err != nil {
			return err
		}
		if member != nil {
			if err := member(name, v); err != nil {
				return err
			}
		}
		if more, err := s.next('}'); err != nil || !more {
			return err
		}
	}
}

// name reads a member's name and the colon.
func (s *scanner) name(names *nameSet) (string, error) {
	if s.peek() != '"' {
		return "", s.fail("member name expected")
	}
	v, err := s.value()
	if err != nil {
		return "", err
	}
	name := unquote(v.raw)
	if !s.checked && !names.add(name) {
		return "", &DuplicateError{name}
	}
	s.space()
	if s.peek() != ':' {
		return "", s.fail("colon expected")
	}
	s.at++
	s.space()
	return name, nil
}

// next reads the comma before another element, or the end.
func (s *scanner) next(end byte) (more bool, err error) {
	s.space()
	switch s.peek() {
	case ',':
		s.at++
		s.space()
		return true, nil
	case end:
		s.leave()
		return false, nil
	}
	return false, s.fail("comma or end expected")
}

func (s *scanner) array(element func(Value) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	if s.peek() == ']' {
		s.leave()
		return nil
	}
	for {
		v, err := s.value()
		if err != nil {
			return err
		}
		if element != nil {
			if err := element(v); err != nil {
				return err
			}
		}
		if more, err := s.next(']'); err != nil || !more {
			return err
		}
	}
}

func (s *scanner) value() (Value, error) {
	from := s.at
	kind, err := s.skip()
	return Value{s.doc[from:s.at], kind}, err
}

func (s *scanner) skip() (Kind, error) {
	switch c := s.peek(); {
	case c == '"':
		return String, s.string()
	case c == '{':
		return Members, s.object(nil)
	case c == '[':
		return Array, s.array(nil)
	case c == 't':
		return Bool, s.word("true")
	case c == 'f':
		return Bool, s.word("false")
	case c == 'n':
		return Null, s.word("null")
	case c == '-' || '0' <= c && c <= '9':
		return Number, s.number()
	}
	return 0, s.fail("value expected")
}

func (s *scanner) word(w string) error {
	if len(s.doc)-s.at < len(w) || s.doc[s.at:s.at+len(w)] != w {
		return s.fail("value expected")
	}
	s.at += len(w)
	return nil
}

// number reads RFC 8259 section 6.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	switch c := s.peek(); {
	case c == '0':
		s.at++
	case !s.digits():
		return s.fail("digit expected")
	}
	if s.peek() == '.' {
		s.at++
		if !s.digits() {
			return s.fail("digit expected")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if !s.digits() {
			return s.fail("digit expected")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	from := s.at
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > from
}

// nameSet finds duplicates: in a short list first, in a map beyond.
type nameSet struct {
	list [16]string
	n    int
	more map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(name string) bool {
	for i := range s.n {
		if s.list[i] == name {
			return false
		}
	}
	if s.n < len(s.list) {
		s.list[s.n] = name
		s.n++
		return true
	}
	if _, known := s.more[name]; known {
		return false
	}
	if s.more == nil {
		s.more = make(map[string]struct{})
	}
	s.more[name] = struct{}{}
	return true
}
