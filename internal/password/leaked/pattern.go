package leaked

import "slices"

// minRun is the shortest piece that counts as neighbouring keys.
const minRun = 3

// A row is a sequence that fingers or the mind run along, up and down.
type row struct {
	keys []rune
	ring bool // after the last comes the first
}

var rows = []row{
	{[]rune("0123456789"), true},
	{[]rune("abcdefghijklmnopqrstuvwxyz"), true},
	// Keyboards: American, German, French
	{[]rune("qwertyuiop[]"), false},
	{[]rune("asdfghjkl;'"), false},
	{[]rune("zxcvbnm,./"), false},
	{[]rune("!@#$%^&*()_+"), false},
	{[]rune("qwertzuiopü"), false},
	{[]rune("asdfghjklöä"), false},
	{[]rune("yxcvbnm,.-"), false},
	{[]rune("azertyuiop"), false},
	{[]rune("qsdfghjklm"), false},
	{[]rune("wxcvbn,;:!"), false},
	// Columns
	{[]rune("1qaz"), false}, {[]rune("2wsx"), false}, {[]rune("3edc"), false}, {[]rune("4rfv"), false}, {[]rune("5tgb"), false},
	{[]rune("6yhn"), false}, {[]rune("7ujm"), false}, {[]rune("8ik,"), false}, {[]rune("9ol."), false}, {[]rune("0p;/"), false},
	{[]rune("!qaz"), false}, {[]rune("@wsx"), false}, {[]rune("#edc"), false}, {[]rune("$rfv"), false}, {[]rune("%tgb"), false},
	{[]rune("147"), false}, {[]rune("258"), false}, {[]rune("369"), false},
	// Two rows by turns
	{[]rune("1q2w3e4r5t6y7u8i9o0p"), false},
	{[]rune("q1w2e3r4t5y6u7i8o9p0"), false},
	{[]rune("1a2b3c4d5e6f7g8h9i"), false},
	{[]rune("a1b2c3d4e5f6g7h8i9"), false},
	// Cyrillic
	{[]rune("йцукенгшщзхъ"), false},
	{[]rune("фывапролджэ"), false},
	{[]rune("ячсмитьбю"), false},
	{[]rune("абвгдежзийклмнопрстуфхцчшщъыьэюя"), false},
}

// isRuns reports whether word is nothing but runs: of one character, or along a
// row in either direction.
func isRuns(word []rune) bool {
	for len(word) >= minRun {
		n := runLength(word)
		if n < minRun {
			return false
		}
		word = word[n:]
	}
	return len(word) == 0
}

// runLength returns the length of the longest run that word, which is not empty,
// begins with.
func runLength(word []rune) int {
	longest := 1
	for longest < len(word) && word[longest] == word[0] {
		longest++
	}
	for _, row := range rows {
		at := slices.Index(row.keys, word[0])
		if at < 0 {
			continue
		}
		for _, step := range []int{1, -1} {
			n := 1
			for i := at + step; n < len(word); i, n = i+step, n+1 {
				if row.ring {
					i = (i + len(row.keys)) % len(row.keys)
				}
				if i < 0 || i >= len(row.keys) || row.keys[i] != word[n] {
					break
				}
			}
			longest = max(longest, n)
		}
	}
	return longest
}

// isDate reports whether word is a day: 19900131, 31011990, 01311990, or in
// three groups with a sign between them, the year of two digits or four.
func isDate(word []rune) bool {
	var group, digits [3]int // values, and how many digits each has
	switch i := slices.IndexFunc(word, func(r rune) bool { return r < '0' || r > '9' }); {
	case i < 0 && len(word) == 8:
		return isDay(number(word[:4]), number(word[4:6]), number(word[6:])) ||
			isDay(number(word[4:]), number(word[2:4]), number(word[:2])) ||
			isDay(number(word[4:]), number(word[:2]), number(word[2:4]))
	case i <= 0 || !slices.Contains([]rune("./-_ "), word[i]):
		return false
	default:
		n := 0
		for _, r := range word {
			switch {
			case r == word[i] && n < 2:
				n++
			case r >= '0' && r <= '9' && digits[n] < 4:
				group[n] = 10*group[n] + int(r-'0')
				digits[n]++
			default:
				return false
			}
		}
	}
	switch digits {
	case [3]int{4, 2, 2}, [3]int{4, 1, 1}, [3]int{4, 1, 2}, [3]int{4, 2, 1}:
		return isDay(group[0], group[1], group[2])
	case [3]int{2, 2, 4}, [3]int{1, 1, 4}, [3]int{1, 2, 4}, [3]int{2, 1, 4}:
		return isDay(group[2], group[1], group[0]) || isDay(group[2], group[0], group[1])
	case [3]int{2, 2, 2}:
		return isDay(2000+group[0], group[1], group[2]) || isDay(2000+group[2], group[1], group[0]) || isDay(2000+group[2], group[0], group[1])
	}
	return false
}

func isDay(year, month, day int) bool {
	return year >= 1900 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// number reads digits.
func number(digits []rune) int {
	n := 0
	for _, r := range digits {
		n = 10*n + int(r-'0')
	}
	return n
}
