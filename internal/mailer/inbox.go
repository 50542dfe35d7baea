package mailer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/message"
)

// maxInbox is how many messages an Inbox keeps, the newest.
const maxInbox = 200

// newPrefix begins the names of files that are being written.
const newPrefix = ".new-"

// An Entry is one message of an Inbox.
type Entry struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"` // when it arrived
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	HTML    string    `json:"html"`  // empty: text only
	Links   []string  `json:"links"` // never nil
	Code    string    `json:"code,omitempty"`
}

// An Inbox keeps messages on this machine instead of sending them, for
// development against the service: all mail, to all addresses. It serves them at
// GET /inbox, for people, and GET /inbox.json, for tests. Who may look is for the
// caller to say.
type Inbox struct {
	dir       string // empty: in memory
	templates *Templates
	now       func() time.Time

	mu     sync.Mutex       // guards memory, and makes this process write one at a time
	memory map[string]Entry // by file name
}

var (
	_ message.Mailer = (*Inbox)(nil)
	_ http.Handler   = (*Inbox)(nil)
)

// NewInbox opens the inbox in dir, which is made if need be and which several
// processes may share: each message is one file in it, for its owner alone. ""
// keeps messages in memory. A nil now is time.Now.
func NewInbox(dir string, t *Templates, now func() time.Time) (*Inbox, error) {
	if t == nil {
		return nil, errors.New("inbox: templates must be set")
	}
	if now == nil {
		now = time.Now
	}
	i := &Inbox{dir: dir, templates: t, now: now, memory: make(map[string]Entry)}
	if dir == "" {
		return i, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening inbox: %w", err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("opening inbox: %w", err)
	}
	for _, f := range files { // what a process left that ended while it wrote
		info, err := f.Info()
		if err == nil && strings.HasPrefix(f.Name(), newPrefix) && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(dir, f.Name()))
		}
	}
	return i, nil
}

// Send implements message.Mailer. A message that is there already keeps its place.
func (i *Inbox) Send(_ context.Context, m message.Message) error {
	mail, err := i.templates.Render(m)
	if err != nil {
		return err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	names, err := i.names()
	if err != nil {
		return fmt.Errorf("reading inbox: %w", err)
	}
	at := i.now().UTC()
	name := nextName(names, at, m.ID)
	e := Entry{ID: mail.ID, At: at, To: mail.To, Subject: mail.Subject, Text: mail.Text, HTML: mail.HTML, Links: mail.Links, Code: mail.Code}
	if slices.Contains(names, name) {
		if earlier, err := i.read(name); err == nil {
			e.At = earlier.At
		}
	} else {
		names = append([]string{name}, names...)
	}
	if err := i.write(name, e); err != nil {
		return fmt.Errorf("writing to inbox: %w", err)
	}
	for _, old := range names[min(len(names), maxInbox):] {
		if err := i.remove(old); err != nil {
			return fmt.Errorf("clearing inbox: %w", err)
		}
	}
	return nil
}

// Messages returns what is in the inbox, newest first.
func (i *Inbox) Messages() ([]Entry, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	names, err := i.names()
	if err != nil {
		return nil, fmt.Errorf("reading inbox: %w", err)
	}
	entries := make([]Entry, 0, len(names))
	seen := make(map[string]bool)
	for _, name := range names {
		e, err := i.read(name)
		if errors.Is(err, fs.ErrNotExist) { // another process made room meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading inbox: %w", err)
		}
		// Two processes may have received one message at the same time.
		if seen[e.ID] || len(entries) == maxInbox {
			continue
		}
		seen[e.ID] = true
		if e.Links == nil {
			e.Links = []string{}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Names of entries are the nanosecond of arrival and a hash of the ID: they sort
// by time, and nothing in an ID reaches the file system.
var entryName = lazily(`^[0-9]{20}-[0-9a-f]{32}\.json$`)

// nextName returns the name of the message if it is there, else one that sorts
// after all others, even when the clock stands still or is turned back.
func nextName(names []string, at time.Time, id string) string {
	sum := sha256.Sum256([]byte(id))
	suffix := "-" + hex.EncodeToString(sum[:16]) + ".json"
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	stamp := max(at.UnixNano(), 0)
	if len(names) > 0 {
		last, _ := strconv.ParseInt(names[0][:20], 10, 64) // entryName has seen that it is a number
		stamp = max(stamp, last+1)
	}
	return fmt.Sprintf("%020d%s", stamp, suffix)
}

// names returns those of all entries, newest first.
func (i *Inbox) names() ([]string, error) {
	var names []string
	if i.dir == "" {
		for name := range i.memory {
			names = append(names, name)
		}
	} else {
		files, err := os.ReadDir(i.dir)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if entryName.MatchString(f.Name()) {
				names = append(names, f.Name())
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(b, a) })
	return names, nil
}

func (i *Inbox) read(name string) (Entry, error) {
	if i.dir == "" {
		return i.memory[name], nil
	}
	var e Entry
	text, err := os.ReadFile(filepath.Join(i.dir, name))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("%s is damaged, delete it: %w", filepath.Join(i.dir, name), err)
	}
	return e, nil
}

// write never shows half a message to another process.
func (i *Inbox) write(name string, e Entry) error {
	if i.dir == "" {
		i.memory[name] = e
		return nil
	}
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(i.dir, newPrefix+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(i.dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (i *Inbox) remove(name string) error {
	if i.dir == "" {
		delete(i.memory, name)
		return nil
	}
	err := os.Remove(filepath.Join(i.dir, name))
	if errors.Is(err, fs.ErrNotExist) { // another process was faster
		return nil
	}
	return err
}
