package gateway

import (
	"fmt"
	"slices"
	"strings"
)

// ParseRoute splits "GET /orders/{id}", and "GET,HEAD /orders/{id}" for several verbs.
func ParseRoute(s string) (verbs []string, path string, err error) {
	list, path, ok := strings.Cut(s, " ")
	verbs = strings.Split(list, ",")
	if !ok || !known(verbs) || strings.HasPrefix(path, " ") {
		err := fmt.Errorf("route %q: must be a verb (%s), or several with commas between them (GET,HEAD), and a path", s, strings.Join(methods, ", "))
		if meant := meantRoute(s); meant != "" {
			err = fmt.Errorf("%w: did you mean %q?", err, meant)
		}
		return nil, "", err
	}
	for i, verb := range verbs {
		switch {
		case slices.Contains(verbs[:i], verb):
			return nil, "", fmt.Errorf("route %q: %s stands twice", s, verb)
		case verb == MethodAny && len(verbs) > 1:
			return nil, "", fmt.Errorf("route %q: ANY is every verb that the path does not declare by itself; let it stand alone", s)
		}
	}
	return verbs, path, nil
}

// ParseRequest splits "GET /orders/42". It drops a query, which no policy looks at.
func ParseRequest(s string) (verb, path string, err error) {
	verb, path, ok := strings.Cut(s, " ")
	path, _, _ = strings.Cut(path, "?")
	if !ok || verb == MethodAny || !slices.Contains(methods, verb) || !strings.HasPrefix(path, "/") {
		return "", "", fmt.Errorf("request %q: must be a verb (%s) and a path as it is sent, \"GET /orders/42\"", s, strings.Join(methods[:len(methods)-1], ", "))
	}
	return verb, path, nil
}

func known(verbs []string) bool {
	return !slices.ContainsFunc(verbs, func(verb string) bool { return !slices.Contains(methods, verb) })
}

// meantRoute reads verbs in small letters, with other marks between them or before
// more than one space, or none at all; "" where nothing is found that can be declared.
func meantRoute(s string) string {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return ""
	}
	path := fields[len(fields)-1]
	verbs := strings.FieldsFunc(strings.ToUpper(strings.Join(fields[:len(fields)-1], ",")), func(c rune) bool { return strings.ContainsRune(",|/;+", c) })
	if len(fields) == 1 && strings.HasPrefix(s, "/") {
		verbs = []string{"GET"}
	}
	for i, verb := range verbs {
		if verb == "*" || verb == "ALL" {
			verbs[i] = MethodAny
		}
	}
	if _, err := parsePath(path); err != nil {
		path = meantPath(path)
	}
	if path == "" || len(verbs) == 0 || !known(verbs) {
		return ""
	}
	return strings.Join(verbs, ",") + " " + path
}

// meantPath reads the path patterns of other routers: /orders/:id, /orders/<id>,
// /orders/[id], /files/*, a slash at the end. "" where nothing is found that can be
// declared.
func meantPath(path string) string {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, part := range parts {
		parts[i] = meantPart(part)
	}
	meant := "/" + strings.Join(parts, "/")
	if _, err := parsePath(meant); err != nil || meant == path {
		return ""
	}
	return meant
}

func meantPart(part string) string {
	if part == "*" || part == "**" {
		return "{path+}"
	}
	name, greedy := part, false
	for _, marks := range []string{":", "<>", "[]", "{}", "*"} {
		inner, ok := strings.CutPrefix(part, marks[:1])
		if len(marks) > 1 {
			closed := false
			inner, closed = strings.CutSuffix(inner, marks[1:])
			ok = ok && closed
		}
		if ok {
			name, greedy = inner, marks == "*"
		}
	}
	if name == part {
		return part
	}
	if _, after, typed := strings.Cut(name, ":"); typed && part[0] == '<' { // <int:id>
		name = after
	}
	bare := strings.Trim(name, ".*+?")
	if greedy || strings.ContainsAny(name, "*+") || strings.Contains(name, "...") {
		bare += "+"
	}
	return "{" + bare + "}"
}
