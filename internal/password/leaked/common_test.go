package leaked_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/latchkey-auth/latchkey/internal/costtest"
	"github.com/latchkey-auth/latchkey/internal/password/leaked"
)

func TestWhatEverybodyTriesFirstIsRefused(t *testing.T) {
	for why, passwords := range map[string][]string{
		"it is listed": {
			"password", "iloveyou", "sunshine", "princess", "football", "baseball", "trustno1", "starwars", "letmein1", "whatever",
			"administrator", "changeme", "password1", "superman", "1qaz2wsx", "1q2w3e4r", "testtest", "correcthorsebatterystaple",
		},
		"it is listed in lower case":     {"PASSWORD", "PassWord", "LiverPool", "Chocolate"},
		"it is listed in normal width":   {"ｐａｓｓｗｏｒｄ", "ｐａｓｓｗｏｒｄ１"},
		"signs are letters":              {"P@ssw0rd", "p@$$w0rd", "pa55w0rd", "P4ssw0rd", "1l0vey0u", "adm1n1strat0r", "f00tba11", "footba!!", "$unsh1ne", "ba5eba11", "7rustno1"},
		"it is a word with a tail":       {"Password1!", "password123", "Welcome1", "welcome!", "Dragon99", "monkey-1", "summer 24", "Qwertz!1", "P@ssw0rd1!", "micha3l7", "Elephant2"},
		"it is a word with a year":       {"Summer2024!", "winter2023", "Autumn#2025!", "Spring(2026)", "Company1999", "november 2024"},
		"it is a word with a run":        {"password123456789", "dragon12345", "Monkey!!!!!!!!", "welcome000000"},
		"it is a word twice":             {"passwordpassword", "PasswordPassword1", "dragondragon", "footballfootballfootball"},
		"it is a word of another tongue": {"пароль123", "Привет2024", "contraseña", "Contraseña1", "motdepasse", "Mot de Passe", "passwort1", "wachtwoord", "hasło123", "Lösenord!", "şifre123"},
		"it is one character":            {"aaaaaaaa", "11111111", "!!!!!!!!!!", "        ", "яяяяяяяя", "😀😀😀😀😀😀😀😀"},
		"it is a short unit repeated":    {"abcabcabc", "12121212", "abababab", "xK9$xK9$", "xyzxyzxy", "yes yes yes", "121212121", "k#9fQz2k#9fQz2", "паспаспас"},
		"it counts":                      {"12345678", "123456789", "1234567890", "87654321", "0987654321", "01234567890123", "98765432109", "12344321", "123454321", "11112222", "123456789a!"},
		"it says the alphabet":           {"abcdefgh", "ABCDEFGHIJ", "hgfedcba", "zyxwvuts", "abcd1234", "abc12345", "xyzabc123", "aaaa1234", "1a2b3c4d", "абвгдежз"},
		"its keys are neighbours": {
			"qwertyuiop", "poiuytrewq", "asdfghjkl", "zxcvbnm,", "qwertzuiop", "azertyuiop", "qsdfghjklm", "qweasdzxc", "1qaz@wsx", "!QAZ2wsx", "zaq12wsx",
			"1qaz2wsx3edc", "!@#$%^&*", "147258369", "q1w2e3r4", "йцукенгш", "фывапролд", "qwerty12", "asdfgh!!", "qwertyqwerty", "lkjhgfds", "asdfqwer",
		},
		"it is a date": {
			"19900101", "01011990", "12311999", "20240229", "31.12.1999", "1990-01-01", "01/02/2003", "1.1.1990", "01.01.90", "90-12-31", "1999_12_31", "19900101!", "12 31 1999", "1990-1-12",
		},
	} {
		for _, password := range passwords {
			if !leaked.Common(password) {
				t.Errorf("%q passes, but %s", password, why)
			}
		}
	}
}

func TestWhatNobodyTriesFirstPasses(t *testing.T) {
	for why, passwords := range map[string][]string{
		"it is some words": {
			"correct horse battery staple", "correct horse battery", "another battery", "yet another battery", "horse stapler", "password of my neighbour",
			"seven green bicycles", "mill wheel under snow", "the cat sat on the fence", "purple-window-thirteen", "orbit tango walnut", "butterfly lamp 1990", "no dragons here please",
			"monday morning coffee tastes of tin", "walnutorbittango", "abc is how it begins", "summer in the mountains", "qwerty is not my keyboard", "three times three times",
		},
		"it is some words of another tongue": {
			"heute regnet es in Kiel", "Rasenmäher im Schrank", "der alte Kühlschrank brummt", "la lune est en retard", "trois petits nuages gris", "el gato duerme en la silla",
			"zielony rower stryja", "kırmızı bisiklet nerede", "жёлтый чайник кипит", "семь зелёных велосипедов", "кот спит на подоконнике", "зелений велосипед діда", "黄色的茶壶在唱歌", "猫在窗台上睡觉呢", "七台绿色自行车吧",
			"黄色いやかんが歌う", "노란 주전자가 노래한다", "إبريق الشاي الأصفر يغني", "पीली केतली गाती है", "ο κίτρινος βραστήρας",
		},
		"it is random": {
			"kJ8#mQ2$vX", "x7Qp-9rT2-Lw4z", "tZ4!nB8@wK", "9f8a1c7e3b5d", "hV3jR8sD", "83749261", "nqxvtjwm", "4915781234", "Gx!29pLw",
			"wq7-tz3-mk9", "r8fj2k5q", "7h2n9x4b",
		},
		"its tail is more than habit":                 {"elephant48291", "dragon-x7q-91", "welcome 83 17 62", "sunshine!k4"},
		"its word is short":                           {"sun-2024", "tree#2023", "joe!4711"},
		"its digits are no day":                       {"19901301", "19900132", "18001231x", "21240101", "45.17.1983", "1990-13-01"},
		"its runs are short or have something amid":   {"abqwzxmn", "12ab34cd56", "qwe-asd-mnv", "1234kx5678"},
		"it repeats a unit that would do by itself":   {"vk3#pq8zvk3#pq8z"},
		"the list has nothing that is not a password": {"\x00\x01\x02\x03\x04\x05\x06\x08", "\xff\xfe\xfdnot utf8\x80"},
	} {
		for _, password := range passwords {
			if leaked.Common(password) {
				t.Errorf("%q is refused, but %s", password, why)
			}
		}
	}
}

func TestShortTextNeedsNoRule(t *testing.T) {
	for _, password := range []string{"", "a", "é", "1", "12", "k3"} {
		if leaked.Common(password) {
			t.Errorf("%q is refused; the length rule does that", password)
		}
	}
}

func TestFilterHasEnough(t *testing.T) {
	if n := leaked.Filter.Len(); n < 40_000 {
		t.Errorf("the filter has %d entries", n)
	}
	if size := len(leaked.Filter); size > 150_000 {
		t.Errorf("the filter takes %d bytes", size)
	}
}

// randomPassword returns n printable ASCII characters.
func randomPassword(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('!' + rng.IntN('~'-'!'+1))
	}
	return string(b)
}

// The package comment promises less than one in a million.
func TestRandomPasswordsPass(t *testing.T) {
	n := 1_000_000
	if testing.Short() || raceDetector {
		n = 100_000
	}
	rng := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range n {
		if password := randomPassword(rng, 10); leaked.Common(password) {
			refused++
			t.Logf("%q is refused", password)
		}
	}
	if refused > 1 {
		t.Errorf("%d of %d random passwords are refused", refused, n)
	}
}

// Folding makes 18 letters of this sign.
func TestLongTextIsCheap(t *testing.T) {
	for _, c := range []struct{ before, part, after string }{
		{"", "ﷺ", ""}, {"", "a", "b"}, {"", "1", "x"}, {"x", "1", ""}, {"", "12", "!"}, {"", ".", "x"}, {"x", "!", ""}, {"", "password", "x"},
	} {
		text := func(n int) string { return c.before + strings.Repeat(c.part, n/len(c.part)) + c.after }
		costtest.Linear(t, 500, text, func(password string) { leaked.Common(password) })
	}
}

func FuzzCommon(f *testing.F) {
	for _, password := range []string{"", "password", "P@ssw0rd1!", "19900101", "1.1.1990", "correct horse", "\xff", "ﷺ", "12.", ".....", "1234.5678", "zaq12wsx", "😀"} {
		f.Add(password)
	}
	f.Fuzz(func(t *testing.T, password string) {
		if leaked.Common(password) != leaked.Common(strings.ToLower(password)) && isASCII(password) {
			t.Errorf("%q depends on case", password)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > 127 }) < 0
}

func BenchmarkCommon(b *testing.B) {
	for name, password := range map[string]string{
		"listed": "password", "signs": "P@ssw0rd1!", "random": "kJ8#mQ2$vX5&zL9!", "digits": "4915781234", "words": "correct horse battery staple", "cyrillic": "семь зелёных велосипедов",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				leaked.Common(password)
			}
		})
	}
}
