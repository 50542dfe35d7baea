package strictjson

// maxDepth is how deep arrays and objects may nest.
const maxDepth = 32

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
