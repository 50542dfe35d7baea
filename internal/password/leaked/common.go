// Package leaked knows passwords that everybody tries first.
//
// [Common] needs nothing but the program: a filter of some 40,000 passwords and
// words, and rules for what people make of them. [Folder] looks a password up in
// the hashes of passwords from breaches, where an operator keeps them.
//
// The filter is built from two public lists: @zxcvbn-ts/language-common 4.1.3
// (MIT) and the common passwords of Django 3.2.25 (BSD-3-Clause), with a few
// words of our own in words.txt. README.md says how to build it again, COPYRIGHT
// holds the licences. A password that is in none of this is refused by mistake
// less than once in a million times.
package leaked

import (
	_ "embed"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/latchkey-auth/latchkey/internal/password/leaked/wordset"
)

//go:generate go run ./gen -o common.bin $LISTS/passwords.json $LISTS/common-passwords.txt.gz words.txt

//go:embed common.bin
var filter string

const (
	// minPassword is the length below which the service refuses any password.
	minPassword = 8
	// minStem keeps short words from being refused in long passwords: without
	// its tail, "sun-2024" is three letters.
	minStem = 6
	// maxTail is how much people add to a word in order to please a rule.
	maxTail = 4
	// maxYearTail leaves room for a sign on each side of a year.
	maxYearTail = 6
)

// Common reports whether a password is among the first that an attacker tries:
// a listed one, in any case and width, with letters written as digits or signs
// ("P@ssw0rd"), with a few digits and signs behind it ("Summer2024!"); or one
// that follows from a rule: repetition, neighbouring keys, a date.
func Common(password string) bool {
	var buf [64]rune
	word := wordset.Fold(buf[:0], password)
	tail := tailOf(word)
	for n := 0; n <= len(tail) && len(word)-n >= minStem; n++ {
		if n > maxTail && (n < len(tail) || !isRuns(tail) && !isYear(tail)) {
			continue
		}
		stem := word[:len(word)-n]
		if listed(stem) || isRepeated(stem) || isRuns(stem) {
			return true
		}
		// A longer number often holds a date by chance.
		if n == 0 || !unicode.IsDigit(word[len(stem)]) {
			if isDate(stem) {
				return true
			}
		}
	}
	return false
}

// tailOf returns what follows the last letter.
func tailOf(word []rune) []rune {
	for i := len(word); i > 0; i-- {
		if unicode.In(word[i-1], unicode.Letter, unicode.Mark) {
			return word[i:]
		}
	}
	return word
}

// isYear says whether tail is a year, with at most two signs or digits about it.
func isYear(tail []rune) bool {
	if len(tail) > maxYearTail {
		return false
	}
	for i := 0; i+4 <= len(tail); i++ {
		year := tail[i : i+4]
		if century := string(year[:2]); (century == "19" || century == "20") && unicode.IsDigit(year[2]) && unicode.IsDigit(year[3]) {
			return true
		}
	}
	return false
}

// signs are the letters that digits and signs stand for. Those that stand for i
// are tried as l as well.
var signs = map[rune]rune{'@': 'a', '4': 'a', '3': 'e', '1': 'i', '!': 'i', '|': 'i', '0': 'o', '$': 's', '5': 's', '7': 't'}

// listed looks word up as it is and with its signs read as letters.
func listed(word []rune) bool {
	if has(word) {
		return true
	}
	var buf [64]rune
	plain := append(buf[:0], word...)
	signed, ambiguous := false, false
	for i, r := range plain {
		if letter, ok := signs[r]; ok {
			plain[i] = letter
			signed = true
			ambiguous = ambiguous || letter == 'i'
		}
	}
	if !signed {
		return false
	}
	if has(plain) {
		return true
	}
	if !ambiguous {
		return false
	}
	for i, r := range word {
		if signs[r] == 'i' {
			plain[i] = 'l'
		}
	}
	return has(plain)
}

func has(word []rune) bool {
	var buf [128]byte
	b := buf[:0]
	for _, r := range word {
		b = utf8.AppendRune(b, r)
	}
	return wordset.Set(filter).Has(b)
}

// isRepeated reports whether word is a unit over and over, where the unit is
// shorter than a password may be, or itself listed. The last one may be cut off.
func isRepeated(word []rune) bool {
	const maxUnit = 32 // bounds the work on hostile input
	for n := 1; n <= maxUnit && 2*n <= len(word); n++ {
		if slices.Equal(word[n:], word[:len(word)-n]) {
			return n < minPassword || listed(word[:n])
		}
	}
	return false
}
