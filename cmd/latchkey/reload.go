package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/latchkey-auth/latchkey/internal/app"
)

// reloadInterval is how often the configuration file is looked at.
const reloadInterval = time.Second

// configFollower applies the configuration file when it changes.
type configFollower struct {
	log      *slog.Logger
	apply    func(fileConfig) error
	settings map[string]string // with which the program has started
	current  fileConfig        // that was applied, or refused, last
	seen     os.FileInfo       // at the last look; nil: there was no file
	settled  bool              // what was seen has been read
}

// followConfig looks at the file until the function that it returns is called.
func followConfig(ctx context.Context, started fileConfig, log *slog.Logger, apply func(fileConfig) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	f := &configFollower{log: log, apply: apply, settings: started.settings, current: started}
	var done sync.WaitGroup
	done.Go(func() { app.Repeat(ctx, reloadInterval, nil, f.look) })
	return func() {
		cancel()
		done.Wait()
	}
}

// look reads the file once it has stayed the same from one look to the next: an
// editor may be in the middle of writing it.
func (f *configFollower) look() {
	info, err := os.Stat(f.current.named)
	if err != nil {
		info = nil
	}
	if !sameFile(info, f.seen) {
		f.seen, f.settled = info, false
		return
	}
	if f.settled {
		return
	}
	f.settled = true
	f.read()
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (f *configFollower) read() {
	name := f.current.named
	doc, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if f.current.doc != nil {
			f.log.Warn(name + " is gone; the routes stay as they are")
		}
		f.current.doc = nil
		return
	}
	if err == nil && f.current.doc != nil && bytes.Equal(doc, f.current.doc) {
		return
	}
	var changed fileConfig
	if err == nil {
		changed, err = decodeConfig(name, doc)
	}
	if err == nil {
		err = f.apply(changed)
	}
	if err != nil {
		f.current.doc = doc
		f.log.Error("the routes stay as they are: the changed configuration file is refused", slog.String("error", err.Error()))
		return
	}
	f.current = changed
	f.log.Info("routes are read again", slog.String("file", name), slog.Int("routes", len(changed.routes)))
	if names := f.needRestart(); len(names) > 0 {
		f.log.Warn("changed settings take effect after a restart", slog.String("settings", strings.Join(names, ", ")))
	}
}

// needRestart names the settings that differ from those the program runs with.
func (f *configFollower) needRestart() []string {
	all := maps.Clone(f.settings)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, f.current.settings)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool {
		before, had := f.settings[name]
		now, has := f.current.settings[name]
		return had == has && before == now
	})
}
