package auth

import "github.com/latchkey-auth/latchkey/internal/identifier"

// UsernameKey is the form under which a username is unique and looked up, see
// [identifier.UsernameKey]. *InvalidError.
func UsernameKey(username string) (string, error) {
	key, err := identifier.UsernameKey(username)
	return key, invalidMember("username", err)
}

// EmailKey is the form under which an e-mail address is unique and looked up, see
// [identifier.EmailKey]. *InvalidError.
func EmailKey(email string) (string, error) {
	key, err := identifier.EmailKey(email)
	return key, invalidMember("email", err)
}
