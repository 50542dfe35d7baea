package auth

// ParseFeedPlace reads where a page of revocations begins, and writes it again.
func ParseFeedPlace(text string) (string, bool) {
	p, ok := parseFeedPlace(text)
	return p.String(), ok
}
