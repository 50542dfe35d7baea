package wordset_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/password/leaked/wordset"
)

func numbered(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("word %d", i)
	}
	return words
}

func TestSetHasWhatItWasBuiltFromAndNothingElse(t *testing.T) {
	for _, n := range []int{0, 1, 2, 100, 5_000, 100_000} {
		words := numbered(n)
		set := wordset.Set(wordset.Build(words))
		if set.Len() != n {
			t.Errorf("a set of %d words says that it has %d", n, set.Len())
		}
		for _, word := range words {
			if !set.Has([]byte(word)) {
				t.Fatalf("a set of %d words lacks %q", n, word)
			}
		}
		for i := range 10_000 {
			if word := fmt.Sprintf("other %d", i); set.Has([]byte(word)) {
				t.Errorf("a set of %d words has %q", n, word)
			}
		}
	}
}

func TestBuildDependsOnTheWordsAlone(t *testing.T) {
	words := numbered(1_000)
	want := wordset.Build(words)
	slices.Reverse(words)
	if got := wordset.Build(append(words, words[:10]...)); !bytes.Equal(got, want) {
		t.Error("the same words in another order, ten of them twice, make another set")
	}
}

func TestASetIsSmall(t *testing.T) {
	const n = 40_000
	if size := len(wordset.Build(numbered(n))); size > n*7/2 {
		t.Errorf("%d words take %d bytes, more than 3.5 each", n, size)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"PassWord":     "password",
		"ｐａｓｓ１":        "pass1",
		"e\u0301":      "é",
		"ПАРОЛЬ":       "пароль",
		"two  spaces ": "two  spaces ",
		"ﬁsh":          "fish",
	} {
		if got := string(wordset.Fold(nil, in)); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzSet(f *testing.F) {
	f.Add("a\nb\nc", "d")
	f.Fuzz(func(t *testing.T, list, other string) {
		words := strings.Split(list, "\n")
		set := wordset.Set(wordset.Build(words))
		for _, word := range words {
			if !set.Has([]byte(word)) {
				t.Errorf("lacks %q", word)
			}
		}
		if set.Has([]byte(other)) && !slices.Contains(words, other) {
			t.Errorf("has %q", other)
		}
	})
}
