package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/latchkey-auth/latchkey/internal/textfile"
	"github.com/latchkey-auth/latchkey/internal/userimport"
)

const (
	formatJSONL = "jsonl"
	formatCSV   = "csv"
)

// An importFile yields the rows of an import file.
type importFile struct {
	lines    *lineReader
	keyBytes int
	columns  []string // of CSV; nil: JSON lines
	comma    rune     // between the values of CSV; 0: not known yet
	buf      *bufio.Reader
}

// openImport begins to read a file. An empty format is told from the name or the
// content.
func openImport(r io.Reader, name, format string, keyBytes int) (*importFile, error) {
	f := &importFile{lines: newLineReader(r), keyBytes: keyBytes}
	start, err := f.lines.r.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("reading the import file: %w", err)
	}
	text, err := textfile.Decode(start)
	if err != nil {
		return nil, fmt.Errorf("the file %w", err)
	}
	mark, err := f.lines.r.Discard(len(start) - len(text))
	if err != nil {
		return nil, fmt.Errorf("reading the import file: %w", err)
	}
	f.lines.read += int64(mark)
	start = text
	if format == "" {
		format = importFormat(name, bytes.TrimSpace(start))
	}
	if format == formatJSONL {
		if more, err := f.lines.r.Peek(f.lines.r.Buffered()); err == nil {
			start = more // what is at hand, so that nobody waits for the end of a pipe
		}
		return f, importHint(start)
	}
	f.buf = bufio.NewReader(nil)
	return f, f.readHeader()
}

func importFormat(name string, start []byte) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return formatCSV
	case ".jsonl", ".ndjson", ".json":
		return formatJSONL
	}
	if len(start) == 0 || start[0] == '{' || start[0] == '[' {
		return formatJSONL
	}
	return formatCSV
}

// Whole exports of other systems are not read: each lacks something, or holds more
// than this program can take. One command makes JSON lines of them.
const (
	hintArray    = "the file is one JSON array; write one object per line: jq -c '.[]' FILE"
	hintObject   = "the file is one JSON object; write the users as one object per line: jq -c '.users[]' FILE"
	hintLines    = "an object stands in several lines; write one per line: jq -c . FILE"
	hintFirebase = `the file is an export of Firebase; write a line for each user, with the hash parameters that the Firebase console shows in place of ln, r, sep and key: ` +
		`jq -c '(.users // [.])[] | {id: .localId, email, email_verified: (.emailVerified // false), name: .displayName, disabled, ` +
		`attributes: ((.customAttributes // "{}") | fromjson | map_values(if type == "array" then map(tostring) | join(",") else . end)), ` +
		`password_hash: (if .passwordHash then "$firebase-scrypt$ln=14,r=8,sep=Bw==,key=SIGNER_KEY$" + .salt + "$" + .passwordHash else null end)}' FILE`
	hintKeycloak = `the file is an export of Keycloak; write a line for each user: ` +
		`jq -c '(.users // [.])[] | ([.credentials[]? | select(.type == "password")][0] // {}) as $p | ` +
		`{id, username, email, email_verified: (.emailVerified // false), name: ([.firstName, .lastName] | map(select(. != null)) | join(" ")), disabled: (.enabled == false), ` +
		`created_at: (if .createdTimestamp then (.createdTimestamp / 1000 | floor | todate) else null end), roles: (.realmRoles // []), ` +
		`attributes: ((.attributes // {}) | map_values(join(","))), secretData: $p.secretData, credentialData: $p.credentialData}' FILE`
	hintAuth0 = `the file is an export of Auth0; write a line for each user: ` +
		`jq -c '{id: (.user_id // "auth0|" + ._id["$oid"]), username, email, email_verified: (.email_verified // false), name, created_at, password_hash: .passwordHash}' FILE`
)

// importHint says what to do with a file that holds no lines of ours, told by
// how it starts.
func importHint(start []byte) error {
	usersObject := regexp.MustCompile(`^\{\s*"users"\s*:\s*\[`)
	ofFirebase := regexp.MustCompile(`"localId"\s*:`)
	ofKeycloak := regexp.MustCompile(`^\{\s*("id"\s*:\s*"[^"]*"\s*,\s*)?"realm"\s*:`)
	ofAuth0 := regexp.MustCompile(`"(_id|passwordHash|password_set_date)"\s*:|"user_id"\s*:\s*"[a-z0-9-]+\|`)
	start = bytes.TrimSpace(start)
	first, _, _ := bytes.Cut(start, []byte{'\n'})
	first = bytes.TrimSpace(first)
	switch {
	case bytes.HasPrefix(start, []byte("[")):
		return errors.New(hintArray)
	case usersObject.Match(start) && ofFirebase.Match(start), ofFirebase.Match(first):
		return errors.New(hintFirebase)
	case ofKeycloak.Match(start):
		return errors.New(hintKeycloak)
	case usersObject.Match(start):
		return errors.New(hintObject)
	case ofAuth0.Match(first):
		return errors.New(hintAuth0)
	case string(first) == "{" && len(start) > 1:
		return errors.New(hintLines)
	}
	return nil
}

// separators of CSV: some languages of spreadsheets write semicolons, and some
// programs tabs.
const separators = ",;\t"

// separatorOf returns the one between the names of the columns, none of which holds
// one.
func separatorOf(header []byte) rune {
	for _, c := range separators {
		if bytes.ContainsRune(header, c) {
			return c
		}
	}
	return ','
}

// readHeader reads the names of the columns.
func (f *importFile) readHeader() error {
	columns, _, err := f.record()
	if errors.Is(err, io.EOF) {
		f.columns = []string{}
		return nil
	}
	if err != nil {
		return fmt.Errorf("line %d, which must name the columns: %w", f.lines.n, err)
	}
	seen := make(map[string]bool)
	for _, name := range columns {
		if err := userimport.CheckMember(name); err != nil {
			return fmt.Errorf("line %d, which must name the columns: %w", f.lines.n, err)
		}
		if seen[name] {
			return fmt.Errorf("line %d, which must name the columns: %q stands twice", f.lines.n, name)
		}
		seen[name] = true
	}
	f.columns = columns
	return nil
}

// next returns the next row, which comes Refused when it cannot be read. io.EOF
// ends the file; other errors mean that it cannot be read on.
func (f *importFile) next() (userimport.Row, error) {
	if f.columns != nil {
		return f.nextCSV()
	}
	for {
		line, err := f.lines.next()
		row := userimport.Row{Line: f.lines.n}
		if errors.Is(err, errLongRow) {
			row.Refused = err
			return row, nil
		}
		if err != nil {
			return row, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			row.Record, row.Refused = userimport.Parse(string(line), f.keyBytes)
			return row, nil
		}
	}
}

func (f *importFile) nextCSV() (userimport.Row, error) {
	values, line, err := f.record()
	row := userimport.Row{Line: line}
	var syntax *rowError
	switch {
	case errors.As(err, &syntax):
		row.Refused = err
		return row, nil
	case err != nil:
		return row, err
	case len(values) != len(f.columns):
		row.Refused = fmt.Errorf("has %s, and the header %s", count(len(values), "column"), count(len(f.columns), "column"))
		return row, nil
	}
	fields := make(map[string]string, len(values))
	for i, name := range f.columns {
		fields[name] = values[i]
	}
	row.Record, row.Refused = userimport.ParseFields(fields, f.keyBytes)
	return row, nil
}

// A rowError is one row's: those after it can be read.
type rowError struct{ error }

// record returns the values of the next CSV record (RFC 4180) and the line in
// which it begins. A quoted value may hold line breaks. A quote that is never closed
// would make the rest of the file one value. So the first line is refused, and the
// lines after it are read again.
func (f *importFile) record() ([]string, int, error) {
	for {
		line, err := f.lines.next()
		first := f.lines.n
		if errors.Is(err, errLongRow) {
			return nil, first, &rowError{err}
		}
		if err != nil {
			return nil, first, err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			continue
		}
		doc, rest, err := f.quoted(line)
		if err != nil {
			return nil, first, err
		}
		values, bad := f.split(doc)
		if bad == nil {
			return values, first, nil
		}
		f.lines.giveBack(rest)
		return nil, first, &rowError{bad}
	}
}

// quoted adds the lines that a quote reaches over: until the quotes are even. It
// returns the whole, and the added lines. A file that ends within quotes, or a
// row that is too long, is left to split to refuse.
func (f *importFile) quoted(line []byte) (doc []byte, rest [][]byte, err error) {
	quotes := bytes.Count(line, []byte{'"'})
	if quotes%2 == 0 {
		return line, nil, nil
	}
	doc = bytes.Clone(line)
	for quotes%2 == 1 && len(doc) <= maxRow {
		line, err := f.lines.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errLongRow) {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		line = bytes.Clone(line)
		doc, rest = append(doc, line...), append(rest, line)
		quotes += bytes.Count(line, []byte{'"'})
	}
	return doc, rest, nil
}

func (f *importFile) split(doc []byte) ([]string, error) {
	f.buf.Reset(bytes.NewReader(doc))
	r := csv.NewReader(f.buf) // which takes f.buf as its own
	if f.comma == 0 {
		f.comma = separatorOf(doc)
	}
	r.Comma = f.comma
	r.FieldsPerRecord = -1
	values, err := r.Read()
	if errors.Is(err, csv.ErrBareQuote) {
		return nil, errors.New(`has a quote within a value: put the value in quotes, and write "" for each quote in it`)
	}
	if err != nil {
		return nil, fmt.Errorf(`has a quote that does not end at a %s: write "" for a quote within a value in quotes`, map[rune]string{',': "comma", ';': "semicolon", '\t': "tab"}[f.comma])
	}
	return values, nil
}
