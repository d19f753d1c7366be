package db

import "strings"

// Page selects a part of a list.
type Page struct {
	Number int // from 1
	Size   int // at least 1
}

func (p Page) offset() int { return (p.Number - 1) * p.Size }

// containing is the LIKE pattern, escaped by "!", of what holds text in lower
// case.
func containing(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(strings.ToLower(text)) + "%"
}
