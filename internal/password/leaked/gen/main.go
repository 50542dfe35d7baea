// Command gen writes the filter of common passwords from lists of them:
//
//	gen -o common.bin list...
//
// A list has one password a line, or is an array of strings when its name ends
// in .json; one that ends in .gz is unpacked first. The same lists make the same
// file, in any order.
package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/latchkey-auth/latchkey/internal/password/leaked/wordset"
)

// What is worth keeping: a password that the length rule would let pass, and a
// word that becomes one with digits behind it.
const (
	minPassword = 8
	minStem     = 6
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("gen", flag.ContinueOnError)
	out := flags.String("o", "", "`file` to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *out == "" || flags.NArg() == 0 {
		return errors.New("nothing to do; hint: gen -o common.bin list")
	}
	passwords, stems := make(map[string]bool), make(map[string]bool)
	for _, name := range flags.Args() {
		before := len(passwords) + len(stems)
		words, err := read(name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		for _, word := range words {
			switch folded := wordset.Fold(nil, word); {
			case len(folded) >= minPassword:
				passwords[string(folded)] = true
			case len(folded) >= minStem && !slices.ContainsFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) }):
				stems[string(folded)] = true
			}
		}
		fmt.Fprintf(stdout, "%s: %d entries, %d new ones kept\n", filepath.Base(name), len(words), len(passwords)+len(stems)-before)
	}
	var all []string
	for _, kept := range []map[string]bool{passwords, stems} {
		for word := range kept {
			all = append(all, word)
		}
	}
	set := wordset.Build(all)
	if err := os.WriteFile(*out, set, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d passwords of %d characters and more, %d words of %d and %d letters, %d bytes\n",
		filepath.Base(*out), len(passwords), minPassword, len(stems), minStem, minPassword-1, len(set))
	return nil
}

// read returns the entries of one list. Empty lines are none.
func read(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	plain, packed := strings.CutSuffix(name, ".gz")
	if packed {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	var words []string
	if strings.HasSuffix(plain, ".json") {
		err := json.NewDecoder(r).Decode(&words)
		return words, err
	}
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			return words, lines.Err()
		}
		if line := lines.Text(); line != "" {
			words = append(words, line)
		}
	}
}
